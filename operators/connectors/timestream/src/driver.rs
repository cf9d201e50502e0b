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
    time::{Instant, sleep_until, timeout},
};

use crate::{
    delivery::deliver,
    error::{Error, Result},
    metrics::SinkMetrics,
    queue::{Batch, Queue},
    table::{TableInfo, TableName},
    transport::Transport,
    waiting::Refusal,
    window::Route,
};

/// What writer and task share.
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// There may be something to send.
    pub work: Notify,
}

pub(crate) struct Core {
    pub queue: Queue,
    /// Known when the task has connected.
    pub table: Option<TableInfo>,
    /// Of every record that has its answer: the number of its value, and why it is not written.
    pub answers: Vec<(u64, Option<Refusal>)>,
    /// Why nothing can be sent any more.
    pub failed: Option<String>,
}

impl Shared {
    pub fn new(queue: Queue) -> Arc<Self> {
        let core = Core { queue, table: None, answers: Vec::new(), failed: None };
        Arc::new(Shared { core: Mutex::new(core), work: Notify::new() })
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
    pub table: TableName,
    pub backoff: ExponentialBuilder,
    /// Of the jitter.
    pub seed: u64,
}

/// The table must be known so long after the start: until then what cannot be reached is a mistake in the set-up,
/// afterwards it is an outage.
const START: Duration = Duration::from_secs(30);
/// The rate is set so often.
const PUBLISH: Duration = Duration::from_secs(1);

/// Whatever ends the task, a panic too, is told to the writer, which would wait for ever.
struct Ending {
    shared: Arc<Shared>,
    waker: Waker,
    table: TableName,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let panicked = || Error::Panicked { table: self.table.to_string() }.to_string();
        self.shared.lock().failed.get_or_insert_with(panicked);
        self.waker.wake();
    }
}

/// A batch that has its answers, or why nothing can be sent any more.
struct Done {
    batch: Batch,
    took: Duration,
    answer: Result<Vec<Option<Refusal>>, String>,
}

impl Driver {
    /// Connects, then runs until it is aborted, or until the table refuses for good.
    pub async fn run<T: Transport>(self, connect: impl Future<Output = Result<(T, TableInfo)>> + Send) {
        // Dropped last: it sees why.
        let ending = Ending { shared: self.shared.clone(), waker: self.waker.clone(), table: self.table.clone() };
        let connected = timeout(START, connect).await.unwrap_or_else(|_| {
            let reason = "no answer".to_owned();
            Err(Error::Unreachable { table: self.table.to_string(), reason, seconds: START.as_secs() })
        });
        match connected {
            Err(e) => self.shared.lock().failed = Some(e.to_string()),
            Ok((transport, info)) => {
                self.shared.lock().table = Some(info);
                self.waker.wake();
                let reason = self.send_all(Arc::new(transport)).await;
                self.shared.lock().failed = Some(reason);
            }
        }
        drop(ending);
    }

    async fn send_all<T: Transport>(&self, transport: Arc<T>) -> String {
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
                    Ok(Done { batch, took, answer: Ok(refusals) }) => self.answered(&batch, took, refusals),
                    Ok(Done { answer: Err(reason), .. }) => return reason,
                    Err(_) => return Error::Panicked { table: self.table.to_string() }.to_string(),
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
            let answer = deliver(&*transport, &batch.items, backoff, &counts).await;
            Done { batch, took: start.elapsed(), answer }
        }
    }

    fn answered(&self, batch: &Batch, took: Duration, refusals: Vec<Option<Refusal>>) {
        let sent = number(refusals.iter().filter(|refusal| refusal.is_none()).count());
        self.metrics.sent.add(sent);
        if batch.route == Route::Magnetic {
            self.metrics.magnetic.add(sent);
        }
        self.metrics.send_time.set(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        let mut core = self.shared.lock();
        core.queue.answered(batch.route, batch.items.iter().map(|item| item.identity));
        core.answers.extend(batch.items.iter().map(|item| item.value).zip(refusals));
        drop(core);
        self.waker.wake();
    }
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
