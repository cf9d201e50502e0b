//! The proxy itself: takes calls, and passes them on, refuses them or cuts them off.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Response, StatusCode},
};
use futures::stream;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::runtime::Runtime;

use super::{
    bucket::ShardBuckets,
    counters::Counters,
    faults::Faults,
    forward::{Answer, Upstream, Whole, error, passed_back},
    put, read,
    shards::{Iterators, OpenShards, ShardName},
};

/// Calls after which other shards may be open.
const RESHARDING: [&str; 6] =
    ["CreateStream", "DeleteStream", "SplitShard", "MergeShards", "UpdateShardCount", "UpdateStreamMode"];

/// A running proxy; it goes with this.
pub struct KinesisProxy {
    proxy: Arc<Proxy>,
    port: u16,
    runtime: Option<Runtime>,
}

impl KinesisProxy {
    /// Starts one on a free port of 127.0.0.1, in front of the server at `upstream`
    /// (`http://127.0.0.1:PORT`). It has its own threads: tests need no runtime for it.
    pub fn start(upstream: &str, seed: u64, faults: Faults) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let proxy = Arc::new_cyclic(|this| Proxy {
            this: this.clone(),
            upstream: Upstream::new(upstream),
            state: Mutex::new(ProxyState {
                faults,
                counters: Counters::default(),
                random: StdRng::seed_from_u64(seed),
                buckets: HashMap::new(),
                open: HashMap::new(),
                iterators: Iterators::default(),
                subscribed: HashMap::new(),
            }),
        });
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(proxy.clone());
        runtime.spawn(async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                // It never ends by itself.
                let _ = axum::serve(listener, router).await;
            }
        });
        Ok(KinesisProxy { proxy, port, runtime: Some(runtime) })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on this goes wrong. Buckets are as full as they are, unless the limits change.
    pub fn set(&self, faults: Faults) {
        self.update(|now| *now = faults);
    }

    /// Changes what goes wrong.
    pub fn update(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.proxy.state().faults);
    }

    /// What goes wrong now.
    pub fn faults(&self) -> Faults {
        self.proxy.faults()
    }

    /// What it has done until now.
    pub fn counters(&self) -> Counters {
        self.proxy.state().counters.clone()
    }
}

impl Drop for KinesisProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waiting: it may be dropped in another runtime.
            runtime.shutdown_background();
        }
    }
}

/// What all calls share.
pub struct Proxy {
    this: std::sync::Weak<Proxy>,
    upstream: Upstream,
    state: Mutex<ProxyState>,
}

struct ProxyState {
    faults: Faults,
    counters: Counters,
    random: StdRng,
    buckets: HashMap<ShardName, ShardBuckets>,
    open: HashMap<Arc<str>, Arc<OpenShards>>,
    iterators: Iterators,
    subscribed: HashMap<(String, String), Instant>,
}

impl Proxy {
    fn state(&self) -> MutexGuard<'_, ProxyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Itself, for what outlives the call.
    pub fn shared(&self) -> Arc<Proxy> {
        self.this.upgrade().unwrap_or_else(|| unreachable!("it is asked"))
    }

