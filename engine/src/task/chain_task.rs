//! The driver of a chain that is fed by other vertices.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hurtig_state::ManualClock;

use super::{Activity, Events, SnapshotContext, Task, TaskCommand, TaskContext, TaskEvent, TaskMetrics, TaskOutput};
use crate::{
    checkpoint::{Barrier, CheckpointId, SubtaskSnapshot},
    error::{Error, Result},
    exchange::{Control, GateEvent, InputGate, Outlet},
    graph::{OperatorMeta, TaskSetup},
    operator::{Operator, OperatorFactory, Progress},
    record::{Data, Origin, Record},
    time::MAX_WATERMARK,
};

/// Where a subtask's snapshot lies until it is uploaded, below the attempt's `snapshots`.
pub(crate) fn snapshot_dir(id: CheckpointId, vertex: usize, subtask: usize) -> String {
    format!("chk-{id}-{vertex}-{subtask}")
}

/// What every task has, whatever drives its chain.
pub(crate) struct TaskCore<Op, O> {
    pub op: Op,
    pub outlet: O,
    pub ctx: TaskContext,
    pub metrics: Arc<TaskMetrics>,
    pub vertex: usize,
    pub subtask: usize,
    pub parallelism: usize,
    operators: Vec<OperatorMeta>,
    events: Events,
    snapshots: PathBuf,
    clock: Arc<dyn crate::time::Clock>,
    slice_clock: Arc<ManualClock>,
    /// The barrier whose flush has begun, since when.
    flushing_since: Option<i64>,
}

impl<Op, O> TaskCore<Op, O> {
    /// Creates the chain's operators and what surrounds them.
    pub fn new<In, F>(
        factory: &F,
        mut setup: TaskSetup<'_>,
        outlet: O,
        ctx: TaskContext,
    ) -> Result<(Self, Vec<crate::exchange::Receiver>)>
    where
        F: OperatorFactory<In, Operator = Op>,
        Op: Operator<In, Out = F::Out>,
    {
        let mut ctx = ctx;
        let counters = setup.ctx.restored_task_counters();
        ctx.counters = counters;
        let op = factory.create(&mut setup.ctx)?;
        setup.metrics.publish(&ctx.counters, ctx.watermark);
        let core = TaskCore {
            op,
            outlet,
            ctx,
            metrics: setup.metrics,
            vertex: setup.vertex,
            subtask: setup.ctx.subtask,
            parallelism: setup.ctx.parallelism,
            operators: setup.ctx.operators.to_vec(),
            events: setup.events,
            snapshots: setup.snapshots,
            clock: setup.ctx.clock.clone(),
            slice_clock: setup.ctx.slice_clock.clone(),
            flushing_since: None,
        };
        Ok((core, setup.inputs))
    }

    /// A slice of work begins.
    pub fn begin_slice(&mut self, now: i64) {
        self.ctx.now = now;
        self.slice_clock.set(now);
    }

    /// Hands an event to the coordinator.
    pub fn tell(&self, event: TaskEvent) {
        (self.events)(event);
    }

    /// Publishes the figures, and fails if user code did.
    pub fn end_slice(&mut self) -> Result<()> {
        self.metrics.publish(&self.ctx.counters, self.ctx.watermark);
        match self.ctx.failure.take() {
            Some(e) => Err(self.user_error(e)),
            None => Ok(()),
        }
    }

    /// What failed, with the vertex's name and the record's origin.
    pub fn user_error(&self, e: Error) -> Error {
        match e {
            Error::User { .. } => e,
            e => Error::User { vertex: self.ctx.vertex.to_string(), origin: self.position(), reason: e.to_string() },
        }
    }

    /// The record that was last taken in hand.
    pub fn position(&self) -> String {
        self.ctx.splits().describe(self.ctx.origin)
    }

    /// Sends a control event on all outputs, in order behind the records.
    pub fn forward<T>(&mut self, control: Control)
    where
        O: Outlet<T>,
    {
        self.outlet.control(control);
        self.ctx.control(control);
    }

    /// Tries to get rid of what waits in the outputs; `true`: nothing waits.
    pub fn drain<T>(&mut self) -> bool
    where
        O: Outlet<T>,
    {
        let main = self.outlet.drain();
        let drained = self.ctx.drain() && main;
        if drained && self.ctx.failure.is_none() {
            self.ctx.stop = false;
        }
        drained
    }

