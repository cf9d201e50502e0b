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
