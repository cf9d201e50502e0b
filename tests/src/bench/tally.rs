//! Where a benchmark's records end, counted on the way.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use hurtig_engine::{
    Record, Result,
    sink::{Sink, SinkContext, SinkWriter, WriterContext},
};
use hurtig_state::BackendStats;

/// Counts that operators and sinks of all subtasks add to.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    records: AtomicU64,
    weight: AtomicU64,
    marked: AtomicU64,
    stats: Mutex<Vec<BackendStats>>,
}

impl Tally {
    /// How many records came to the sink.
    pub fn records(&self) -> u64 {
        self.0.records.load(Relaxed)
    }

    /// What these weigh together: the readings in windows.
    pub fn weight(&self) -> u64 {
        self.0.weight.load(Relaxed)
    }

    /// How many an operator has marked: repeats, or times that were moved.
    pub fn marked(&self) -> u64 {
        self.0.marked.load(Relaxed)
    }

    /// Counts a record of weight `weight` that no [`CountingSink`] sees.
    #[inline]
    pub fn count(&self, weight: u64) {
        self.0.records.fetch_add(1, Relaxed);
        self.0.weight.fetch_add(weight, Relaxed);
    }

    /// Marks one.
    #[inline]
    pub fn mark(&self) {
        self.0.marked.fetch_add(1, Relaxed);
    }

    /// A place for one subtask's state figures.
    pub fn stats_slot(&self) -> usize {
        let mut stats = self.0.stats.lock().unwrap_or_else(|e| e.into_inner());
        stats.push(BackendStats::default());
        stats.len() - 1
    }

    /// The latest figures of a subtask's state.
    pub fn put_stats(&self, slot: usize, latest: BackendStats) {
        let mut stats = self.0.stats.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(place) = stats.get_mut(slot) {
            *place = latest;
        }
    }

    /// All subtasks' state figures.
    pub fn stats(&self) -> Vec<BackendStats> {
        self.0.stats.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

/// Takes every record as it is, counts it and drops it. What was made of the input must really be
/// made: the compiler is kept from seeing that nobody looks at it.
pub struct CountingSink<T> {
    tally: Tally,
    weigh: fn(&T) -> u64,
}

impl<T> CountingSink<T> {
    /// Counts into `tally`; `weigh` says what a record counts beside one.
    pub fn new(tally: &Tally, weigh: fn(&T) -> u64) -> Self {
        CountingSink { tally: tally.clone(), weigh }
    }
}

/// One subtask's counts since the last barrier.
pub struct CountingWriter<T> {
    tally: Tally,
    weigh: fn(&T) -> u64,
    records: u64,
    weight: u64,
}

impl<T: 'static> Sink<T> for CountingSink<T> {
    type Writer = CountingWriter<T>;

    fn writer(&self, _ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        Ok(CountingWriter { tally: self.tally.clone(), weigh: self.weigh, records: 0, weight: 0 })
    }
}

impl<T: 'static> SinkWriter<T> for CountingWriter<T> {
    #[inline]
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.records += 1;
        self.weight += (self.weigh)(std::hint::black_box(&record.value));
        ctx.written(1);
        Ok(())
    }

    /// The last barrier comes after the last record.
    fn flush(&mut self, _ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.tally.0.records.fetch_add(std::mem::take(&mut self.records), Relaxed);
        self.tally.0.weight.fetch_add(std::mem::take(&mut self.weight), Relaxed);
        Ok(true)
    }
}
