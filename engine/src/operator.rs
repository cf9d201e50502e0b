//! The contract of an operator, and how operators fuse.
//!
//! An [`Operator`] is driven from outside: by records, watermarks, processing time, snapshots.
//! It owns no thread, no clock, no file and no network, and emits into an [`Output`] that it is
//! handed. Two operators fuse into a third by [`Then`]: `process` of the first calls `process`
//! of the second through a [`Link`], all statically typed, so that a chain of ten compiles to
//! one loop without allocation or dynamic call. Types are erased at chain edges only.
//!
//! ```
//! use hurtig_engine::operator::{Operator, Output};
//! use hurtig_engine::record::Record;
//! use hurtig_engine::error::Result;
//!
//! struct Double;
//! impl Operator<i64> for Double {
//!     type Out = i64;
//!     fn process<O: Output<i64>>(&mut self, record: Record<i64>, out: &mut O) -> Result<()> {
//!         let value = record.value * 2;
//!         out.collect(record.with(value));
//!         Ok(())
//!     }
//! }
//! ```

use crate::{
    checkpoint::CheckpointId,
    error::Result,
    record::Record,
    task::{context::TaskContext, runtime_context::RuntimeContext, snapshot_context::SnapshotContext},
};

/// Where an operator emits. Emitting never blocks: `collect` always takes the record, and
/// [`is_full`](Output::is_full) asks to come back later.
pub trait Output<T> {
    /// Emits one record downstream.
    fn collect(&mut self, record: Record<T>);

    /// Whether to stop soon and go on when called again. Only long emissions (firing timers,
    /// flat maps) need to look.
    fn is_full(&self) -> bool;

    /// The task's surroundings: watermark, processing time, side outputs, dead letters.
    fn ctx(&mut self) -> &mut TaskContext;
}

/// Whether a sliced piece of work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All of it.
    Done,
    /// The output is full; call again.
    More,
}

/// One operator instance on one worker. Made by its [`OperatorFactory`].
pub trait Operator<In>: 'static {
    /// What it emits.
    type Out;

    /// Says which records [`process`](Self::process) is going to be called with next, in this order.
    /// An operator that looks things up can get them on their way; it need not do anything.
    fn announce(&mut self, _records: &[Record<In>]) {}

    /// The same, where `next` stands behind this operator: who hands records on as they are hands
    /// the announcement on too.
    fn announce_before<B: Operator<Self::Out>>(&mut self, records: &[Record<In>], _next: &mut B) {
        self.announce(records);
    }

    /// Works on one record.
    fn process<O: Output<Self::Out>>(&mut self, record: Record<In>, out: &mut O) -> Result<()>;

    /// Goes on with what [`process`](Self::process) left when the output was full. The next
    /// record and the next control event come only when this is [`Progress::Done`].
    fn resume<O: Output<Self::Out>>(&mut self, _out: &mut O) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// Event time has come to `watermark`: fires timers and windows, in slices. Called again
    /// with the same watermark after [`Progress::More`].
    fn watermark<O: Output<Self::Out>>(&mut self, _watermark: i64, _out: &mut O) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// Processing time has come to `now`.
    fn processing_time<O: Output<Self::Out>>(&mut self, _now: i64, _out: &mut O) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// When [`processing_time`](Self::processing_time) is next wanted.
    fn next_processing_time(&mut self) -> Result<Option<i64>> {
        Ok(None)
    }

    /// The input has ended; called after the last watermark.
    fn end_of_input<O: Output<Self::Out>>(&mut self, _out: &mut O) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// Whether another record can be taken now (a sink with too much in flight cannot).
    fn ready(&mut self, _ctx: &mut TaskContext) -> Result<bool> {
        Ok(true)
    }

    /// Before a snapshot: finishes what is in flight. `false`: not yet, ask again.
    fn flush(&mut self, _ctx: &mut TaskContext) -> Result<bool> {
        Ok(true)
    }

    /// Puts the operator's state into a checkpoint.
    fn snapshot(&mut self, _snapshot: &mut SnapshotContext<'_>) -> Result<()> {
        Ok(())
    }

    /// A checkpoint is complete: its manifest is written and its committables are committed.
    fn checkpoint_complete(&mut self, _checkpoint: CheckpointId) {}
}

