//! What goes together, and when: up to so many lines and bytes a request.
//!
//! Of two points with the same series and time the later one waits until the earlier is answered: the one that a server
//! sees last is the one that counts, and the order in which it sees two requests is anyone's.

use std::collections::VecDeque;

use foldhash::HashSet;
use hurtig_async_sink::{Batch, BatchQueue};

/// A line on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The number of the value that it was made of.
    pub value: u64,
    /// What servers tell its point apart by.
    pub identity: u64,
    /// Without its newline.
    pub line: Vec<u8>,
}

/// What goes in one request.
#[derive(Debug)]
pub struct LineBatch {
    number: u64,
    /// Its lines.
    pub items: Vec<Item>,
}

/// The lines that are to be written.
#[derive(Debug)]
pub struct Queue {
    items: VecDeque<(u64, Item)>,
    bytes: usize,
    /// What was pushed before this does not wait for more.
    due_before: u64,
    /// Identities that are under way.
    busy: HashSet<u64>,
    in_flight: usize,
    pushed: u64,
    batches: u64,
    limits: Limits,
}

/// How much goes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Lines of a request.
    pub lines: usize,
    /// Bytes of a request, before they are compressed.
    pub bytes: usize,
    /// Requests under way.
    pub in_flight: usize,
}

impl Queue {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Queue {
            items: VecDeque::new(),
            bytes: 0,
            due_before: 0,
            busy: HashSet::default(),
            in_flight: 0,
            pushed: 0,
            batches: 0,
            limits,
        }
    }

    /// Takes a line. Returns whether it completes a batch.
    pub fn push(&mut self, item: Item) -> bool {
        let was_full = self.is_full();
        self.bytes += item.line.len() + 1;
        self.items.push_back((self.pushed, item));
        self.pushed += 1;
        !was_full && self.is_full()
    }

    /// Lines that wait to be sent.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.limits.lines || self.bytes >= self.limits.bytes
    }
}

impl BatchQueue for Queue {
    type Batch = LineBatch;

    fn force(&mut self) {
        self.due_before = self.pushed;
    }

    fn next_batch(&mut self) -> Option<LineBatch> {
        let oldest_is_due = self.items.front().is_some_and(|(number, _)| *number < self.due_before);
        if self.in_flight >= self.limits.in_flight || !(oldest_is_due || self.is_full()) {
            return None;
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        // What has to wait, and keeps what has its identity from overtaking it.
        let (mut rest, mut passed) = (Vec::new(), HashSet::default());
        while let Some((number, item)) = self.items.pop_front() {
            let length = item.line.len() + 1;
            let is_enough = taken.len() == self.limits.lines
                || (!taken.is_empty() && bytes + length > self.limits.bytes)
                || rest.len() > self.limits.lines;
            if is_enough {
                self.items.push_front((number, item));
                break;
            }
            if self.busy.contains(&item.identity) || passed.contains(&item.identity) {
                passed.insert(item.identity);
                rest.push((number, item));
            } else {
                bytes += length;
                taken.push(item);
            }
        }
        rest.into_iter().rev().for_each(|entry| self.items.push_front(entry));
        if taken.is_empty() {
            return None;
        }
        self.bytes -= bytes;
        self.in_flight += 1;
        self.busy.extend(taken.iter().map(|item| item.identity));
        let number = self.batches;
        self.batches += 1;
        Some(LineBatch { number, items: taken })
    }

    fn answered(&mut self, batch: &LineBatch) {
        for item in &batch.items {
            self.busy.remove(&item.identity);
        }
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }
}

impl Batch for LineBatch {
    fn number(&self) -> u64 {
        self.number
    }

    fn values(&self) -> impl Iterator<Item = u64> {
        self.items.iter().map(|item| item.value)
    }
}
