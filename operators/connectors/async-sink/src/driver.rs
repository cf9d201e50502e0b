//! The task that sends: takes batches from the queue, has them delivered, and puts the answers where the writer finds them.

use std::{future::Future, sync::Arc, time::Duration};

use hurtig_engine::task::pool::Waker;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    batch::{Batch, BatchQueue},
    destination::{Answers, Destination},
    metrics::{SinkMetrics, number},
    shared::Shared,
};

/// How the task goes about it.
pub(crate) struct Driver<Q, R, I> {
    pub shared: Arc<Shared<Q, R, I>>,
    pub waker: Waker,
    pub metrics: SinkMetrics,
    /// Where it writes, for messages.
    pub place: String,
}

/// The rate is set so often.
const PUBLISH: Duration = Duration::from_secs(1);

/// Whatever ends the task, a panic too, is told to the writer, which would wait for ever.
struct Ending<Q, R, I> {
    shared: Arc<Shared<Q, R, I>>,
    waker: Waker,
    place: String,
}

impl<Q, R, I> Drop for Ending<Q, R, I> {
    fn drop(&mut self) {
        self.shared.lock().failed.get_or_insert_with(|| panicked(&self.place));
        self.waker.wake();
    }
}

/// A batch that has its answers, or why nothing can be sent any more.
struct Done<B, R> {
    batch: B,
    took: Duration,
    answers: Answers<R>,
}

impl<Q, R, I> Driver<Q, R, I>
where
    Q: BatchQueue,
    R: Send + 'static,
    I: Send + 'static,
{
    /// Connects, then runs until it is aborted, or until the destination refuses for good.
    pub async fn run<D>(self, connect: impl Future<Output = Result<(D, I), String>> + Send)
    where
        D: Destination<Q::Batch, Refusal = R>,
    {
        // Dropped last: it sees why.
        let ending = Ending { shared: self.shared.clone(), waker: self.waker.clone(), place: self.place.clone() };
        let reason = match connect.await {
            Err(reason) => reason,
            Ok((destination, info)) => {
                self.shared.lock().opened = Some(info);
                self.waker.wake();
                self.send_all(Arc::new(destination)).await
            }
        };
        self.shared.lock().failed = Some(reason);
        drop(ending);
    }

    async fn send_all<D: Destination<Q::Batch, Refusal = R>>(&self, destination: Arc<D>) -> String {
        let mut calls: JoinSet<Done<Q::Batch, R>> = JoinSet::new();
        let (mut published_at, mut sent_then) = (Instant::now(), self.metrics.sent.get());
        loop {
            {
                let mut core = self.shared.lock();
                while let Some(batch) = core.queue.next_batch() {
                    calls.spawn(deliver(destination.clone(), batch));
                }
                self.metrics.in_flight.set(number(core.queue.in_flight()));
            }
            tokio::select! {
                Some(done) = calls.join_next() => match done {
                    Ok(Done { batch, took, answers: Ok(answers) }) => self.answered(&batch, took, answers),
                    Ok(Done { answers: Err(reason), .. }) => return reason,
                    // Nobody can account for its items.
                    Err(_) => return panicked(&self.place),
                },
                () = self.shared.work.notified() => {}
                () = sleep_until(published_at + PUBLISH) => {}
            }
            let elapsed = published_at.elapsed();
            if elapsed >= PUBLISH {
                let sent = self.metrics.sent.get();
                self.metrics.rate.set(((sent - sent_then) as f64 / elapsed.as_secs_f64()) as i64);
                (published_at, sent_then) = (Instant::now(), sent);
            }
        }
    }

    fn answered(&self, batch: &Q::Batch, took: Duration, answers: Vec<Option<R>>) {
        self.metrics.sent.add(number(answers.iter().filter(|refusal| refusal.is_none()).count()));
        self.metrics.send_time.set(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        let mut core = self.shared.lock();
        core.queue.answered(batch);
        core.answers.extend(batch.values().zip(answers));
        drop(core);
        self.waker.wake();
    }
}

async fn deliver<B: Batch, D: Destination<B>>(destination: Arc<D>, batch: B) -> Done<B, D::Refusal> {
    let start = Instant::now();
    let answers = destination.deliver(&batch).await;
    Done { batch, took: start.elapsed(), answers }
}

fn panicked(place: &str) -> String {
    format!("{place}: the sending task ended by a panic, which the log has")
}
