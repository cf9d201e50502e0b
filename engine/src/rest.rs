//! The REST API in Flink's shapes: what Flink's dashboard and command line ask, answered by this
//! process for the jobs that run in it.
//!
//! ```text
//! Jobs (handles) ──▶ overview · job · vertices · checkpoints · exceptions ──▶ JSON, as Flink's
//!        ▲    └────▶ prometheus ──▶ /metrics, Flink's names
//!        └───────── triggers: savepoint, stop, checkpoint, cancel
//! ```
//!
//! Every path answers with and without `/v1` before it. Ids are 32 hex digits, times are epoch
//! milliseconds (-1 for none), an error is `{"errors": ["…"]}`. The recorded answers of a real
//! Flink are in the tests, and ours have every field of theirs.
//!
//! Invariants:
//! - Reading has no side effect on a job; figures come from atomics, the status from one lock.
//! - Only a request by address or as `localhost` is answered: a web page that points its own name
//!   at this machine (DNS rebinding) gets nothing.

mod checkpoints;
mod error;
mod job;
mod jobs;
mod metrics;
mod overview;
mod prometheus;
mod rates;
mod triggers;
mod vertex;

#[cfg(test)]
mod tests;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::mpsc,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, Uri, header},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use tokio::{runtime::Handle, sync::oneshot};

use self::{error::RestError, triggers::Triggers};
pub use self::{
    jobs::Jobs,
    rates::{Rates, TaskRates},
};
use crate::error::{Error, Result};

/// Where Flink listens too.
pub const DEFAULT_PORT: u16 = 8081;

/// How many ports after the first are tried.
const PORTS: u16 = 100;

/// How often the figures are read for rates.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How long [`RestServer::shutdown`] waits for clients to fetch answers.
const GRACE: Duration = Duration::from_secs(2);

/// `127.0.0.1` at [`DEFAULT_PORT`].
pub fn default_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))
}

/// Answers for `jobs` at `addr`, or at one of the next hundred ports if that one is taken. Port 0
/// takes any free one.
pub fn serve(jobs: Jobs, addr: SocketAddr, runtime: &Handle) -> Result<RestServer> {
    let listener = bind(addr)?;
    let unusable = |e: std::io::Error| Error::Config(format!("REST at {addr}: {e}"));
    listener.set_nonblocking(true).map_err(unusable)?;
    let local_addr = listener.local_addr().map_err(unusable)?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(unusable)?
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let (end, ended) = mpsc::channel::<()>();
    let triggers = Triggers::default();
    let app = router(Api { jobs: jobs.clone(), triggers: triggers.clone() });
    runtime.spawn(async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(async move {
            let _ = stopped.await;
        });
        let sampled = async {
            let mut ticks = tokio::time::interval(SAMPLE_EVERY);
            loop {
                ticks.tick().await;
                jobs.sample();
            }
        };
        tokio::select! {
            result = served => if let Err(e) = result { tracing::warn!("REST ended: {e}") },
            () = sampled => {}
        }
        drop(end);
    });
    Ok(RestServer { local_addr, stop: Some(stop), ended, triggers })
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct RestServer {
    local_addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    /// Closed when the last answer is out.
    ended: mpsc::Receiver<()>,
    triggers: Triggers,
}

impl RestServer {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends it. Whoever asked for a savepoint or a stop gets a moment to fetch the answer first,
    /// because a stopped job usually takes the whole process with it.
    pub fn shutdown(mut self) {
        self.triggers.wait_until_fetched(GRACE);
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // Fetched is not yet sent.
        let _ = self.ended.recv_timeout(GRACE);
    }
}

/// What every handler gets.
#[derive(Clone)]
struct Api {
    jobs: Jobs,
    triggers: Triggers,
}

fn bind(addr: SocketAddr) -> Result<TcpListener> {
    if addr.port() == 0 {
        return TcpListener::bind(addr).map_err(|e| Error::Config(format!("REST cannot listen at {addr}: {e}")));
    }
    let last = addr.port().saturating_add(PORTS);
    let mut taken = None;
    for port in addr.port()..=last {
        match TcpListener::bind((addr.ip(), port)) {
            Ok(listener) => return Ok(listener),
            Err(e) => taken = Some(e),
        }
    }
    let reason = taken.map(|e| e.to_string()).unwrap_or_default();
    Err(Error::Config(format!(
        "REST found no free port between {} and {last}: {reason}; give another with --rest-port, or turn it off with --rest-port off",
        addr.port()
    )))
}

fn router(api_state: Api) -> Router {
    let api = Router::new()
        .route("/config", get(overview::config))
        .route("/overview", get(overview::overview))
        .route("/applications/overview", get(overview::applications))
        .route("/taskmanagers", get(overview::taskmanagers))
        .route("/jobs", get(overview::jobs))
        .route("/jobs/overview", get(overview::jobs_overview))
        .route("/jobs/{jid}", get(job::details).patch(triggers::cancel))
        .route("/jobs/{jid}/yarn-cancel", get(triggers::cancel_by_get))
        .route("/jobs/{jid}/status", get(job::status))
        .route("/jobs/{jid}/execution-result", get(job::execution_result))
        .route("/jobs/{jid}/plan", get(job::plan))
        .route("/jobs/{jid}/config", get(job::config))
        .route("/jobs/{jid}/exceptions", get(job::exceptions))
        .route("/jobs/{jid}/accumulators", get(job::accumulators))
        .route("/jobs/{jid}/metrics", get(metrics::of_job))
        .route("/jobs/{jid}/savepoints", post(triggers::savepoint))
        .route("/jobs/{jid}/savepoints/{trigger}", get(triggers::savepoint_status))
        .route("/jobs/{jid}/stop", post(triggers::stop))
        .route("/jobs/{jid}/checkpoints", get(checkpoints::statistics).post(triggers::checkpoint))
        .route("/jobs/{jid}/checkpoints/config", get(checkpoints::config))
        .route("/jobs/{jid}/checkpoints/details/{id}", get(checkpoints::details))
        .route("/jobs/{jid}/checkpoints/details/{id}/subtasks/{vid}", get(checkpoints::subtasks))
        .route("/jobs/{jid}/checkpoints/{trigger}", get(triggers::checkpoint_status))
        .route("/jobs/{jid}/vertices/{vid}", get(vertex::details))
        .route("/jobs/{jid}/vertices/{vid}/watermarks", get(vertex::watermarks))
        .route("/jobs/{jid}/vertices/{vid}/backpressure", get(vertex::backpressure))
        .route("/jobs/{jid}/vertices/{vid}/accumulators", get(vertex::accumulators))
        .route("/jobs/{jid}/vertices/{vid}/metrics", get(metrics::of_vertex))
        .route("/jobs/{jid}/vertices/{vid}/subtasks/metrics", get(metrics::of_subtasks));
    Router::new()
        .merge(api.clone())
        .nest("/v1", api)
        .route("/metrics", get(prometheus::metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(middleware::from_fn(only_by_address))
        .with_state(api_state)
}

async fn not_found(uri: Uri) -> RestError {
    RestError::not_found(format!("Unable to load requested file {}.", uri.path()))
}

/// See the module's second invariant.
async fn only_by_address(request: Request, next: Next) -> std::result::Result<Response, RestError> {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => host.split(':').next().unwrap_or(host),
    };
    if name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok() {
        return Ok(next.run(request).await);
    }
    let message = format!("requests for the host '{name}' are not answered: use 127.0.0.1 or localhost");
    Err(RestError::new(StatusCode::FORBIDDEN, message))
}
