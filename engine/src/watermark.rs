//! Watermarks: per split, merged by minimum, never going back.
//!
//! A [`WatermarkStrategy`] says how a record's event time is found and how far records may be
//! out of order. The generator keeps the newest event time of every split; a source's watermark
//! is the minimum over the splits that are not idle. Watermarks are emitted per batch, not by
//! the clock, so that which records are late does not depend on scheduling. One fast clock must
//! not make a fleet late: a timestamp further ahead of its arrival than a bound is ignored.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::time::{MAX_WATERMARK, MIN_WATERMARK, NO_TIMESTAMP, millis, mins};

/// Finds a record's event time. Closures `Fn(&T, arrival) -> i64` are assigners.
pub trait TimestampAssigner<T>: Clone + Send + 'static {
    /// The event time of `value` in milliseconds since the epoch. `arrival` is when it reached
    /// the source, or [`NO_TIMESTAMP`].
    fn extract_timestamp(&self, value: &T, arrival: i64) -> i64;
}

/// Takes the arrival time as event time: what happens without an assigner.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArrivalTime;

impl<T> TimestampAssigner<T> for ArrivalTime {
    #[inline]
    fn extract_timestamp(&self, _value: &T, arrival: i64) -> i64 {
        arrival
    }
}

impl<T, F: Fn(&T, i64) -> i64 + Clone + Send + 'static> TimestampAssigner<T> for F {
    #[inline]
    fn extract_timestamp(&self, value: &T, arrival: i64) -> i64 {
        self(value, arrival)
    }
}

/// How event time is found and how fast it advances (Flink's `WatermarkStrategy`).
///
/// ```
/// use hurtig_engine::{time::{mins, secs}, watermark::WatermarkStrategy};
/// struct Reading { ts: i64 }
/// let strategy = WatermarkStrategy::bounded_out_of_orderness(secs(30))
///     .with_timestamp_assigner(|r: &Reading, _arrival: i64| r.ts)
///     .with_idleness(mins(1));
/// # let _ = strategy;
/// ```
#[derive(Debug, Clone)]
pub struct WatermarkStrategy<A = ArrivalTime> {
    assigner: A,
    settings: WatermarkSettings,
}

/// A strategy's numbers.
#[derive(Debug, Clone)]
pub(crate) struct WatermarkSettings {
    pub alignment: Option<WatermarkAlignment>,
    /// How far behind the newest event time the watermark stays; `None`: no watermarks.
    pub bound: Option<i64>,
    pub idleness: Option<i64>,
    pub max_ahead: i64,
}

impl WatermarkStrategy {
    /// Records are at most `bound` out of order.
    pub fn bounded_out_of_orderness(bound: Duration) -> Self {
        Self::with_bound(Some(millis(bound)))
    }

    /// Timestamps never go back within a split.
    pub fn monotonous_timestamps() -> Self {
        Self::with_bound(Some(0))
    }

    /// No watermarks before the end of input.
    pub fn no_watermarks() -> Self {
        Self::with_bound(None)
    }

    fn with_bound(bound: Option<i64>) -> Self {
        let settings = WatermarkSettings { alignment: None, bound, idleness: None, max_ahead: millis(mins(15)) };
        WatermarkStrategy { assigner: ArrivalTime, settings }
    }
}

impl<A> WatermarkStrategy<A> {
    /// Finds event time in the record.
    pub fn with_timestamp_assigner<B>(self, assigner: B) -> WatermarkStrategy<B> {
        WatermarkStrategy { assigner, settings: self.settings }
    }

    /// A split that is silent for `timeout` (processing time) no longer holds the others back.
    pub fn with_idleness(mut self, timeout: Duration) -> Self {
        self.settings.idleness = Some(millis(timeout));
        self
    }

    /// Ignores timestamps further than `bound` ahead of the record's arrival (default: 15 minutes,
    /// what Timestream accepts). The record keeps its timestamp; only the watermark does not follow.
    pub fn with_max_ahead(mut self, bound: Duration) -> Self {
        self.settings.max_ahead = millis(bound);
        self
    }

    /// Pauses a subtask whose event time is more than `max_drift` ahead of the slowest one's:
    /// files of different years, say, are then read side by side and not one year after the
    /// other, and windows need not be kept for all the time between them.
    pub fn with_watermark_alignment(mut self, max_drift: Duration) -> Self {
        self.settings.alignment = Some(WatermarkAlignment { max_drift: millis(max_drift), times: Arc::default() });
        self
    }

