//! The task that sends: asks the lanes for requests, carries them out, and tells them the answers.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hurtig_engine::task::pool::Waker;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    heat::HotShard,
    lanes::{Answer, Lanes, Request},
    metrics::SinkMetrics,
    payload,
    shard_map::{ShardInfo, ShardMap},
    transport::{Refusal, Transport},
};
use crate::scaling::LoadMeter;

/// What writer and task share.
pub(super) struct Shared {
    core: Mutex<Core>,
    /// There may be something to send.
    pub work: Notify,
}

pub(super) struct Core {
    pub lanes: Lanes,
    /// Why nothing can be sent any more.
    pub failed: Option<String>,
}

impl Shared {
    pub fn new(lanes: Lanes) -> Arc<Self> {
        Arc::new(Shared { core: Mutex::new(Core { lanes, failed: None }), work: Notify::new() })
    }

    pub fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// How the task goes about it.
pub(super) struct Driver {
    pub shared: Arc<Shared>,
    pub waker: Waker,
    pub metrics: SinkMetrics,
    pub meter: Option<LoadMeter>,
    pub stream: Arc<str>,
    pub aggregating: bool,
    pub max_in_flight: usize,
    pub list_every: Duration,
}

/// Gauges are set, and the load meter is told, so often.
const PUBLISH: Duration = Duration::from_secs(1);
/// How long a shard must stand out to be called hot.
const HEAT: Duration = Duration::from_secs(10);
/// Two listings are so far apart, whatever happens.
const LIST_AGAIN: Duration = Duration::from_millis(250);
/// A listing that takes longer is given up.
const LISTING: Duration = Duration::from_secs(10);
/// The shards must be known so long after the start: until then a stream that cannot be reached is a
/// mistake in the set-up, afterwards it is an outage.
const FIRST_LISTING: Duration = Duration::from_secs(30);

/// What an entry of the join set ended with.
enum Done {
    Put { id: u64, took: Duration, answers: Result<Vec<Answer>, Refusal> },
    Shards(Result<Vec<ShardInfo>, Refusal>),
}

/// Whatever ends the task, a panic too, is told to the writer, which would wait for ever.
struct Ending {
    shared: Arc<Shared>,
    waker: Waker,
    stream: Arc<str>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let lost = || format!("stream {}: the sending task ended by a panic, which the log has", self.stream);
        self.shared.lock().failed.get_or_insert_with(lost);
        self.waker.wake();
    }
}

