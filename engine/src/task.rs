//! A task: one subtask of a vertex on its worker, with its inputs and outputs.
//!
//! The chain inside knows nothing of its host; the task is the local driver. It takes events
//! from the gate (or polls the source's reader), feeds them to the chain in slices, and puts
//! what comes out into the outlets. [`Task`] is where types are erased: the worker sees only this.

pub mod build;
pub(crate) mod chain_task;
pub mod context;
pub mod metrics;
pub mod pool;
pub mod runtime_context;
pub mod snapshot_context;
pub(crate) mod source_task;

use std::sync::Arc;

pub use self::{
    context::{OutputTag, TaskContext},
    metrics::TaskMetrics,
    runtime_context::{RestoredOperator, RuntimeContext, StateSettings},
    snapshot_context::SnapshotContext,
};
use crate::{
    checkpoint::{Barrier, CheckpointId, LocalKeyedState, SubtaskSnapshot},
    error::Result,
    exchange::Outlet,
    operator::Output,
    record::Record,
};

/// One subtask on a worker, whatever its types.
pub trait Task {
    /// Works for one slice and says how it went. Never blocks.
    fn run(&mut self, now: i64) -> Result<Activity>;

    /// Takes a command from the coordinator.
    fn command(&mut self, command: TaskCommand) -> Result<()>;

    /// When it wants to run although nothing arrives.
    fn next_wakeup(&mut self) -> Result<Option<i64>>;

    /// Counts where the time of a slice went.
    fn account(&self, spent: std::time::Duration, activity: Activity);

    /// For messages: the record that was last taken in hand.
    fn position(&self) -> String;
}

/// How a slice of work went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// There may be more to do at once.
    Busy,
    /// Nothing to do: wait for a wake-up.
    Idle,
    /// There is work, but no room for its results, or something in flight: wait for a wake-up.
    Blocked,
}

/// What the coordinator tells a task.
#[derive(Debug, Clone)]
pub enum TaskCommand {
    /// A source: emit this barrier at the next opportunity.
    Trigger(Barrier),
    /// A checkpoint is complete and committed.
    CheckpointComplete(CheckpointId),
    /// A source: take these splits (number, split) on.
    AssignSplits {
        /// Number in this run, the split's bytes, and the newest event time seen in it.
        splits: Vec<(u32, Vec<u8>, i64)>,
        /// Splits that were read to their end, and whose successors are known: they let go of the
        /// watermark.
        released: Vec<u32>,
        /// Known splits that nobody reads yet: they hold the watermark back.
        unassigned: usize,
        /// There will be no more.
        no_more: bool,
    },
}

/// What a task tells the coordinator.
pub enum TaskEvent {
    /// Its part of a checkpoint.
    Snapshot {
        /// The checkpoint.
        barrier: Barrier,
        /// The vertex's index in the graph.
        vertex: usize,
        /// The part.
        snapshot: SubtaskSnapshot<LocalKeyedState>,
    },
    /// A source's split is at its end.
    SplitFinished {
        /// The vertex's index in the graph.
        vertex: usize,
        /// Which subtask has read it.
        subtask: usize,
        /// The split's number.
        split: u32,
    },
    /// A source subtask has ended.
    SourceEnded {
        /// The vertex's index in the graph.
        vertex: usize,
        /// Which subtask.
        subtask: usize,
    },
}

/// Where a task's events go: the coordinator's mailbox.
pub type Events = Arc<dyn Fn(TaskEvent) + Send + Sync>;

/// The innermost output: records go into the task's outlet.
pub(crate) struct TaskOutput<'a, O> {
    pub outlet: &'a mut O,
    pub ctx: &'a mut TaskContext,
}

impl<T, O: Outlet<T>> Output<T> for TaskOutput<'_, O> {
    #[inline]
    fn collect(&mut self, record: Record<T>) {
        self.ctx.counters.records_out += 1;
        self.outlet.push(record);
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.ctx.stop || self.outlet.is_full()
    }

    #[inline]
    fn ctx(&mut self) -> &mut TaskContext {
        self.ctx
    }
}
