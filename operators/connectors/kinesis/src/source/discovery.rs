//! Looks for shards in the background: every interval, and at once when a shard has ended.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use hurtig_engine::{metrics::Gauge, source::EnumeratorWaker};
use tokio::{runtime::Handle, sync::Notify, task::AbortHandle, time::timeout};

use super::{client::StreamClient, fetch::backoff};
use crate::{
    error::Error,
    service::{Failure, Shard},
};

/// A complete listing.
#[derive(Debug)]
pub(super) struct Listing {
    /// Which one, from 1.
    pub pass: u64,
    pub shards: Vec<Shard>,
}

#[derive(Default)]
struct State {
    begun: AtomicU64,
    found: Mutex<Option<Result<Listing, Error>>>,
    now: Notify,
}

/// The background task; it ends with this.
pub(super) struct Discovery {
    state: Arc<State>,
    task: AbortHandle,
}

impl Discovery {
    pub fn start(
        client: StreamClient,
        interval: Duration,
        seed: u64,
        waker: EnumeratorWaker,
        retried: Gauge,
        on: &Handle,
    ) -> Self {
        let state = Arc::new(State::default());
        let task = on.spawn(look(client, interval, seed, waker, retried, state.clone())).abort_handle();
        Discovery { state, task }
    }

    /// Looks now. Returns the number of the first listing that will begin after this call.
    pub fn look_now(&self) -> u64 {
        let next = self.state.begun.load(SeqCst) + 1;
        self.state.now.notify_one();
        next
    }

    /// The newest listing that was not taken yet.
    pub fn take(&self) -> Result<Option<Listing>, Error> {
        self.state.found.lock().unwrap_or_else(|e| e.into_inner()).take().transpose()
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(
    client: StreamClient,
    interval: Duration,
    seed: u64,
    waker: EnumeratorWaker,
    retried: Gauge,
    state: Arc<State>,
) {
    let mut waits = backoff(seed);
    let mut failures = 0_u32;
    let mut wait = interval;
    loop {
        let _ = timeout(wait, state.now.notified()).await;
        let pass = state.begun.fetch_add(1, SeqCst) + 1;
        let found = match client.list_shards().await {
            Ok(shards) => Ok(Listing { pass, shards }),
            Err(failure @ (Failure::Refused(_) | Failure::NotFound(_))) => Err(client.error("ListShards", failure)),
            Err(failure) => {
                failures += 1;
                retried.add(1);
                if failures.is_power_of_two() {
                    tracing::warn!(failures, "{}", client.error("ListShards", failure));
                }
                wait = waits.next().unwrap_or(interval);
                continue;
            }
        };
        (failures, wait, waits) = (0, interval, backoff(seed));
        let over = found.is_err();
        *state.found.lock().unwrap_or_else(|e| e.into_inner()) = Some(found);
        waker.wake();
        if over {
            return;
        }
    }
}
