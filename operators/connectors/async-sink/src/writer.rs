//! The writer's half.

use std::{future::Future, sync::Arc, time::Duration};

use hurtig_engine::{
    error::{Error, Result},
    record::Record,
    sink::{SinkContext, WriterContext},
    time::{Clock, millis},
};
use serde::Serialize;
use tokio::task::AbortHandle;

use crate::{
    batch::BatchQueue,
    destination::Destination,
    driver::Driver,
    metrics::{SinkMetrics, number},
    shared::Shared,
    waiting::{Settled, Waiting},
};

/// Hands items to the task that sends, and gives values back when they have their answers. `I` is what the destination tells
/// of itself when it is connected. Dropping it ends the task.
pub struct AsyncWriter<T, Q, R, I> {
    name: String,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared<Q, R, I>>,
    task: AbortHandle,
    metrics: SinkMetrics,
    waiting: Waiting<T, R>,
    opened: Option<I>,
    max_buffered: usize,
    linger: Duration,
    /// When what came last must wait no longer.
    linger_until: Option<i64>,
}

impl<T, Q, R, I> AsyncWriter<T, Q, R, I>
where
    Q: BatchQueue,
    R: Send + 'static,
    I: Clone + Send + 'static,
{
    /// Starts the task, which connects first; until it has, the writer is not ready. `place` is where it writes, for messages;
    /// at most `max_buffered` values wait for their answers, and none waits for others to go with it for longer than
    /// `linger`.
    pub fn start<D>(
        ctx: WriterContext,
        place: String,
        queue: Q,
        metrics: SinkMetrics,
        (max_buffered, linger): (usize, Duration),
        connect: impl Future<Output = Result<(D, I), String>> + Send + 'static,
    ) -> Self
    where
        D: Destination<Q::Batch, Refusal = R>,
    {
        let shared = Shared::new(queue);
        let driver = Driver { shared: shared.clone(), waker: ctx.waker, metrics: metrics.clone(), place };
        AsyncWriter {
            name: ctx.name,
            clock: ctx.clock,
            shared,
            task: ctx.runtime.spawn(driver.run(connect)).abort_handle(),
            metrics,
            waiting: Waiting::default(),
            opened: None,
            max_buffered,
            linger,
            linger_until: None,
        }
    }

    /// Takes a value of which `items` items go and the rest is refused already. `enqueue` puts the items into the queue with
    /// the value's number, and says whether a batch is full now.
    pub fn push(
        &mut self,
        record: Record<T>,
        items: usize,
        refusals: Vec<R>,
        enqueue: impl FnOnce(&mut Q, u64) -> bool,
    ) {
        let value = self.waiting.push(record, items, refusals);
        let is_full = enqueue(&mut self.shared.lock().queue, value);
        if is_full {
            self.shared.work.notify_one();
        }
        if self.linger_until.is_none() {
            self.linger_until = Some(self.clock.now_ms().saturating_add(millis(self.linger)));
        }
    }

    /// The values that have their answers.
    ///
    /// # Errors
    /// Nothing can be sent any more.
    pub fn collect(&mut self) -> Result<Vec<Settled<T, R>>> {
        let mut core = self.shared.lock();
        let answers = std::mem::take(&mut core.answers);
        let failed = core.failed.clone();
        if self.opened.is_none() {
            self.opened.clone_from(&core.opened);
        }
        drop(core);
        let answered = answers.into_iter().filter_map(|(value, refusal)| self.waiting.answered(value, refusal));
        let settled = answered.collect();
        self.metrics.buffered.set(number(self.waiting.len()));
        failed.map_or(Ok(settled), |reason| Err(Error::sink(&self.name, reason)))
    }

    /// What the destination has told of itself, when it is connected and that was [collected](Self::collect).
    pub fn opened(&self) -> Option<&I> {
        self.opened.as_ref()
    }

    /// Whether another value can be taken. If not, what there is goes at once: nothing comes that it could wait for.
    pub fn ready(&mut self) -> bool {
        let ready = self.opened.is_some() && self.waiting.len() < self.max_buffered;
        if !ready {
            self.hurry();
        }
        ready
    }

    /// Whether everything has its answer, and the destination is connected: a job does not end well on a table that is not
    /// there, also with nothing to send. What waits goes at once.
    pub fn is_flushed(&mut self) -> bool {
        self.hurry();
        self.opened.is_some() && self.waiting.len() == 0
    }

    /// It is `now`: what has waited for long enough goes.
    pub fn on_processing_time(&mut self, now: i64) {
        if self.linger_until.is_some_and(|at| at <= now) {
            self.hurry();
        }
    }

    /// When [`on_processing_time`](Self::on_processing_time) has to be called.
    pub fn next_wakeup(&self) -> Option<i64> {
        self.linger_until
    }

    fn hurry(&mut self) {
        if self.linger_until.take().is_some() {
            self.shared.lock().queue.force();
            self.shared.work.notify_one();
        }
    }
}

impl<T, Q, R, I> Drop for AsyncWriter<T, Q, R, I> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A value that is not written goes to the dead letters as JSON: the stream's own, from which its items can be made again.
pub fn dead_letter_as_json<T: Serialize>(record: Record<T>, reason: String, ctx: &mut SinkContext<'_>) {
    let (raw, reason) = match serde_json::to_vec(&record.value) {
        Ok(raw) => (raw, reason),
        Err(e) => (Vec::new(), format!("{reason} (and the value cannot be written as JSON: {e})")),
    };
    ctx.dead_letter(record.origin, record.timestamp, raw, reason);
}