/// Makes the instances of an operator: one per subtask and attempt (Flink's
/// `StreamOperatorFactory`). Creating is also opening: an instance is ready when it exists.
pub trait OperatorFactory<In>: Clone + Send + 'static {
    /// What the operator emits.
    type Out;
    /// The operator.
    type Operator: Operator<In, Out = Self::Out>;

    /// Makes one instance, with its state restored.
    fn create(&self, ctx: &mut RuntimeContext<'_>) -> Result<Self::Operator>;
}

/// Nothing: what a chain starts with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity;

impl<T: 'static> OperatorFactory<T> for Identity {
    type Out = T;
    type Operator = Identity;

    fn create(&self, _ctx: &mut RuntimeContext<'_>) -> Result<Identity> {
        Ok(Identity)
    }
}

impl<T: 'static> Operator<T> for Identity {
    type Out = T;

    #[inline]
    fn announce_before<B: Operator<T>>(&mut self, records: &[Record<T>], next: &mut B) {
        next.announce(records);
    }

    #[inline]
    fn process<O: Output<T>>(&mut self, record: Record<T>, out: &mut O) -> Result<()> {
        out.collect(record);
        Ok(())
    }
}

/// Two operators (or two factories) fused.
#[derive(Debug, Clone)]
pub struct Then<A, B> {
    first: A,
    second: B,
}

impl<A, B> Then<A, B> {
    /// `second` behind `first`.
    pub fn new(first: A, second: B) -> Self {
        Then { first, second }
    }
}

impl<In, A, B> OperatorFactory<In> for Then<A, B>
where
    In: 'static,
    A: OperatorFactory<In>,
    A::Out: 'static,
    B: OperatorFactory<A::Out>,
{
    type Out = B::Out;
    type Operator = Then<A::Operator, B::Operator>;

    fn create(&self, ctx: &mut RuntimeContext<'_>) -> Result<Self::Operator> {
        Ok(Then { first: self.first.create(ctx)?, second: self.second.create(ctx)? })
    }
}

/// The first operator's output: the second operator's input.
struct Link<'a, B, O> {
    second: &'a mut B,
    out: &'a mut O,
}

impl<T, B: Operator<T>, O: Output<B::Out>> Output<T> for Link<'_, B, O> {
    #[inline]
    fn collect(&mut self, record: Record<T>) {
        if let Err(e) = self.second.process(record, self.out) {
            self.out.ctx().fail(e);
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.out.is_full()
    }

    #[inline]
    fn ctx(&mut self) -> &mut TaskContext {
        self.out.ctx()
    }
}

/// Runs a sliced call on the first operator, then on the second.
macro_rules! in_order {
    ($self:ident, $out:ident, $call:ident $(, $arg:expr)*) => {{
        let first = $self.first.$call($($arg,)* &mut Link { second: &mut $self.second, out: $out })?;
        if first == Progress::More {
            return Ok(Progress::More);
        }
        $self.second.$call($($arg,)* $out)
    }};
}

