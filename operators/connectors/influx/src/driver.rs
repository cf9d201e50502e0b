//! The task that sends: takes batches from the queue, delivers them, and puts the answers where the writer finds them.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use backon::ExponentialBuilder;
use hurtig_engine::task::pool::Waker;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    answer::Failure,
    delivery::{START, Transport, deliver},
    error::Error,
    metrics::SinkMetrics,
    queue::{Batch, Queue},
};

/// What writer and task share.
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// There may be something to send.
    pub work: Notify,
}

pub(crate) struct Core {
    pub queue: Queue,
    /// Of every line that has its answer: the number of its value, and why it is not written.
    pub answers: Vec<(u64, Option<String>)>,
    /// Why nothing can be sent any more.
    pub failed: Option<String>,
}

impl Shared {
    pub fn new(queue: Queue) -> Arc<Self> {
        Arc::new(Shared { core: Mutex::new(Core { queue, answers: Vec::new(), failed: None }), work: Notify::new() })
    }

    pub fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// How the task goes about it.
pub(crate) struct Driver {
    pub shared: Arc<Shared>,
    pub waker: Waker,
    pub metrics: SinkMetrics,
    /// For messages.
    pub url: String,
    pub backoff: ExponentialBuilder,
    /// Of the jitter.
    pub seed: u64,
}

/// The rate is set so often.
const PUBLISH: Duration = Duration::from_secs(1);

/// Whatever ends the task, a panic too, is told to the writer, which would wait for ever.
struct Ending {
    shared: Arc<Shared>,
    waker: Waker,
    url: String,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let panicked = || Error::Panicked { url: self.url.clone() }.to_string();
        self.shared.lock().failed.get_or_insert_with(panicked);
        self.waker.wake();
    }
}

/// A batch that has its answers, or why nothing can be sent any more.
struct Done {
    batch: Batch,
    took: Duration,
    answer: Result<Vec<Option<String>>, Failure>,
}

impl Driver {
    /// Runs until it is aborted, or until the server refuses for good.
    pub async fn run<T: Transport>(self, transport: T) {
        // Dropped last: it sees why.
        let ending = Ending { shared: self.shared.clone(), waker: self.waker.clone(), url: self.url.clone() };
        let reason = self.send_all(Arc::new(transport)).await;
        self.shared.lock().failed = Some(reason.to_string());
        drop(ending);
    }

    async fn send_all<T: Transport>(&self, transport: Arc<T>) -> Error {
        let mut calls: JoinSet<Done> = JoinSet::new();
        let (mut published_at, mut sent_then) = (Instant::now(), self.metrics.sent.get());
        loop {
            {
                let mut core = self.shared.lock();
                while let Some(batch) = core.queue.next_batch() {
                    calls.spawn(self.delivery(transport.clone(), batch));
                }
                self.metrics.in_flight.set(number(core.queue.in_flight()));
            }
            tokio::select! {
                Some(done) = calls.join_next() => match done {
                    Ok(Done { batch, took, answer: Ok(reasons) }) => self.answered(&batch, took, reasons),
                    Ok(Done { answer: Err(failure), .. }) => return self.the_end(failure),
                    Err(_) => return Error::Panicked { url: self.url.clone() },
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

    fn delivery<T: Transport>(&self, transport: Arc<T>, batch: Batch) -> impl Future<Output = Done> + Send + 'static {
        let (counts, seed) = (self.metrics.counts.clone(), self.seed.wrapping_add(batch.number));
        let backoff = self.backoff.with_jitter().with_jitter_seed(seed);
        async move {
            let start = Instant::now();
            let lines: Vec<&[u8]> = batch.items.iter().map(|item| item.line.as_slice()).collect();
            let answer = deliver(&*transport, &lines, backoff, &counts).await;
            drop(lines);
            Done { batch, took: start.elapsed(), answer }
        }
    }

    fn answered(&self, batch: &Batch, took: Duration, reasons: Vec<Option<String>>) {
        self.metrics.sent.add(number(reasons.iter().filter(|reason| reason.is_none()).count()));
        self.metrics.send_time.set(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        let mut core = self.shared.lock();
        core.queue.answered(batch.items.iter().map(|item| item.identity));
        core.answers.extend(batch.items.iter().map(|item| item.value).zip(reasons));
        drop(core);
        self.waker.wake();
    }

    fn the_end(&self, failure: Failure) -> Error {
        let url = self.url.clone();
        match failure {
            Failure::Final { status, words: reason } => {
                let what_to_do = match status {
                    401 | 403 => "check the token, and that it may write there",
                    404 => "create the database or bucket, or check its name, the organization and the URL",
                    _ => "check the URL and the options",
                };
                Error::Refused { url, status, reason, what_to_do }
            }
            other => Error::Unreachable { url, reason: other.words().to_owned(), seconds: START.as_secs() },
        }
    }
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
