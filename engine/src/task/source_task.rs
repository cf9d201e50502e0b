//! The driver of a chain that begins with a source's reader.

use std::{collections::VecDeque, time::Duration};

use super::{Activity, Task, TaskCommand, TaskContext, TaskEvent, TaskOutput, chain_task::TaskCore};
use crate::{
    checkpoint::{Barrier, CheckpointKind},
    error::{Result, from_bytes, to_bytes},
    exchange::{Control, Outlet},
    graph::TaskSetup,
    operator::{Operator, OperatorFactory, Output, Progress},
    record::{Data, Origin, Record},
    source::{ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader},
    time::{MAX_WATERMARK, NO_TIMESTAMP},
    watermark::{SplitTimes, TimestampAssigner, WatermarkSettings},
};

/// A split in a checkpoint: its id, its bytes at their position, and the newest event time seen.
pub(crate) type SplitSnapshot = (String, Vec<u8>, i64);

/// About how many records are read before other tasks have their turn.
const RECORDS_PER_POLL: usize = 2048;

/// How soon a reader is asked again that has held splits back for others.
const LOOK_AGAIN_MS: i64 = 2;

/// What the enumerator has decided for this reader.
struct Assignment {
    splits: Vec<(u32, Vec<u8>, i64)>,
    released: Vec<u32>,
    unassigned: usize,
    no_more: bool,
}

/// What waits for the reader's attention. Splits that are assigned after a trigger are still the
/// enumerator's in its snapshot, so they must not be in the reader's: they queue behind the
/// barrier. Those assigned before the next trigger must be in that one's: they queue before it.
enum Queued {
    Barrier(Barrier),
    Splits(Assignment),
}

enum Stage {
    Reading,
    /// After a poll, when the chain holds nothing of its records any more: what they say of time.
    News(ReaderStatus),
    Watermark(i64),
    ProcessingTime(i64),
    Barrier(Barrier),
    End,
}

/// A chain that begins with a reader.
pub(crate) struct SourceTask<S: Source, A, Op, O> {
    core: TaskCore<Op, O>,
    reader: S::Reader,
    assigner: A,
    times: SplitTimes,
    stage: Stage,
    queue: VecDeque<Queued>,
    finished: Vec<u32>,
    /// Nobody has said yet what there is to read.
    waiting_for_splits: bool,
    unassigned: usize,
    no_more: bool,
    idle: bool,
    stopped: bool,
    ended: bool,
    poll_again: Option<i64>,
    next_timer: Option<i64>,
}