    pub(crate) fn into_parts(self) -> (A, WatermarkSettings) {
        (self.assigner, self.settings)
    }
}

/// How far the subtasks of a source have come, shared by all of them.
#[derive(Debug, Clone)]
pub(crate) struct WatermarkAlignment {
    max_drift: i64,
    times: Arc<Mutex<Vec<i64>>>,
}

impl WatermarkAlignment {
    /// A subtask begins (anew): until it reports, the others wait for it.
    pub fn join(&self, subtask: usize, parallelism: usize) {
        let mut times = self.times.lock().unwrap_or_else(|e| e.into_inner());
        times.resize(parallelism, MIN_WATERMARK);
        times[subtask] = MIN_WATERMARK;
    }

    /// Reports how far the subtask has come, and says how far anybody may go.
    pub fn report(&self, subtask: usize, time: i64) -> i64 {
        let mut times = self.times.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(mine) = times.get_mut(subtask) {
            *mine = time;
        }
        let slowest = times.iter().copied().min().unwrap_or(time);
        slowest.saturating_add(self.max_drift)
    }
}

/// One split's event time.
#[derive(Debug, Clone, Copy)]
struct SplitTime {
    newest: i64,
    last_record: i64,
    touched: bool,
    /// Read to its end; what follows it is not known yet.
    ended: bool,
    /// Silent for too long, when somebody last looked.
    idle: bool,
}

/// The event times of a reader's splits.
#[derive(Debug)]
pub(crate) struct SplitTimes {
    settings: WatermarkSettings,
    /// By split number.
    splits: Vec<Option<SplitTime>>,
    open: usize,
    /// Splits beyond it wait for others.
    limit: i64,
}

impl SplitTimes {
    pub fn new(settings: WatermarkSettings) -> Self {
        SplitTimes { settings, splits: Vec::new(), open: 0, limit: i64::MAX }
    }

    /// Takes a split on, at the newest event time it had in the checkpoint.
    pub fn add(&mut self, number: u32, newest: i64, now: i64) {
        let i = number as usize;
        if self.splits.len() <= i {
            self.splits.resize(i + 1, None);
        }
        self.open += usize::from(self.splits[i].is_none_or(|s| s.ended));
        self.splits[i] = Some(SplitTime { newest, last_record: now, touched: false, ended: false, idle: false });
    }

    /// It was read to its end; until it is released, it holds the watermark where it is. `true` if it
    /// was open.
    pub fn finish(&mut self, number: u32) -> bool {
        match self.splits.get_mut(number as usize) {
            Some(Some(split)) if !split.ended => {
                split.ended = true;
                self.open -= 1;
                true
            }
            _ => false,
        }
    }

    /// What follows a finished split is known.
    pub fn release(&mut self, number: u32) {
        if let Some(split) = self.splits.get_mut(number as usize)
            && split.is_some_and(|s| s.ended)
        {
            *split = None;
        }
    }

    pub fn open(&self) -> usize {
        self.open
    }

    #[inline]
    pub fn on_event(&mut self, number: u32, timestamp: i64, arrival: i64) {
        if let Some(Some(split)) = self.splits.get_mut(number as usize) {
            split.touched = true;
            if timestamp > split.newest
                && (arrival == NO_TIMESTAMP || timestamp.saturating_sub(arrival) <= self.settings.max_ahead)
            {
                split.newest = timestamp;
            }
        }
    }

    pub fn newest(&self, number: u32) -> i64 {
        self.splits.get(number as usize).and_then(|s| *s).map_or(NO_TIMESTAMP, |s| s.newest)
    }

    pub fn newest_of_all(&self) -> i64 {
        self.splits.iter().flatten().map(|s| s.newest).max().unwrap_or(NO_TIMESTAMP)
    }

    /// The merged watermark, or `None` while all splits are idle (or there are none).
    pub fn watermark(&mut self, now: i64) -> Option<i64> {
        let (bound, idleness) = (self.settings.bound, self.settings.idleness);
        let mut least = None;
        for split in self.splits.iter_mut().flatten() {
            if split.touched {
                split.touched = false;
                split.last_record = now;
            }
            split.idle = idleness.is_some_and(|t| now - split.last_record >= t);
            if split.idle {
                continue;
            }
            let mark = match bound {
                Some(b) if split.newest != NO_TIMESTAMP => split.newest.saturating_sub(b).saturating_sub(1),
                _ => MIN_WATERMARK,
            };
            least = Some(least.map_or(mark, |l: i64| l.min(mark)));
        }
        least
    }

