//! One reader of a source, with an output that keeps everything.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use hurtig_engine::{
    error::Result,
    metrics::Metrics,
    source::{
        EnumeratorContext, EnumeratorWaker, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader, Split,
        SplitNames,
    },
    task::pool::Waker,
    time::{Clock, MIN_WATERMARK, ManualClock},
};

/// A record that was emitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Emitted<T> {
    /// The split's number.
    pub split: u32,
    /// Its position in the split.
    pub position: u64,
    /// Its arrival time.
    pub arrival: i64,
    /// What was read.
    pub value: T,
}

/// A dead letter that was emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The split's number.
    pub split: u32,
    /// Its position in the split.
    pub position: u64,
    /// Its arrival time.
    pub arrival: i64,
    /// The raw bytes.
    pub raw: Vec<u8>,
    /// Why.
    pub reason: String,
}

/// Event time of a record.
type EventTime<T> = Box<dyn Fn(&T) -> i64>;

/// An output that keeps what it is given.
pub struct Output<T> {
    /// What was emitted.
    pub records: Vec<Emitted<T>>,
    /// What could not be read.
    pub letters: Vec<Letter>,
    /// The splits that were read to their end.
    pub finished: Vec<u32>,
    /// Says that it is full when it holds this many records and letters.
    pub capacity: usize,
    watermarks: HashMap<u32, i64>,
    event_time: Option<EventTime<T>>,
}

impl<T> Default for Output<T> {
    fn default() -> Self {
        Output {
            records: Vec::new(),
            letters: Vec::new(),
            finished: Vec::new(),
            capacity: usize::MAX,
            watermarks: HashMap::new(),
            event_time: None,
        }
    }
}

impl<T> Output<T> {
    /// An output whose watermarks are the highest event time seen per split.
    pub fn with_event_time(event_time: impl Fn(&T) -> i64 + 'static) -> Self {
        Output { event_time: Some(Box::new(event_time)), ..Output::default() }
    }

    /// An output that is full with so many records and letters.
    pub fn with_capacity(capacity: usize) -> Self {
        Output { capacity, ..Output::default() }
    }

    /// The values that were emitted.
    pub fn values(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.records.iter().map(|r| r.value.clone()).collect()
    }

    /// How many records and letters there are.
    pub fn len(&self) -> usize {
        self.records.len() + self.letters.len()
    }

    /// Whether nothing was emitted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> SourceOutput<T> for Output<T> {
    fn emit(&mut self, split: u32, position: u64, arrival: i64, value: T) {
        if let Some(f) = &self.event_time {
            let w = self.watermarks.entry(split).or_insert(MIN_WATERMARK);
            *w = (*w).max(f(&value));
        }
        self.records.push(Emitted { split, position, arrival, value });
    }

    fn dead_letter(&mut self, split: u32, position: u64, arrival: i64, raw: &[u8], reason: &str) {
        self.letters.push(Letter { split, position, arrival, raw: raw.to_vec(), reason: reason.to_owned() });
    }

    fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    fn split_watermark(&self, split: u32) -> i64 {
        self.watermarks.get(&split).copied().unwrap_or(MIN_WATERMARK)
    }

    fn finish_split(&mut self, split: u32) {
        self.finished.push(split);
    }
}

/// One reader and its splits.
pub struct SourceHarness<S: Source> {
    /// The reader.
    pub reader: S::Reader,
    /// The clock it was given, standing at 0.
    pub clock: Arc<ManualClock>,
    names: BTreeMap<u32, String>,
}

impl<S: Source> SourceHarness<S> {
    /// A reader without splits.
    pub fn empty(source: &S) -> Result<Self> {
        let clock = Arc::new(ManualClock::new(0));
        let reader = source.reader(ReaderContext {
            job: "job".into(),
            uid: "source".into(),
            subtask: 0,
            parallelism: 1,
            attempt: "1".into(),
            clock: clock.clone() as Arc<dyn Clock>,
            waker: Waker::default(),
            runtime: super::shared_runtime(),
            splits: SplitNames::default(),
            metrics: Metrics::default(),
        })?;
        Ok(SourceHarness { reader, clock, names: BTreeMap::new() })
    }

    /// A reader with these splits.
    pub fn with_splits(source: &S, splits: Vec<S::Split>) -> Result<Self> {
        let mut harness = Self::empty(source)?;
        for (i, split) in splits.into_iter().enumerate() {
            let number = u32::try_from(i).unwrap_or(u32::MAX);
            harness.names.insert(number, split.id());
            harness.reader.add_split(number, split)?;
        }
        Ok(harness)
    }

    /// The id of a split.
    pub fn name(&self, split: u32) -> &str {
        self.names.get(&split).map_or("", String::as_str)
    }

    /// Polls until nothing is available any more.
    pub fn run(&mut self) -> Result<Output<S::Item>> {
        let mut out = Output::default();
        self.run_into(1000, &mut out)?;
        Ok(out)
    }

    /// Polls `max` records at a time until nothing is available or `out` is full.
    pub fn run_into(&mut self, max: usize, out: &mut Output<S::Item>) -> Result<()> {
        while !out.is_full() && self.reader.poll(max, out)? == ReaderStatus::MoreAvailable {}
        Ok(())
    }

    /// The splits at their positions.
    pub fn snapshot(&mut self) -> Result<Vec<S::Split>> {
        Ok(self.reader.snapshot(1)?.into_iter().map(|(_, split)| split).collect())
    }
}

/// What an enumerator is made with, for `readers` readers and at a clock of the test's own.
pub fn enumerator_context(readers: usize, clock: Arc<dyn Clock>) -> EnumeratorContext {
    EnumeratorContext {
        job: "job".into(),
        uid: "source".into(),
        readers,
        clock,
        waker: EnumeratorWaker::new(|| {}),
        runtime: super::shared_runtime(),
        metrics: Metrics::default(),
    }
}