impl<S, A, Op, O> SourceTask<S, A, Op, O>
where
    S: Source,
    A: TimestampAssigner<S::Item>,
    Op: Operator<S::Item>,
    O: Outlet<Op::Out>,
{
    /// Makes the task of one subtask.
    pub fn create<F>(
        source: &S,
        (assigner, settings): (A, WatermarkSettings),
        factory: &F,
        setup: TaskSetup<'_>,
        outlet: O,
        ctx: TaskContext,
    ) -> Result<Self>
    where
        F: OperatorFactory<S::Item, Operator = Op, Out = Op::Out>,
    {
        let reader = source.reader(ReaderContext {
            subtask: setup.ctx.subtask,
            parallelism: setup.ctx.parallelism,
            clock: setup.ctx.clock.clone(),
            waker: setup.ctx.waker.clone(),
            runtime: setup.ctx.runtime.clone(),
            splits: setup.ctx.splits.clone(),
            metrics: setup.ctx.metrics(),
            job: setup.ctx.job().to_owned(),
            uid: setup.ctx.uid().to_owned(),
            attempt: setup.ctx.attempt().to_owned(),
        })?;
        let (core, _) = TaskCore::new(factory, setup, outlet, ctx)?;
        let mut task = SourceTask {
            core,
            reader,
            assigner,
            times: SplitTimes::new(settings),
            stage: Stage::Reading,
            queue: VecDeque::new(),
            finished: Vec::new(),
            waiting_for_splits: true,
            unassigned: 0,
            no_more: false,
            idle: false,
            stopped: false,
            ended: false,
            poll_again: None,
            next_timer: None,
        };
        task.next_timer = task.core.op.next_processing_time()?;
        task.times.join_alignment(task.core.subtask, task.core.parallelism);
        Ok(task)
    }

    fn step(&mut self, now: i64) -> Result<Activity> {
        if !self.core.drain() || !self.core.op.ready(&mut self.core.ctx)? {
            return Ok(Activity::Blocked);
        }
        if self.resume()? == Progress::More {
            return Ok(Activity::Busy);
        }
        match std::mem::replace(&mut self.stage, Stage::Reading) {
            Stage::Reading => return self.read(now),
            Stage::News(status) => return Ok(self.news(status, now)),
            Stage::Watermark(w) => {
                self.core.ctx.watermark = w;
                self.core.ctx.origin = Origin::NONE;
                let TaskCore { op, outlet, ctx, .. } = &mut self.core;
                if op.watermark(w, &mut TaskOutput { outlet, ctx })? == Progress::More {
                    self.stage = Stage::Watermark(w);
                } else {
                    self.core.forward(Control::Watermark(w));
                    if w == MAX_WATERMARK && self.at_end() {
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
            Stage::Barrier(barrier) => return self.snapshot(barrier, now),
            Stage::End => {
                let TaskCore { op, outlet, ctx, .. } = &mut self.core;
                if op.end_of_input(&mut TaskOutput { outlet, ctx })? == Progress::More {
                    self.stage = Stage::End;
                } else {
                    self.ended = true;
                    self.core.forward(Control::EndOfInput);
                    let (vertex, subtask) = (self.core.vertex, self.core.subtask);
                    self.core.tell(TaskEvent::SourceEnded { vertex, subtask });
                }
            }
        }
        Ok(Activity::Busy)
    }

    fn resume(&mut self) -> Result<Progress> {
        let TaskCore { op, outlet, ctx, .. } = &mut self.core;
        op.resume(&mut TaskOutput { outlet, ctx })
    }

    fn at_end(&self) -> bool {
        self.no_more && self.times.open() == 0
    }

    fn snapshot(&mut self, barrier: Barrier, now: i64) -> Result<Activity> {
        let drain = matches!(barrier.kind, CheckpointKind::StopWithSavepoint { drain: true });
        if drain && self.core.ctx.watermark != MAX_WATERMARK {
            // Windows fire into the savepoint, as Flink's `stop --drain` has it.
            self.stopped = true;
            self.queue.push_front(Queued::Barrier(barrier));
            self.stage = Stage::Watermark(MAX_WATERMARK);
            return Ok(Activity::Busy);
        }
        let (reader, times) = (&mut self.reader, &self.times);
        let names = self.core.ctx.splits().clone();
        let taken = self.core.snapshot(barrier, now, 0, |context| {
            context.enter(0);
            let mut splits = Vec::new();
            for (number, split) in reader.snapshot(barrier.id)? {
                let bytes = to_bytes("a split", &split)?;
                let split: SplitSnapshot = (names.name(number), bytes, times.newest(number));
                splits.push(to_bytes("a split", &split)?);
            }
            context.put_splits(splits);
            Ok(())
        })?;
        if !taken {
            self.stage = Stage::Barrier(barrier);
            return Ok(Activity::Blocked);
        }
        self.stopped |= matches!(barrier.kind, CheckpointKind::StopWithSavepoint { .. });
        Ok(Activity::Busy)
    }

    fn assign(&mut self, assignment: Assignment) -> Result<()> {
        let Assignment { splits, released, unassigned, no_more } = assignment;
        self.waiting_for_splits = false;
        self.unassigned = unassigned;
        self.no_more |= no_more;
        for (number, bytes, newest) in splits {
            self.times.add(number, newest, self.core.ctx.now);
            self.reader.add_split(number, from_bytes("a split", &bytes)?)?;
        }
        for number in released {
            self.times.release(number);
        }
        Ok(())
    }

    fn read(&mut self, now: i64) -> Result<Activity> {
        match self.queue.pop_front() {
            Some(Queued::Barrier(barrier)) => {
                self.stage = Stage::Barrier(barrier);
                return Ok(Activity::Busy);
            }
            Some(Queued::Splits(assignment)) => {
                self.assign(assignment)?;
                return Ok(Activity::Busy);
            }
            None => {}
        }
        if self.next_timer.is_some_and(|t| t <= now) {
            self.stage = Stage::ProcessingTime(now);
            return Ok(Activity::Busy);
        }
        if self.stopped || self.ended {
            self.times.has_to_wait(self.core.subtask, true);
            return Ok(self.rest());
        }
        if !self.waiting_for_splits && self.times.has_to_wait(self.core.subtask, self.at_end()) {
            self.poll_again = Some(now + 1);
            return Ok(self.rest());
        }
        let status = self.poll_reader()?;
        self.report_finished();
        self.stage = Stage::News(status);
        Ok(Activity::Busy)
    }

    fn news(&mut self, status: ReaderStatus, now: i64) -> Activity {
        if self.at_end() {
            self.stage = Stage::Watermark(MAX_WATERMARK);
            return Activity::Busy;
        }
        self.advance(now);
        match status {
            ReaderStatus::MoreAvailable => Activity::Busy,
            ReaderStatus::NothingAvailable { until } => {
                self.poll_again = until;
                // What came between the poll and its news has woken the worker already.
                let nothing_else = matches!(self.stage, Stage::Reading) && self.queue.is_empty();
                if nothing_else { self.rest() } else { Activity::Busy }
            }
        }
    }

    /// Nothing to do: what was collected should not wait for company.
    fn rest(&mut self) -> Activity {
        self.core.outlet.flush();
        self.core.ctx.flush();
        Activity::Idle
    }

    fn poll_reader(&mut self) -> Result<ReaderStatus> {
        let TaskCore { op, outlet, ctx, .. } = &mut self.core;
        let mut emitter = Emitter {
            op,
            out: TaskOutput { outlet, ctx },
            assigner: &self.assigner,
            times: &mut self.times,
            finished: &mut self.finished,
            emitted: 0,
            paused: false,
        };
        let mut status = self.reader.poll(RECORDS_PER_POLL, &mut emitter)?;
        let (emitted, paused) = (emitter.emitted, emitter.paused);
        if let (ReaderStatus::NothingAvailable { until }, true) = (&mut status, paused) {
            let soon = self.core.ctx.now + LOOK_AGAIN_MS;
            *until = Some(until.map_or(soon, |t| t.min(soon)));
        }
        self.core.ctx.counters.records_in += emitted;
        Ok(status)
    }

    fn report_finished(&mut self) {
        for split in std::mem::take(&mut self.finished) {
            let (vertex, subtask) = (self.core.vertex, self.core.subtask);
            self.core.tell(TaskEvent::SplitFinished { vertex, subtask, split });
        }
    }

    /// Emits the watermark if it has advanced, or idleness if there is nothing to wait for.
    fn advance(&mut self, now: i64) {
        if self.waiting_for_splits || self.unassigned > 0 {
            return;
        }
        let newest = self.times.newest_of_all();
        self.core.metrics.newest_timestamp.store(newest, std::sync::atomic::Ordering::Relaxed);
        match self.times.watermark(now) {
            Some(w) => {
                let woken = std::mem::take(&mut self.idle);
                if w > self.core.ctx.watermark {
                    self.stage = Stage::Watermark(w);
                } else if woken {
                    self.core.forward(Control::Watermark(w));
                }
            }
            None => {
                if !std::mem::replace(&mut self.idle, true) {
                    self.core.forward(Control::Idle);
                }
            }
        }
    }
}

impl<S, A, Op, O> Task for SourceTask<S, A, Op, O>
where
    S: Source,
    A: TimestampAssigner<S::Item>,
    Op: Operator<S::Item>,
    O: Outlet<Op::Out>,
{
    fn run(&mut self, now: i64) -> Result<Activity> {
        self.core.begin_slice(now);
        let activity = self.step(now).map_err(|e| self.core.user_error(e))?;
        self.core.end_slice()?;
        self.next_timer = self.core.op.next_processing_time()?;
        Ok(activity)
    }

    fn command(&mut self, command: TaskCommand) -> Result<()> {
        match command {
            TaskCommand::CheckpointComplete(id) => {
                self.reader.checkpoint_complete(id);
                self.core.op.checkpoint_complete(id);
            }
            TaskCommand::Trigger(barrier) => self.queue.push_back(Queued::Barrier(barrier)),
            TaskCommand::AssignSplits { splits, released, unassigned, no_more } => {
                self.queue.push_back(Queued::Splits(Assignment { splits, released, unassigned, no_more }));
            }
        }
        Ok(())
    }

    fn next_wakeup(&mut self) -> Result<Option<i64>> {
        let idle = self.times.next_idle(self.core.ctx.now).filter(|_| !self.stopped && !self.ended);
        let again = self.poll_again.filter(|_| !self.stopped && !self.ended);
        Ok([self.next_timer, idle, again].into_iter().flatten().min())
    }

    fn account(&self, spent: Duration, activity: Activity) {
        self.core.account(spent, activity);
    }

    fn position(&self) -> String {
        self.core.position()
    }
}

/// Between the reader and the chain: timestamps, event time per split, origins.
struct Emitter<'a, A, Op, O> {
    op: &'a mut Op,
    out: TaskOutput<'a, O>,
    assigner: &'a A,
    times: &'a mut SplitTimes,
    finished: &'a mut Vec<u32>,
    emitted: u64,
    /// Whether a split was held back for others: they may have come on any time.
    paused: bool,
}

impl<A, Op, O> Emitter<'_, A, Op, O> {
    /// The time of a record without one of its own.
    #[cold]
    fn time_of(&self, split: u32, arrival: i64) -> i64 {
        if arrival == NO_TIMESTAMP { self.times.newest(split) } else { arrival }
    }
}

impl<T, A, Op, O> SourceOutput<T> for Emitter<'_, A, Op, O>
where
    T: Data,
    A: TimestampAssigner<T>,
    Op: Operator<T>,
    O: Outlet<Op::Out>,
{
    #[inline]
    fn emit(&mut self, split: u32, position: u64, arrival: i64, value: T) {
        self.emitted += 1;
        let timestamp = self.assigner.extract_timestamp(&value, arrival);
        self.times.on_event(split, timestamp, arrival);
        let origin = Origin::new(split, position);
        self.out.ctx.origin = origin;
        // What an operator gives up on has to have a time that is the same when it is replayed.
        self.out.ctx.timestamp = if timestamp == NO_TIMESTAMP { self.time_of(split, arrival) } else { timestamp };
        if let Err(e) = self.op.process(Record { value, timestamp, origin }, &mut self.out) {
            self.out.ctx.fail(e);
        }
    }

    fn dead_letter(&mut self, split: u32, position: u64, arrival: i64, raw: &[u8], reason: &str) {
        self.emitted += 1;
        let time = self.time_of(split, arrival);
        self.out.ctx.dead_letter("source", Origin::new(split, position), time, raw.to_vec(), reason);
    }

    #[inline]
    fn is_full(&self) -> bool {
        Output::is_full(&self.out)
    }

    fn split_watermark(&self, split: u32) -> i64 {
        self.times.newest(split)
    }

    fn is_paused(&mut self, split: u32) -> bool {
        let paused = self.times.is_paused(split);
        self.paused |= paused;
        paused
    }

    fn finish_split(&mut self, split: u32) {
        if self.times.finish(split) {
            self.finished.push(split);
        }
    }
}
