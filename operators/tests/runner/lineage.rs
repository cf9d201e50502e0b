//! Splits that follow one another, as a shard's children do: event time must not jump in between.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::{from_bytes, to_bytes},
    runner::{JobState, LocalRunner, Restore},
    source::{
        Assignments, Boundedness, EnumeratorContext, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader,
        Split, SplitEnumerator,
    },
};
use hurtig_operators::prelude::*;
use hurtig_state::BackendKind;
use serde::{Deserialize, Serialize};

use super::{
    committed::Committed,
    jobs::{Count, config},
};

const GENERATIONS: u64 = 5;
const PER_GENERATION: u64 = 100;
/// Another split is this far ahead all the time, and would pull event time with it.
const FAR_AHEAD: u64 = 1_000_000;

/// Generation after generation of one split, beside one that is far ahead and stays.
struct Lineage {
    /// How many generations may be read.
    allowed: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Part {
    Generation { number: u64, next: u64 },
    Ahead { emitted: bool },
}

impl Split for Part {
    fn id(&self) -> String {
        match self {
            Part::Generation { number, .. } => format!("generation-{number}"),
            Part::Ahead { .. } => "ahead".into(),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Parents {
    /// The generation that was assigned last.
    assigned: Option<u64>,
    ready: Vec<Part>,
}

impl SplitEnumerator<Part> for Parents {
    fn add_splits_back(&mut self, splits: Vec<Part>) {
        // A generation that was assigned and is not given back was read to its end.
        let unread = splits.iter().any(|s| matches!(s, Part::Generation { .. }));
        self.ready.extend(splits);
        if let (Some(number), false) = (self.assigned, unread) {
            self.split_finished(&Part::Generation { number, next: 0 }.id());
        }
    }

    fn split_finished(&mut self, id: &str) {
        if let Some(number) = id.strip_prefix("generation-").and_then(|n| n.parse::<u64>().ok())
            && number + 1 < GENERATIONS
        {
            self.ready.push(Part::Generation { number: number + 1, next: (number + 1) * PER_GENERATION });
        }
    }

    fn poll(&mut self, ctx: &mut Assignments<Part>) -> Result<()> {
        for part in self.ready.drain(..) {
            if let Part::Generation { number, .. } = part {
                self.assigned = Some(number);
            }
            ctx.assign(0, part);
        }
        if self.assigned == Some(GENERATIONS - 1) {
            ctx.no_more_splits();
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        to_bytes("parents", self)
    }
}

impl Source for Lineage {
    type Item = u64;
    type Split = Part;
    type Reader = LineageReader;

    fn enumerator(&self, _ctx: EnumeratorContext, restored: Option<Vec<u8>>) -> Result<Box<dyn SplitEnumerator<Part>>> {
        Ok(Box::new(match restored {
            Some(bytes) => from_bytes("parents", &bytes)?,
            None => {
                let ready = vec![Part::Ahead { emitted: false }, Part::Generation { number: 0, next: 0 }];
                Parents { assigned: None, ready }
            }
        }))
    }

    fn reader(&self, ctx: ReaderContext) -> Result<LineageReader> {
        Ok(LineageReader { splits: Vec::new(), allowed: self.allowed.clone(), ctx })
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }
}

struct LineageReader {
    splits: Vec<(u32, Part)>,
    allowed: Arc<AtomicU64>,
    ctx: ReaderContext,
}

impl SourceReader for LineageReader {
    type Item = u64;
    type Split = Part;

    fn add_split(&mut self, number: u32, split: Part) -> Result<()> {
        self.splits.push((number, split));
        Ok(())
    }

    fn poll<O: SourceOutput<u64>>(&mut self, _max: usize, out: &mut O) -> Result<ReaderStatus> {
        let mut finished = None;
        for (split, part) in &mut self.splits {
            match part {
                Part::Ahead { emitted } => {
                    if !std::mem::replace(emitted, true) {
                        out.emit(*split, 0, FAR_AHEAD as i64, FAR_AHEAD);
                    }
                }
                Part::Generation { number, next } => {
                    if *number < self.allowed.load(SeqCst) {
                        out.emit(*split, *next, *next as i64, *next);
                        *next += 1;
                    }
                    if *next == (*number + 1) * PER_GENERATION {
                        finished = Some((*split, *number));
                    }
                }
            }
        }
        if let Some((split, number)) = finished {
            out.finish_split(split);
            self.splits.retain(|(s, _)| *s != split);
            if number + 1 == GENERATIONS {
                self.splits.drain(..).for_each(|(ahead, _)| out.finish_split(ahead));
            }
        }
        Ok(ReaderStatus::NothingAvailable { until: Some(self.ctx.clock.now_ms()) })
    }

    fn snapshot(&mut self, _checkpoint: CheckpointId) -> Result<Vec<(u32, Part)>> {
        Ok(self.splits.clone())
    }
}

#[test]
fn event_time_waits_for_the_child_of_a_split_that_was_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = Arc::new(AtomicU64::new(2));
    let out = Committed::<(i64, u64)>::default();
    let job = || {
        let env = Environment::new("lineage");
        let source = Lineage { allowed: allowed.clone() };
        env.from_source(source, WatermarkStrategy::monotonous_timestamps(), "numbers")
            .uid("numbers")
            .key_by(|_: &u64| 0)
            .window(TumblingEventTimeWindows::of(ms(PER_GENERATION)))
            .aggregate(Count, |_: &i32, window: TimeWindow, count: u64| (window.start, count))
            .uid("windows")
            .sink_to(out.clone())
            .name("out")
            .uid("out");
        env.graph().unwrap()
    };
    // Stopped when the second generation has been read and the third cannot be.
    let first = LocalRunner::submit(job(), config(&dir.path().join("a"), BackendKind::Heap)).unwrap();
    let numbers = &first.metrics()[0];
    while numbers[0].records_in.load(SeqCst) < 2 * PER_GENERATION + 1 {
        std::thread::yield_now();
    }
    let savepoint = first.stop(None, false).unwrap();
    first.wait().unwrap();
    allowed.store(u64::MAX, SeqCst);
    let mut again = config(&dir.path().join("b"), BackendKind::Heap);
    again.restore = Restore::Path(savepoint);
    let result = LocalRunner::submit(job(), again).unwrap().wait().unwrap();
    assert_eq!(result.state, JobState::Finished);
    let mut expected: Vec<_> = (0..GENERATIONS).map(|g| ((g * PER_GENERATION) as i64, PER_GENERATION)).collect();
    expected.push((FAR_AHEAD as i64, 1));
    out.must_be(&expected, "nothing came too late for its window");
}
