//! `process`: a user function with side outputs, dead letters and time, without keys.

use std::sync::Arc;

use hurtig_engine::{
    Data, Record, Result,
    operator::{Operator, OperatorFactory, Output},
    task::{RuntimeContext, SnapshotContext},
};

use crate::{
    collector::Collector,
    stream::{DataStream, Fused, Head, Transformed},
};

/// A function over single records (Flink's `ProcessFunction`).
///
/// As in Flink, timers need a key: a function that has to come back to something later is a
/// [`KeyedProcessFunction`](crate::keyed_process::KeyedProcessFunction) behind `key_by`.
pub trait ProcessFunction<In>: Clone + Send + 'static {
    /// What it emits.
    type Out: Data;

    /// Called once on every subtask, before the first record; `restored` are the items that
    /// [`snapshot`](Self::snapshot) put into the checkpoint and that fell to this subtask.
    fn open(&mut self, _ctx: &mut RuntimeContext<'_>, _restored: Vec<Vec<u8>>) -> Result<()> {
        Ok(())
    }

    /// Works on one record.
    fn process_element<O: Output<Self::Out>>(&mut self, value: In, out: &mut Collector<'_, O>) -> Result<()>;

    /// Operator state for the checkpoint.
    fn snapshot(&mut self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }
}

/// Makes [`ProcessOperator`]s.
#[derive(Debug, Clone)]
pub struct Process<P> {
    function: P,
}

/// Runs a [`ProcessFunction`].
pub struct ProcessOperator<P> {
    function: P,
    name: Arc<str>,
}

impl<In: 'static, P: ProcessFunction<In>> OperatorFactory<In> for Process<P> {
    type Out = P::Out;
    type Operator = ProcessOperator<P>;

    fn create(&self, ctx: &mut RuntimeContext<'_>) -> Result<Self::Operator> {
        let mut function = self.function.clone();
        let restored = ctx.restored().state;
        function.open(ctx, restored)?;
        Ok(ProcessOperator { function, name: ctx.name().into() })
    }
}

impl<In, P: ProcessFunction<In>> Operator<In> for ProcessOperator<P> {
    type Out = P::Out;

    #[inline]
    fn process<O: Output<P::Out>>(&mut self, record: Record<In>, out: &mut O) -> Result<()> {
        let mut out = Collector::new(out, record.timestamp, record.origin, &self.name);
        self.function.process_element(record.value, &mut out)
    }

    fn snapshot(&mut self, snapshot: &mut SnapshotContext<'_>) -> Result<()> {
        snapshot.put_state(self.function.snapshot()?);
        Ok(())
    }
}

impl<T: Data, H: Head, Op: OperatorFactory<H::Item, Out = T>> DataStream<T, Fused<H, Op>> {
    /// Runs a [`ProcessFunction`] over the stream.
    pub fn process<P: ProcessFunction<T>>(self, function: P) -> Transformed<P::Out, H, Op, Process<P>> {
        self.transform("Process", Process { function })
    }
}

#[cfg(test)]
mod tests {
    use hurtig_engine::{
        Origin,
        harness::{HarnessSettings, OneInputHarness},
        task::OutputTag,
    };

    use super::*;

    /// Even numbers go on, odd ones aside, those above a thousand nowhere; keeps what it saw.
    #[derive(Clone)]
    struct Sort {
        odd: OutputTag<String>,
        seen: Vec<Vec<u8>>,
    }

    impl ProcessFunction<u64> for Sort {
        type Out = u64;

        fn open(&mut self, _ctx: &mut RuntimeContext<'_>, restored: Vec<Vec<u8>>) -> Result<()> {
            self.seen = restored;
            Ok(())
        }

        fn process_element<O: Output<u64>>(&mut self, value: u64, out: &mut Collector<'_, O>) -> Result<()> {
            self.seen.push(value.to_string().into_bytes());
            match value {
                1001.. => out.dead_letter(value.to_string().into_bytes(), "too much"),
                n if n % 2 == 1 => out.output(&self.odd, format!("odd {n}")),
                n => out.collect_at(n, out.timestamp() + 1),
            }
            Ok(())
        }

        fn snapshot(&mut self) -> Result<Vec<Vec<u8>>> {
            Ok(self.seen.clone())
        }
    }

    #[test]
    fn the_main_output_a_side_output_and_the_dead_letters() {
        let odd = OutputTag::new("odd");
        let process = Process { function: Sort { odd: odd.clone(), seen: Vec::new() } };
        let mut harness = OneInputHarness::new(process).expect("started");
        harness.keep_side(&odd);
        for (n, value) in [2, 3, 5000].into_iter().enumerate() {
            let origin = Origin::new(0, n as u64);
            harness.push_record(Record { value, timestamp: 10, origin }).expect("taken");
        }
        assert_eq!(harness.take(), [Record { value: 2, timestamp: 11, origin: Origin::new(0, 0) }]);
        let aside = Record { value: "odd 3".to_owned(), timestamp: 10, origin: Origin::new(0, 1) };
        assert_eq!(harness.take_side(&odd), [aside]);
        let letters = harness.take_dead_letters();
        assert_eq!(letters.len(), 1);
        let letter = &letters[0];
        assert_eq!((letter.time, letter.position, letter.raw.as_slice()), (Some(10), Some(2), &b"5000"[..]));
        assert_eq!((letter.operator.as_str(), letter.reason.as_str()), ("operator", "too much"));
    }

    #[test]
    fn a_record_without_a_time_gives_a_letter_without_one() {
        let process = Process { function: Sort { odd: OutputTag::new("odd"), seen: Vec::new() } };
        let mut harness = OneInputHarness::new(process).expect("started");
        harness.processing_time(77).expect("time");
        harness.push(5000).expect("taken");
        assert_eq!(harness.take_dead_letters()[0].time, None, "the wall clock is not the record's");
    }

    #[test]
    fn a_side_output_as_another_type_is_an_error() {
        let process = Process { function: Sort { odd: OutputTag::new("odd"), seen: Vec::new() } };
        let mut harness = OneInputHarness::new(process).expect("started");
        harness.push(1).expect("nobody reads it: dropped");
        harness.keep_side(&OutputTag::<u64>::new("odd"));
        let e = harness.push(1).expect_err("another type").to_string();
        assert!(e.contains("'odd' is read as another type than"), "{e}");
    }

    #[test]
    fn operator_state_is_dealt_out_again() {
        let dir = tempfile::tempdir().expect("dir");
        let process = Process { function: Sort { odd: OutputTag::new("odd"), seen: Vec::new() } };
        let mut harness = OneInputHarness::with(process.clone(), HarnessSettings::new(dir.path())).expect("started");
        for n in 0..5 {
            harness.push(n).expect("taken");
        }
        let snapshot = [harness.snapshot().expect("a snapshot")];
        let mut seen = Vec::new();
        for subtask in 0..3 {
            let settings = HarnessSettings { subtask, parallelism: 3, ..HarnessSettings::new(dir.path()) };
            let mut restored = OneInputHarness::restore(process.clone(), settings, &snapshot).expect("restored");
            let share = restored.snapshot().expect("a snapshot").state;
            assert!((1..=2).contains(&share.len()), "{share:?}");
            seen.extend(share);
        }
        seen.sort();
        assert_eq!(seen, (0..5).map(|n: u64| n.to_string().into_bytes()).collect::<Vec<_>>());
    }
}
