//! Sends the events of some splits, in step with each other and, if asked to, with the clock.

use std::{marker::PhantomData, sync::Arc};

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::Result,
    source::{ReaderStatus, SourceOutput, SourceReader},
    time::Clock,
};

use super::{event::Fault, fleet::Fleet, source::EventMapper, split::GeneratorSplit};

/// How many events of one split are sent before another's turn.
const SLICE: usize = 500;
/// Whoever was held up catches up with at most this many milliseconds' worth of events.
const CATCH_UP: i64 = 1000;

/// Reads the splits of one subtask: always the one that is furthest behind.
pub struct GeneratorReader<T, M> {
    fleet: Arc<Fleet>,
    mapper: Arc<M>,
    clock: Arc<dyn Clock>,
    splits: Vec<Position>,
    pace: Option<Pace>,
    line: Vec<u8>,
    item: PhantomData<fn() -> T>,
}

struct Position {
    number: u32,
    split: u32,
    round: u64,
    place: u64,
}

/// So many events have been sent since a moment on the clock.
struct Pace {
    /// Events per second over all splits of the fleet.
    rate: u64,
    since: Option<i64>,
    sent: u64,
}

impl<T, M> GeneratorReader<T, M> {
    pub(super) fn new(fleet: Arc<Fleet>, mapper: Arc<M>, rate: Option<u64>, clock: Arc<dyn Clock>) -> Self {
        let pace = rate.map(|rate| Pace { rate, since: None, sent: 0 });
        GeneratorReader { fleet, mapper, clock, splits: Vec::new(), pace, line: Vec::new(), item: PhantomData }
    }

    /// How many events may be sent now, or when one may be sent again.
    fn allowance(&mut self) -> std::result::Result<u64, i64> {
        let Some(pace) = &mut self.pace else { return Ok(u64::MAX) };
        let now = self.clock.now_ms();
        // This reader's share of the rate, times a thousand: events per 1000 seconds.
        let share =
            (u128::from(pace.rate) * 1000 * self.splits.len() as u128 / u128::from(self.fleet.splits().max(1))).max(1);
        let since = *pace.since.get_or_insert(now);
        let due = |ms: i64| (share * ms.max(0) as u128 / 1_000_000) as u64;
        if due(now - since) > pace.sent + due(CATCH_UP) {
            pace.since = Some(now - CATCH_UP);
            pace.sent = 0;
        }
        let due_now = due(now - pace.since.unwrap_or(now));
        if due_now > pace.sent {
            return Ok(due_now - pace.sent);
        }
        let wait = (u128::from(pace.sent + 1) * 1_000_000).div_ceil(share);
        Err(pace.since.unwrap_or(now).saturating_add(i64::try_from(wait).unwrap_or(i64::MAX)).max(now + 1))
    }
}

impl<T, M: EventMapper<T>> SourceReader for GeneratorReader<T, M>
where
    T: 'static,
{
    type Item = T;
    type Split = GeneratorSplit;

    fn add_split(&mut self, number: u32, split: GeneratorSplit) -> Result<()> {
        let (round, place) = self.fleet.place(split.next);
        self.splits.push(Position { number, split: split.split, round, place });
        // A reader that gets more to do starts its count afresh.
        if let Some(pace) = &mut self.pace {
            pace.since = None;
            pace.sent = 0;
        }
        Ok(())
    }

    fn poll<O: SourceOutput<T>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        let mut left = match self.allowance() {
            Ok(n) => max.min(usize::try_from(n).unwrap_or(usize::MAX)),
            Err(_) if self.splits.is_empty() => 0,
            Err(until) => return Ok(ReaderStatus::NothingAvailable { until: Some(until) }),
        };
        let end = self.fleet.len().unwrap_or(u64::MAX);
        while left > 0 && !out.is_full() {
            let behind = self.splits.iter().enumerate().min_by_key(|(_, p)| (p.round, p.place));
            let Some(i) = behind.map(|(i, _)| i) else { break };
            let at = &mut self.splits[i];
            let mut sent = 0;
            let mut finished = false;
            while sent < SLICE.min(left) && !out.is_full() {
                let index = self.fleet.index(at.round, at.place);
                if index >= end {
                    finished = true;
                    break;
                }
                let event = self.fleet.event_at(at.round, at.place);
                if !M::TAKES_CORRUPT && event.fault == Some(Fault::Corrupt) {
                    self.line.clear();
                    self.fleet.write_line(&event, &mut self.line);
                    out.dead_letter(
                        at.number,
                        index,
                        event.arrival,
                        &self.line,
                        "not valid JSON (the generator made it so)",
                    );
                } else {
                    out.emit(at.number, index, event.arrival, self.mapper.map(&self.fleet, &event));
                }
                (at.round, at.place) = self.fleet.after(at.round, at.place);
                sent += 1;
            }
            left -= sent;
            if let Some(pace) = &mut self.pace {
                pace.sent += sent as u64;
            }
            if finished {
                let done = self.splits.swap_remove(i);
                out.finish_split(done.number);
            }
        }
        Ok(if self.splits.is_empty() {
            ReaderStatus::NothingAvailable { until: None }
        } else {
            ReaderStatus::MoreAvailable
        })
    }

    fn snapshot(&mut self, _checkpoint: CheckpointId) -> Result<Vec<(u32, GeneratorSplit)>> {
        let split = |p: &Position| GeneratorSplit { split: p.split, next: self.fleet.index(p.round, p.place) };
        Ok(self.splits.iter().map(|p| (p.number, split(p))).collect())
    }
}