    /// Whether the split has run ahead of the others and has to wait. It is not idle meanwhile.
    pub fn is_paused(&mut self, number: u32) -> bool {
        match self.splits.get_mut(number as usize) {
            Some(Some(split)) if split.newest > self.limit => {
                split.touched = true;
                true
            }
            _ => false,
        }
    }

    /// Whether this subtask has run ahead of the others and has to wait. `ended`: it will not
    /// come any further, nobody is to wait for it.
    pub fn has_to_wait(&mut self, subtask: usize, ended: bool) -> bool {
        let Some(alignment) = &self.settings.alignment else { return false };
        // Nobody is to wait for a split that is idle, or has shown nothing yet: how far it is cannot be
        // known, and it may stay empty. A subtask that has nothing else is waited for only where
        // silence is not normal, that is without an idleness.
        let begun = self.splits.iter().flatten().filter(|s| !s.idle && s.newest != NO_TIMESTAMP);
        let time = match begun.map(|s| s.newest).min() {
            _ if ended => MAX_WATERMARK,
            Some(slowest) => slowest,
            None if self.open > 0 && self.settings.idleness.is_none() => MIN_WATERMARK,
            None => MAX_WATERMARK,
        };
        self.limit = alignment.report(subtask, time);
        let waits = time != MAX_WATERMARK && time > self.limit;
        if waits {
            // What is not read is not silent.
            self.splits.iter_mut().flatten().for_each(|s| s.touched = true);
        }
        waits
    }

    /// Takes its place among the subtasks that are aligned.
    pub fn join_alignment(&self, subtask: usize, parallelism: usize) {
        if let Some(alignment) = &self.settings.alignment {
            alignment.join(subtask, parallelism);
        }
    }