    /// Takes the chain's part of the checkpoint, tells the coordinator, and sends the barrier on.
    /// `false`: something is still in flight.
    pub fn snapshot<In>(
        &mut self,
        barrier: Barrier,
        now: i64,
        alignment_ms: i64,
        reader: impl FnOnce(&mut SnapshotContext<'_>) -> Result<()>,
    ) -> Result<bool>
    where
        Op: Operator<In>,
        O: Outlet<Op::Out>,
    {
        self.flushing_since.get_or_insert(now);
        if !self.op.flush(&mut self.ctx)? {
            return Ok(false);
        }
        let begun = self.flushing_since.take().unwrap_or(now);
        let dir = self.snapshots.join(snapshot_dir(barrier.id, self.vertex, self.subtask));
        let mut context = SnapshotContext::new(barrier.id, &self.operators, dir, self.ctx.watermark);
        reader(&mut context)?;
        self.op.snapshot(&mut context)?;
        let mut operators = context.into_operators();
        if let Some(first) = operators.first_mut() {
            let c = &self.ctx.counters;
            first.counters.insert("task_records_in".into(), c.records_in);
            first.counters.insert("task_records_out".into(), c.records_out);
            first.counters.insert("task_dead_lettered".into(), c.dead_lettered);
            first.counters.insert("task_unread".into(), c.unread);
        }
        let snapshot = SubtaskSnapshot {
            vertex_uid: self.operators.first().map_or_else(String::new, |o| o.uid.clone()),
            vertex_name: self.ctx.vertex.to_string(),
            parallelism: self.parallelism as u16,
            subtask: self.subtask as u16,
            operators,
            alignment_ms,
            sync_ms: self.clock.now_ms() - begun,
        };
        self.tell(TaskEvent::Snapshot { barrier, vertex: self.vertex, snapshot });
        self.forward(Control::Barrier(barrier));
        Ok(true)
    }

    /// Counts where a slice's time went.
    pub fn account(&self, spent: Duration, activity: Activity) {
        let ns = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        let sum = match activity {
            Activity::Blocked => &self.metrics.backpressured_ns,
            _ => &self.metrics.busy_ns,
        };
        sum.fetch_add(ns, std::sync::atomic::Ordering::Relaxed);
    }
}

/// What a chain task is in the middle of.
enum Stage<In> {
    /// Between events.
    Ready,
    /// In a batch.
    Batch(std::vec::IntoIter<Record<In>>),
    /// Firing what event time has made due.
    Watermark(i64),
    /// Firing what processing time has made due.
    ProcessingTime(i64),
    /// Flushing before a snapshot.
    Barrier(Barrier, i64),
    /// After the last watermark.
    End,
}

/// How many events a task may work on before the next task's turn.
const EVENTS_PER_SLICE: usize = 4;

/// How many records an operator is told of ahead: enough for memory to answer, few enough to stay
/// in a core's first cache.
const ANNOUNCED: usize = 32;

/// A chain fed by channels.
pub(crate) struct ChainTask<In, Op, O> {
    core: TaskCore<Op, O>,
    gate: InputGate,
    stage: Stage<In>,
    next_timer: Option<i64>,
    /// All inputs have ended: after the last watermark the chain ends too.
    ending: bool,
}

impl<In: Data, Op: Operator<In>, O: Outlet<Op::Out>> ChainTask<In, Op, O> {
    /// Makes the task of one subtask.
    pub fn create<F>(factory: &F, setup: TaskSetup<'_>, outlet: O, ctx: TaskContext) -> Result<Self>
    where
        F: OperatorFactory<In, Operator = Op, Out = Op::Out>,
    {
        let watermark = ctx.watermark;
        let (core, inputs) = TaskCore::new(factory, setup, outlet, ctx)?;
        let mut task = ChainTask {
            core,
            gate: InputGate::new(inputs, watermark),
            stage: Stage::Ready,
            next_timer: None,
            ending: false,
        };
        task.next_timer = task.core.op.next_processing_time()?;
        Ok(task)
    }

    /// Works through the rest of a batch; `false`: the output is full.
    fn batch(&mut self, mut records: std::vec::IntoIter<Record<In>>) -> Result<bool> {
        let TaskCore { op, outlet, ctx, .. } = &mut self.core;
        let mut out = TaskOutput { outlet, ctx };
        let mut taken = 0;
        let mut blocked = false;
        while !blocked && records.len() > 0 {
            let announced = records.len().min(ANNOUNCED);
            op.announce(&records.as_slice()[..announced]);
            for record in records.by_ref().take(announced) {
                taken += 1;
                out.ctx.origin = record.origin;
                out.ctx.timestamp = record.timestamp;
                op.process(record, &mut out)?;
                if out.ctx.stop || out.outlet.is_full() {
                    blocked = true;
                    break;
                }
            }
        }
        out.ctx.counters.records_in += taken;
        if records.len() > 0 {
            self.stage = Stage::Batch(records);
        }
        Ok(!blocked)
    }

    /// One step of the current stage. `None`: nothing to do, or no room.
    fn step(&mut self, now: i64) -> Result<Option<Activity>> {
        if !self.core.drain() || !self.core.op.ready(&mut self.core.ctx)? {
            return Ok(Some(Activity::Blocked));
        }
        if self.resume()? == Progress::More {
            return Ok(None);
        }
        match std::mem::replace(&mut self.stage, Stage::Ready) {
            Stage::Ready => return self.next_event(now),
            Stage::Batch(records) => {
                self.batch(records)?;
            }
            Stage::Watermark(w) => {
                self.core.ctx.watermark = w;
                self.core.ctx.origin = Origin::NONE;
                let TaskCore { op, outlet, ctx, .. } = &mut self.core;
                if op.watermark(w, &mut TaskOutput { outlet, ctx })? == Progress::More {
                    self.stage = Stage::Watermark(w);
                } else {
                    self.core.forward(Control::Watermark(w));
                    if self.ending {
                        self.stage = Stage::End;
                    }
                }
            }
            Stage::ProcessingTime(t) => {
                self.core.ctx.origin = Origin::NONE;
                let TaskCore { op, outlet, ctx, .. } = &mut self.core;
                if op.processing_time(t, &mut TaskOutput { outlet, ctx })? == Progress::More {
                    self.stage = Stage::ProcessingTime(t);
                }
            }
            Stage::Barrier(barrier, aligned_since) => {
                let alignment = now - aligned_since;
                if self.core.snapshot(barrier, now, alignment, |_| Ok(()))? {
                    self.gate.resume(now);
                } else {
                    self.stage = Stage::Barrier(barrier, aligned_since);
                    return Ok(Some(Activity::Blocked));
                }
            }
            Stage::End => {
                let TaskCore { op, outlet, ctx, .. } = &mut self.core;
                if op.end_of_input(&mut TaskOutput { outlet, ctx })? == Progress::More {
                    self.stage = Stage::End;
                } else {
                    self.ending = false;
                    self.core.forward(Control::EndOfInput);
                }
            }
        }
        Ok(None)
    }

    fn resume(&mut self) -> Result<Progress> {
        let TaskCore { op, outlet, ctx, .. } = &mut self.core;
        op.resume(&mut TaskOutput { outlet, ctx })
    }

    fn next_event(&mut self, now: i64) -> Result<Option<Activity>> {
        if self.next_timer.is_some_and(|t| t <= now) {
            self.stage = Stage::ProcessingTime(now);
            return Ok(None);
        }
        match self.gate.poll::<In>(now) {
            Some(GateEvent::Batch(records)) => {
                self.batch(records.into_iter())?;
            }
            Some(GateEvent::Watermark(w)) => self.stage = Stage::Watermark(w),
            Some(GateEvent::Idle) => self.core.forward(Control::Idle),
            Some(GateEvent::Barrier(b)) => self.stage = Stage::Barrier(b, self.gate.aligning_since(now)),
            Some(GateEvent::EndOfInput) => {
                self.ending = true;
                self.stage = Stage::Watermark(MAX_WATERMARK);
            }
            None => {
                // Nothing more for now: what was collected should not wait for company.
                self.core.outlet.flush();
                self.core.ctx.flush();
                return Ok(Some(Activity::Idle));
            }
        }
        Ok(None)
    }
}

impl<In: Data, Op: Operator<In>, O: Outlet<Op::Out>> Task for ChainTask<In, Op, O> {
    fn run(&mut self, now: i64) -> Result<Activity> {
        self.core.begin_slice(now);
        let mut activity = Activity::Busy;
        for _ in 0..EVENTS_PER_SLICE {
            match self.step(now) {
                Ok(None) => {}
                Ok(Some(a)) => {
                    activity = a;
                    break;
                }
                Err(e) => return Err(self.core.user_error(e)),
            }
            if self.core.ctx.failure.is_some() {
                break;
            }
        }
        self.core.end_slice()?;
        self.next_timer = self.core.op.next_processing_time()?;
        let queued = self.gate.queued() as u64;
        self.core.metrics.queued.store(queued, std::sync::atomic::Ordering::Relaxed);
        Ok(activity)
    }

    fn command(&mut self, command: TaskCommand) -> Result<()> {
        if let TaskCommand::CheckpointComplete(id) = command {
            self.core.op.checkpoint_complete(id);
        }
        Ok(()) // the rest is for sources; barriers reach everybody else in band
    }

    fn next_wakeup(&mut self) -> Result<Option<i64>> {
        Ok(self.next_timer)
    }

    fn account(&self, spent: Duration, activity: Activity) {
        self.core.account(spent, activity);
    }

    fn position(&self) -> String {
        self.core.position()
    }
}