impl<In, A, B> Operator<In> for Then<A, B>
where
    In: 'static,
    A: Operator<In>,
    A::Out: 'static,
    B: Operator<A::Out>,
{
    type Out = B::Out;

    #[inline]
    fn announce(&mut self, records: &[Record<In>]) {
        self.first.announce_before(records, &mut self.second);
    }

    #[inline]
    fn process<O: Output<Self::Out>>(&mut self, record: Record<In>, out: &mut O) -> Result<()> {
        self.first.process(record, &mut Link { second: &mut self.second, out })
    }

    #[inline]
    fn resume<O: Output<Self::Out>>(&mut self, out: &mut O) -> Result<Progress> {
        // Downstream first: what the second still holds came before what the first still holds.
        if self.second.resume(out)? == Progress::More {
            return Ok(Progress::More);
        }
        if self.first.resume(&mut Link { second: &mut self.second, out })? == Progress::More {
            return Ok(Progress::More);
        }
        self.second.resume(out)
    }

    fn watermark<O: Output<Self::Out>>(&mut self, watermark: i64, out: &mut O) -> Result<Progress> {
        in_order!(self, out, watermark, watermark)
    }

    fn processing_time<O: Output<Self::Out>>(&mut self, now: i64, out: &mut O) -> Result<Progress> {
        in_order!(self, out, processing_time, now)
    }

    fn next_processing_time(&mut self) -> Result<Option<i64>> {
        Ok(match (self.first.next_processing_time()?, self.second.next_processing_time()?) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        })
    }

    fn end_of_input<O: Output<Self::Out>>(&mut self, out: &mut O) -> Result<Progress> {
        in_order!(self, out, end_of_input)
    }

    fn ready(&mut self, ctx: &mut TaskContext) -> Result<bool> {
        Ok(self.second.ready(ctx)? && self.first.ready(ctx)?)
    }

    fn flush(&mut self, ctx: &mut TaskContext) -> Result<bool> {
        Ok(self.first.flush(ctx)? && self.second.flush(ctx)?)
    }

    fn snapshot(&mut self, snapshot: &mut SnapshotContext<'_>) -> Result<()> {
        self.first.snapshot(snapshot)?;
        self.second.snapshot(snapshot)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) {
        self.first.checkpoint_complete(checkpoint);
        self.second.checkpoint_complete(checkpoint);
    }
}

/// An operator (or its factory) with its place in the list of the vertex's operators, by which
/// it finds its name, its uid and its restored state.
#[derive(Debug, Clone)]
pub struct Named<P> {
    inner: P,
    index: usize,
}

impl<P> Named<P> {
    /// `inner` as operator number `index` of its vertex.
    pub fn new(inner: P, index: usize) -> Self {
        Named { inner, index }
    }
}

impl<In, P: OperatorFactory<In>> OperatorFactory<In> for Named<P> {
    type Out = P::Out;
    type Operator = Named<P::Operator>;

    fn create(&self, ctx: &mut RuntimeContext<'_>) -> Result<Self::Operator> {
        ctx.enter(self.index);
        Ok(Named { inner: self.inner.create(ctx)?, index: self.index })
    }
}

impl<In, P: Operator<In>> Operator<In> for Named<P> {
    type Out = P::Out;

    #[inline]
    fn announce(&mut self, records: &[Record<In>]) {
        self.inner.announce(records);
    }

    #[inline]
    fn process<O: Output<Self::Out>>(&mut self, record: Record<In>, out: &mut O) -> Result<()> {
        self.inner.process(record, out)
    }

    #[inline]
    fn resume<O: Output<Self::Out>>(&mut self, out: &mut O) -> Result<Progress> {
        self.inner.resume(out)
    }

    fn watermark<O: Output<Self::Out>>(&mut self, watermark: i64, out: &mut O) -> Result<Progress> {
        self.inner.watermark(watermark, out)
    }

    fn processing_time<O: Output<Self::Out>>(&mut self, now: i64, out: &mut O) -> Result<Progress> {
        self.inner.processing_time(now, out)
    }

    fn next_processing_time(&mut self) -> Result<Option<i64>> {
        self.inner.next_processing_time()
    }

    fn end_of_input<O: Output<Self::Out>>(&mut self, out: &mut O) -> Result<Progress> {
        self.inner.end_of_input(out)
    }

    fn ready(&mut self, ctx: &mut TaskContext) -> Result<bool> {
        self.inner.ready(ctx)
    }

    fn flush(&mut self, ctx: &mut TaskContext) -> Result<bool> {
        self.inner.flush(ctx)
    }

    fn snapshot(&mut self, snapshot: &mut SnapshotContext<'_>) -> Result<()> {
        snapshot.enter(self.index);
        self.inner.snapshot(snapshot)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) {
        self.inner.checkpoint_complete(checkpoint);
    }
}
