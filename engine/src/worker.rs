//! A worker: one thread that owns its share of every vertex.
//!
//! It runs its tasks downstream first and sources last, so that what has begun is finished
//! before new work is taken in. Nothing in the loop blocks; when no task can go on, the worker
//! sleeps until a channel, the pool or a timer wakes it.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    graph::OperatorMeta,
    task::{Activity, Task, TaskCommand, pool::Waker},
    time::Clock,
};

/// What the coordinator tells a worker.
pub(crate) enum WorkerCommand {
    /// For one of its tasks, by vertex.
    Task(usize, TaskCommand),
    /// End at once.
    Stop,
}

/// One task and what it is called.
pub(crate) struct TaskSlot {
    pub vertex: usize,
    pub name: String,
    pub task: Box<dyn Task>,
}

/// The worker's side of its mailbox.
pub(crate) struct Worker {
    /// Upstream first.
    pub tasks: Vec<TaskSlot>,
    pub commands: mpsc::Receiver<WorkerCommand>,
    pub waker: Waker,
    pub clock: Arc<dyn Clock>,
}

/// Sleeping longer than this without being woken is never needed for correctness.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

impl Worker {
    /// Runs until told to stop, or until a task fails.
    pub fn run(mut self) -> Result<()> {
        loop {
            while let Ok(command) = self.commands.try_recv() {
                match command {
                    WorkerCommand::Stop => return Ok(()),
                    WorkerCommand::Task(vertex, command) => {
                        if let Some(slot) = self.tasks.iter_mut().find(|s| s.vertex == vertex) {
                            guarded(slot, |task| task.command(command))?;
                        }
                    }
                }
            }
            let now = self.clock.now_ms();
            let mut busy = false;
            for slot in self.tasks.iter_mut().rev() {
                let begun = instant();
                let activity = guarded(slot, |task| task.run(now))?;
                if activity != Activity::Idle {
                    slot.task.account(begun.elapsed(), activity);
                }
                busy |= activity == Activity::Busy;
            }
            if !busy {
                self.sleep(now)?;
            }
        }
    }

    fn sleep(&mut self, now: i64) -> Result<()> {
        let mut until = None::<i64>;
        for slot in &mut self.tasks {
            if let Some(t) = slot.task.next_wakeup()? {
                until = Some(until.map_or(t, |u| u.min(t)));
            }
        }
        let timeout = until
            .map_or(LONGEST_SLEEP, |t| Duration::from_millis(u64::try_from(t - now).unwrap_or(0)).min(LONGEST_SLEEP));
        if !timeout.is_zero() {
            self.waker.sleep(timeout);
        }
        Ok(())
    }
}

/// For the busy figures only; no operator sees it.
#[allow(clippy::disallowed_methods, reason = "measures the worker, never enters a record's way")]
fn instant() -> Instant {
    Instant::now()
}

/// A panic in user code fails the job with the vertex's name and the record's origin.
fn guarded<R>(slot: &mut TaskSlot, call: impl FnOnce(&mut dyn Task) -> Result<R>) -> Result<R> {
    match catch_unwind(AssertUnwindSafe(|| call(slot.task.as_mut()))) {
        Ok(result) => result,
        Err(panic) => Err(Error::User {
            vertex: slot.name.clone(),
            origin: slot.task.position(),
            reason: format!("panic: {}", panic_message(panic.as_ref())),
        }),
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of unknown kind")
}

/// `a -> b` as one line.
pub(crate) fn chain_name(operators: &[OperatorMeta]) -> String {
    operators.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(" -> ")
}