    /// When a split that is live now will be idle if nothing comes.
    pub fn next_idle(&self, now: i64) -> Option<i64> {
        let timeout = self.settings.idleness?;
        let due = self.splits.iter().flatten().map(|s| s.last_record + timeout);
        due.filter(|t| *t > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::secs;

    fn times(strategy: WatermarkStrategy) -> SplitTimes {
        SplitTimes::new(strategy.into_parts().1)
    }

    #[test]
    fn the_slowest_split_decides() {
        let mut t = times(WatermarkStrategy::bounded_out_of_orderness(secs(30)));
        t.add(0, NO_TIMESTAMP, 0);
        t.add(1, NO_TIMESTAMP, 0);
        t.on_event(0, 100_000, NO_TIMESTAMP);
        assert_eq!(t.watermark(0), Some(MIN_WATERMARK), "a split without a record holds it back");
        t.on_event(1, 90_000, NO_TIMESTAMP);
        assert_eq!(t.watermark(0), Some(59_999));
        assert!(t.finish(1) && !t.finish(1));
        assert_eq!((t.watermark(0), t.open()), (Some(59_999), 1), "what follows it may begin there");
        t.release(1);
        t.release(0);
        assert_eq!((t.watermark(0), t.open()), (Some(69_999), 1));
    }

    #[test]
    fn an_idle_split_does_not_hold_the_others_back() {
        let mut t = times(WatermarkStrategy::monotonous_timestamps().with_idleness(secs(1)));
        t.add(0, NO_TIMESTAMP, 0);
        t.add(1, NO_TIMESTAMP, 0);
        t.on_event(0, 5_000, NO_TIMESTAMP);
        assert_eq!(t.watermark(500), Some(MIN_WATERMARK));
        assert_eq!(t.next_idle(500), Some(1_000));
        assert_eq!(t.watermark(1_000), Some(4_999));
        assert_eq!(t.watermark(1_500), None, "now both are idle");
        t.on_event(1, 1_000, NO_TIMESTAMP);
        assert_eq!(t.watermark(1_600), Some(999), "back, with its own time");
    }

    #[test]
    fn one_fast_clock_does_not_make_a_fleet_late() {
        let mut t = times(WatermarkStrategy::monotonous_timestamps());
        t.add(0, NO_TIMESTAMP, 0);
        t.on_event(0, 1_000, 1_000);
        t.on_event(0, 1_000 + millis(mins(15)) + 1, 1_000);
        assert_eq!(t.watermark(0), Some(999));
        t.on_event(0, 1_000 + millis(mins(15)), 1_000);
        assert_eq!(t.watermark(0), Some(millis(mins(15)) + 999));
    }

    #[test]
    fn a_subtask_that_runs_ahead_waits_for_the_slowest_and_not_for_one_that_has_ended() {
        let strategy = WatermarkStrategy::monotonous_timestamps().with_watermark_alignment(secs(10));
        let (mut a, mut b) = (times(strategy.clone()), times(strategy));
        a.join_alignment(0, 2);
        b.join_alignment(1, 2);
        a.add(0, NO_TIMESTAMP, 0);
        b.add(1, NO_TIMESTAMP, 0);
        a.on_event(0, 5_000, NO_TIMESTAMP);
        assert!(a.has_to_wait(0, false), "the other has not begun");
        b.on_event(1, 90_000, NO_TIMESTAMP);
        assert!(b.has_to_wait(1, false));
        assert!(!a.has_to_wait(0, false));
        a.on_event(0, 80_000, NO_TIMESTAMP);
        assert!(!a.has_to_wait(0, false) && !b.has_to_wait(1, false), "ten seconds apart is allowed");
        b.on_event(1, 200_000, NO_TIMESTAMP);
        assert!(b.has_to_wait(1, false));
        assert!(!a.has_to_wait(0, true));
        assert!(!b.has_to_wait(1, false), "nobody waits for one that has ended");
    }

    #[test]
    fn a_split_that_runs_ahead_waits_and_is_not_idle_meanwhile() {
        let strategy = WatermarkStrategy::monotonous_timestamps().with_idleness(secs(60));
        let mut t = times(strategy.with_watermark_alignment(secs(10)));
        t.join_alignment(0, 1);
        for number in 0..3 {
            t.add(number, NO_TIMESTAMP, 0);
        }
        t.on_event(0, 5_000, NO_TIMESTAMP);
        t.on_event(1, 100_000, NO_TIMESTAMP);
        assert_eq!(t.watermark(0), Some(MIN_WATERMARK));
        assert!(!t.has_to_wait(0, false));
        assert!(t.is_paused(1) && !t.is_paused(0) && !t.is_paused(2), "the empty one is not waited for");
        // The slow one falls silent: after a minute nobody waits for it, and the one that waited is not idle.
        t.on_event(0, 6_000, NO_TIMESTAMP);
        assert_eq!(t.watermark(1_000), Some(MIN_WATERMARK));
        assert!(!t.has_to_wait(0, false) && t.is_paused(1));
        assert_eq!(t.watermark(61_000), Some(99_999));
        assert!(!t.has_to_wait(0, false) && !t.is_paused(1));
    }

    #[test]
    fn nobody_waits_for_a_subtask_that_is_idle() {
        let strategy = WatermarkStrategy::monotonous_timestamps().with_idleness(secs(60));
        let strategy = strategy.with_watermark_alignment(secs(10));
        let (mut a, mut b) = (times(strategy.clone()), times(strategy));
        a.join_alignment(0, 2);
        b.join_alignment(1, 2);
        a.add(0, NO_TIMESTAMP, 0);
        b.add(1, NO_TIMESTAMP, 0);
        a.on_event(0, 5_000, NO_TIMESTAMP);
        b.on_event(1, 100_000, NO_TIMESTAMP);
        assert!(b.has_to_wait(1, false), "the other has not said anything");
        assert!(!a.has_to_wait(0, false) && b.has_to_wait(1, false));
        a.watermark(1_000);
        assert_eq!(a.watermark(61_000), None);
        assert!(!a.has_to_wait(0, false) && !b.has_to_wait(1, false));
        // An empty shard has never said anything.
        a.add(2, NO_TIMESTAMP, 61_000);
        assert!(!a.has_to_wait(0, false) && !b.has_to_wait(1, false));
    }

    #[test]
    fn a_restored_split_goes_on_where_it_was() {
        let mut t = times(WatermarkStrategy::monotonous_timestamps());
        t.add(3, 7_000, 0);
        assert_eq!(t.watermark(0), Some(6_999));
        assert_eq!((t.newest(3), t.newest(0), t.open()), (7_000, NO_TIMESTAMP, 1));
    }
}