    pub fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    pub fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.state().counters);
    }

    pub fn chance(&self, share: f64) -> bool {
        share > 0.0 && self.state().random.random_bool(share.min(1.0))
    }

    pub fn iterators<T>(&self, with: impl FnOnce(&mut Iterators) -> T) -> T {
        with(&mut self.state().iterators)
    }

    /// What a shard still takes and gives; `None` without limits.
    pub fn with_buckets<T>(&self, shard: &ShardName, with: impl FnOnce(&mut ShardBuckets) -> T) -> Option<T> {
        let mut state = self.state();
        let limits = state.faults.limits?;
        let buckets = state.buckets.entry(shard.clone()).or_insert_with(|| ShardBuckets::new(limits, now()));
        if buckets.limits() != limits {
            *buckets = ShardBuckets::new(limits, now());
        }
        Some(with(buckets))
    }

    /// Whether a consumer has subscribed to a shard within this time; if not, it has now.
    pub fn subscribes_too_soon(&self, consumer: &str, shard: &str, within: Duration) -> bool {
        let mut state = self.state();
        let before = state.subscribed.entry((consumer.to_owned(), shard.to_owned()));
        let mut too_soon = true;
        let last = before.or_insert_with(|| {
            too_soon = false;
            now()
        });
        if too_soon && now() - *last >= within {
            (*last, too_soon) = (now(), false);
        }
        too_soon
    }

    /// The open shards of a stream, not older than a moment; `None`: the server does not know it.
    pub async fn open_shards(&self, stream: &Arc<str>) -> Option<Arc<OpenShards>> {
        let known = self.state().open.get(stream).cloned();
        if let Some(known) = known.filter(|known| !known.is_old(now())) {
            return Some(known);
        }
        let open = Arc::new(self.upstream.open_shards(stream).await?);
        self.state().open.insert(stream.clone(), open.clone());
        Some(open)
    }

    /// Asks the real server.
    pub async fn ask(&self, headers: &HeaderMap, body: Bytes) -> reqwest::Result<reqwest::Response> {
        let answer = self.upstream.ask(headers, body).await;
        if answer.is_err() {
            self.count(|counters| counters.unanswered += 1);
        }
        answer
    }

    async fn answer(&self, headers: &HeaderMap, body: Bytes) -> Answer {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let faults = self.faults();
        self.count(|counters| counters.calls += 1);
        if !faults.latency.end().is_zero() {
            let delay = self.state().random.random_range(faults.latency.clone());
            tokio::time::sleep(delay).await;
        }
        if self.chance(faults.cut_before) {
            self.count(|counters| counters.cut_before += 1);
            return Answer::Cut;
        }
        if self.chance(faults.server_errors) {
            self.count(|counters| counters.server_errors += 1);
            return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", "Internal service failure.");
        }
        let answered = match operation {
            "PutRecords" => put::put_records(self, headers, body).await,
            "PutRecord" => put::put_record(self, headers, body).await,
            "GetShardIterator" => read::get_shard_iterator(self, headers, body).await,
            "GetRecords" => read::get_records(self, headers, body).await,
            // A stream is cut on its way.
            "SubscribeToShard" => {
                return read::subscribe_to_shard(self, headers, body).await.unwrap_or_else(|cut| cut);
            }
            _ => self.pass_on(headers, body).await,
        };
        if RESHARDING.contains(&operation) {
            self.state().open.clear();
        }
        match answered {
            Ok(Answer::Given(response)) if self.chance(faults.cut_after) => {
                self.count(|counters| counters.cut_after += 1);
                if self.chance(0.5) { Answer::Cut } else { Answer::Given(broken_off(response)) }
            }
            Ok(answer) | Err(answer) => answer,
        }
    }

    async fn pass_on(&self, headers: &HeaderMap, body: Bytes) -> Result<Answer, Answer> {
        Ok(Whole::of(self.ask(headers, body).await?).await?.given())
    }
}

/// The same answer without its body: where that should be the connection ends.
fn broken_off(response: Response<Body>) -> Response<Body> {
    let cut = stream::once(async { Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)) });
    passed_back(response.status(), response.headers(), Body::from_stream(cut))
}

async fn answer(State(proxy): State<Arc<Proxy>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    match proxy.answer(&headers, body).await {
        Answer::Given(response) => response,
        // A handler must answer: only when the connection's task ends, the connection does.
        // Resuming an unwind does that, and unlike a panic it says nothing.
        Answer::Cut => std::panic::resume_unwind(Box::new("the connection is cut")),
    }
}

#[allow(clippy::disallowed_methods, reason = "a server's limits go by the wall clock")]
pub fn now() -> Instant {
    Instant::now()
}