impl Driver {
    /// Connects, then runs until it is aborted, or until the stream refuses for good.
    pub async fn run<T: Transport>(mut self, connect: impl Future<Output = Result<T, String>> + Send) {
        let start = Instant::now();
        // Dropped last: it sees why.
        let _ending = Ending { shared: self.shared.clone(), waker: self.waker.clone(), stream: self.stream.clone() };
        let connected = timeout(FIRST_LISTING, connect).await.unwrap_or_else(|_| {
            Err(format!("stream {}: no credentials within {} s", self.stream, FIRST_LISTING.as_secs()))
        });
        let transport = match connected {
            Ok(transport) => Arc::new(transport),
            Err(reason) => return self.shared.lock().failed = Some(reason),
        };
        let mut calls: JoinSet<Done> = JoinSet::new();
        let (mut in_flight, mut listing) = (0, false);
        let mut listed_at: Option<Instant> = None;
        let (mut publish_at, mut heat_at) = (start + PUBLISH, start + HEAT);
        // A stream that cannot be reached is said once, not with every attempt.
        let mut complained = false;
        loop {
            let mut wake_at = publish_at;
            {
                let now = Instant::now();
                let mut core = self.shared.lock();
                while in_flight < self.max_in_flight
                    && let Some(request) = core.lanes.next_request(ms(start, now))
                {
                    in_flight += 1;
                    calls.spawn(put(transport.clone(), request, self.aggregating));
                }
                if in_flight < self.max_in_flight
                    && let Some(at) = core.lanes.wake_at(ms(start, now))
                {
                    wake_at = wake_at.min(start + Duration::from_millis(at));
                }
                let pause = if core.lanes.wants_shards() { LIST_AGAIN } else { self.list_every };
                let list = listed_at.map_or(now, |at| at + pause);
                if !listing && list <= now {
                    (listing, listed_at) = (true, Some(now));
                    calls.spawn(list_shards(transport.clone(), self.stream.clone()));
                } else if !listing {
                    wake_at = wake_at.min(list);
                }
            }
            tokio::select! {
                Some(done) = calls.join_next() => {
                    let now = Instant::now();
                    let mut core = self.shared.lock();
                    let refusal = match done {
                        Ok(Done::Put { id, took, answers }) => {
                            in_flight -= 1;
                            core.lanes.answered(id, ms(start, now), answers.as_deref().ok());
                            self.metrics.send_time.set(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
                            answers.err()
                        }
                        Ok(Done::Shards(shards)) => {
                            listing = false;
                            let refusal = shards.and_then(|shards| self.set_shards(&mut core, shards, ms(start, now)));
                            refusal.err().map(|refusal| match refusal {
                                Refusal::Passing(reason) if !core.lanes.has_shards() && now > start + FIRST_LISTING => {
                                    Refusal::Final(format!(
                                        "{reason}: gave up after {} s; check AWS_ENDPOINT_URL, AWS_REGION and the network",
                                        FIRST_LISTING.as_secs()
                                    ))
                                }
                                refusal => refusal,
                            })
                        }
                        // A call that panicked: its records cannot be accounted for.
                        Err(e) => Some(Refusal::Final(format!("stream {}: a request failed: {e}", self.stream))),
                    };
                    match refusal {
                        Some(Refusal::Final(reason)) => return core.failed = Some(reason),
                        Some(Refusal::Passing(reason)) if !complained => {
                            complained = true;
                            tracing::warn!("{reason}; trying again until it succeeds");
                        }
                        Some(Refusal::Passing(_)) => {}
                        None => complained = false,
                    }
                    drop(core);
                    self.waker.wake();
                }
                () = self.shared.work.notified() => {}
                () = sleep_until(wake_at) => {}
            }
            let now = Instant::now();
            if now >= publish_at {
                publish_at = now + PUBLISH;
                self.publish();
            }
            if now >= heat_at {
                heat_at = now + HEAT;
                let hot = self.shared.lock().lanes.take_hot();
                hot.iter().for_each(|shard| self.warn(shard));
                self.metrics.hot_shards.set(i64::try_from(self.shared.lock().lanes.hot_shards()).unwrap_or(i64::MAX));
            }
        }
    }

    fn set_shards(&self, core: &mut Core, shards: Vec<ShardInfo>, now: u64) -> Result<(), Refusal> {
        let Some(map) = ShardMap::new(shards) else {
            // In the middle of a change: what is known goes on being used, and asked about again.
            let what =
                format!("stream {}: its open shards do not cover all hash keys: is it being created?", self.stream);
            return if core.lanes.has_shards() { Ok(()) } else { Err(Refusal::Passing(what)) };
        };
        if let Some(meter) = &self.meter {
            meter.set_open(map.open().iter().map(|s| (s.id.clone(), s.range)).collect());
        }
        core.lanes.set_shards(map, now);
        Ok(())
    }

    fn publish(&mut self) {
        let core = self.shared.lock();
        self.metrics.publish(&core.lanes, self.meter.as_ref());
    }

    fn warn(&self, hot: &HotShard) {
        let key = |(key, share): &(Arc<str>, f64)| format!("'{key}' {:.0} %", share * 100.0);
        let keys: Vec<_> = hot.keys.iter().map(key).collect();
        tracing::warn!(
            "stream {}: {} is hot: it throttles and gets {:.1} times as much as the average of the others; its heaviest \
             partition keys: {}. Split it (hurtig stream autoscale does), or spread these keys",
            self.stream,
            hot.id,
            hot.times_others,
            if keys.is_empty() { "none stands out".to_owned() } else { keys.join(", ") },
        );
    }
}

async fn list_shards<T: Transport>(transport: Arc<T>, stream: Arc<str>) -> Done {
    let late = |_| Err(Refusal::Passing(format!("stream {stream}: ListShards took over {} s", LISTING.as_secs())));
    Done::Shards(timeout(LISTING, transport.shards()).await.unwrap_or_else(late))
}

/// Encodes and sends.
async fn put<T: Transport>(transport: Arc<T>, request: Request, aggregating: bool) -> Done {
    let start = Instant::now();
    let entries = request.units.iter().map(|unit| payload::entry(unit, aggregating)).collect();
    let answers = transport.put(entries).await;
    Done::Put { id: request.id, took: start.elapsed(), answers }
}

fn ms(start: Instant, now: Instant) -> u64 {
    u64::try_from(now.duration_since(start).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use hurtig_engine::metrics::Metrics;

    use super::*;
    use crate::{
        scaling::{HashRange, ShardLimits},
        sink::{lanes::LaneOptions, member::Member, payload::Entry},
    };

    /// One shard, and a bug.
    struct Broken;

    impl Transport for Broken {
        async fn put(&self, _: Vec<Entry>) -> Result<Vec<Answer>, Refusal> {
            panic!("of a request")
        }

        async fn shards(&self) -> Result<Vec<ShardInfo>, Refusal> {
            Ok(vec![ShardInfo { id: "shard".into(), range: HashRange::ALL, open: true }])
        }
    }

    /// Runs a driver that has a record to send, until it ends, and gives what its writer is told.
    fn told(connect: impl Future<Output = Result<Broken, String>> + Send + 'static) -> String {
        let mut lanes = Lanes::new(
            LaneOptions {
                max_batch_size: 500,
                max_batch_size_in_bytes: 5 << 20,
                aggregate: None,
                limits: ShardLimits::UNLIMITED,
                backoff_min_ms: 1,
                backoff_max_ms: 1,
            },
            1,
        );
        lanes.push(Member::new("meter", None, "1.5"));
        lanes.force();
        let shared = Shared::new(lanes);
        let driver = Driver {
            shared: shared.clone(),
            waker: Waker::default(),
            metrics: SinkMetrics::new(Metrics::default(), "readings".into()),
            meter: None,
            stream: "readings".into(),
            aggregating: false,
            max_in_flight: 4,
            list_every: Duration::from_secs(60),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        // The task's own panic is not what the writer sees.
        let _ = runtime.block_on(async { tokio::spawn(driver.run(connect)).await });
        let told = shared.lock().failed.clone();
        told.expect("the writer waits for ever")
    }

    #[test]
    fn a_panic_of_the_task_is_told_to_the_writer() {
        let words = told(async { panic!("of the task") });
        assert_eq!(words, "stream readings: the sending task ended by a panic, which the log has");
    }

    #[test]
    fn so_is_one_of_a_request_whose_records_nobody_can_account_for() {
        let words = told(async { Ok(Broken) });
        assert!(words.starts_with("stream readings: a request failed: task") && words.contains("panic"), "{words}");
    }
}
