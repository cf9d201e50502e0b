//! What goes together, and when: up to a hundred records a request, alike ones together so that more of them is common.
//!
//! Of two records with the same identity (dimensions, time, measure name) the later one waits until the earlier is
//! answered: Timestream rejects a request that has both, and the order in which it sees two requests is anyone's. So
//! records of the same identity keep their order; all others are free to overtake. What goes to the magnetic store
//! goes by itself and never takes all requests: late data is throttled apart, and holds up no live data.

use std::collections::VecDeque;

use foldhash::HashSet;
use hurtig_async_sink::{Batch, BatchQueue};

use crate::{
    record::{TimeUnit, TimestreamRecord},
    window::Route,
};

/// A record on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The number of the value that it was made of.
    pub value: u64,
    /// [`TimestreamRecord::identity`].
    pub identity: u64,
    /// What is written.
    pub record: TimestreamRecord,
}

/// What goes in one request.
#[derive(Debug)]
pub struct RecordBatch {
    number: u64,
    /// [`Route::Memory`] or [`Route::Magnetic`].
    pub route: Route,
    /// Its records.
    pub items: Vec<Item>,
}

/// The records that are to be written.
#[derive(Debug)]
pub struct Queue {
    memory: Lane,
    magnetic: Lane,
    /// Identities that are under way.
    busy: HashSet<u64>,
    max_batch: usize,
    max_in_flight: usize,
    pushed: u64,
    batches: u64,
}

#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<(u64, Item)>,
    /// What was pushed before this does not wait for more.
    due_before: u64,
    in_flight: usize,
}

impl Batch for RecordBatch {
    fn number(&self) -> u64 {
        self.number
    }

    fn values(&self) -> impl Iterator<Item = u64> {
        self.items.iter().map(|item| item.value)
    }
}

/// How many batches' worth of records is looked through for alike ones.
const WINDOW: usize = 10;

impl Queue {
    /// Batches of so many records at most, and so many under way.
    pub fn new(max_batch: usize, max_in_flight: usize) -> Self {
        Queue {
            memory: Lane::default(),
            magnetic: Lane::default(),
            busy: HashSet::default(),
            max_batch: max_batch.max(1),
            max_in_flight: max_in_flight.max(1),
            pushed: 0,
            batches: 0,
        }
    }

    /// Takes a record. Returns whether there is a full batch now.
    pub fn push(&mut self, route: Route, item: Item) -> bool {
        let (number, max_batch) = (self.pushed, self.max_batch);
        self.pushed += 1;
        let lane = self.lane(route);
        lane.items.push_back((number, item));
        lane.items.len().is_multiple_of(max_batch)
    }

    /// Records that wait to be sent.
    pub fn len(&self) -> usize {
        self.memory.items.len() + self.magnetic.items.len()
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lane(&mut self, route: Route) -> &mut Lane {
        if route == Route::Magnetic { &mut self.magnetic } else { &mut self.memory }
    }

    fn take(&mut self, route: Route) -> Option<RecordBatch> {
        let (max_batch, max_in_flight) = (self.max_batch, self.max_in_flight);
        let most = if route == Route::Magnetic { max_in_flight.div_ceil(2) } else { max_in_flight };
        let busy = &self.busy;
        let lane = if route == Route::Magnetic { &mut self.magnetic } else { &mut self.memory };
        if !lane.is_due(max_batch, most) {
            return None;
        }
        let items = lane.take(max_batch, busy);
        if items.is_empty() {
            return None;
        }
        lane.in_flight += 1;
        self.busy.extend(items.iter().map(|item| item.identity));
        let number = self.batches;
        self.batches += 1;
        Some(RecordBatch { number, route, items })
    }
}

impl BatchQueue for Queue {
    type Batch = RecordBatch;

    fn force(&mut self) {
        self.memory.due_before = self.pushed;
        self.magnetic.due_before = self.pushed;
    }

    fn next_batch(&mut self) -> Option<RecordBatch> {
        if self.in_flight() >= self.max_in_flight {
            return None;
        }
        self.take(Route::Memory).or_else(|| self.take(Route::Magnetic))
    }

    fn answered(&mut self, batch: &RecordBatch) {
        for item in &batch.items {
            self.busy.remove(&item.identity);
        }
        let lane = self.lane(batch.route);
        lane.in_flight = lane.in_flight.saturating_sub(1);
    }

    fn in_flight(&self) -> usize {
        self.memory.in_flight + self.magnetic.in_flight
    }
}

impl Lane {
    fn is_due(&self, max_batch: usize, most: usize) -> bool {
        let oldest_is_due = self.items.front().is_some_and(|(number, _)| *number < self.due_before);
        self.in_flight < most && (oldest_is_due || self.items.len() >= max_batch)
    }

    /// Takes up to `most`: first those like the first that may go, then whatever else may.
    fn take(&mut self, most: usize, busy: &HashSet<u64>) -> Vec<Item> {
        let window = self.items.len().min(most.saturating_mul(WINDOW));
        let mut in_batch: HashSet<u64> = HashSet::default();
        let mut chosen = vec![false; window];
        let mut like: Option<Kind<'_>> = None;
        for only_alike in [true, false] {
            // What was passed over keeps what has its identity from overtaking it.
            let mut passed: HashSet<u64> = HashSet::default();
            for ((_, item), chosen) in self.items.iter().zip(chosen.iter_mut()) {
                if in_batch.len() == most {
                    break;
                }
                let identity = item.identity;
                if *chosen {
                    continue;
                }
                let may_go = !busy.contains(&identity) && !in_batch.contains(&identity) && !passed.contains(&identity);
                let mut fits = || !only_alike || *like.get_or_insert_with(|| Kind::of(item)) == Kind::of(item);
                if may_go && fits() {
                    *chosen = true;
                    in_batch.insert(identity);
                } else {
                    passed.insert(identity);
                }
            }
        }
        let (mut taken, mut rest) = (Vec::with_capacity(in_batch.len()), Vec::new());
        for ((number, item), chosen) in self.items.drain(..window).zip(chosen) {
            if chosen { taken.push(item) } else { rest.push((number, item)) }
        }
        rest.into_iter().rev().for_each(|entry| self.items.push_front(entry));
        taken
    }
}

/// What alike records share.
#[derive(PartialEq)]
struct Kind<'a> {
    measure_name: &'a str,
    measure_type: &'static str,
    time_unit: TimeUnit,
    version: Option<i64>,
}

impl<'a> Kind<'a> {
    fn of(item: &'a Item) -> Self {
        let record = &item.record;
        Kind {
            measure_name: &record.measure_name,
            measure_type: record.measure.type_name(),
            time_unit: record.time_unit,
            version: record.version,
        }
    }
}
