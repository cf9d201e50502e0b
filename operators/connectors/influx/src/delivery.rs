//! One batch until every line of it has its answer: again what may pass, without the lines that are refused, in halves
//! where the server does not say which.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use hurtig_engine::metrics::Gauge;

use crate::answer::Failure;

/// Sends lines to one place.
pub trait Transport: Send + Sync + 'static {
    /// Sends these in one request.
    fn write(&self, lines: &[&[u8]]) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What the deliveries of a sink share.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests sent.
    pub requests: Gauge,
    /// Requests that were sent again, throttled ones included.
    pub retries: Gauge,
    /// Requests that were told to wait (429, 503).
    pub throttled: Gauge,
    /// Lines that were refused.
    pub rejected: Gauge,
    /// Batches that were refused without a word on which line, and sent in halves.
    pub split: Gauge,
    /// Somebody has answered.
    pub(crate) answered: AtomicBool,
    /// An outage is said once, not with every request.
    pub(crate) complained: AtomicBool,
}

/// Until somebody has answered for the first time, it is a mistake in the set-up; afterwards it is an outage.
pub(crate) const START: Duration = Duration::from_secs(30);

/// Sends `lines` until each has its answer: `None` is written, else the reason. An error is the end of the sink: nothing is
/// known of the rest.
pub async fn deliver<T: Transport>(
    transport: &T,
    lines: &[&[u8]],
    backoff: ExponentialBuilder,
    counts: &Counts,
) -> Result<Vec<Option<String>>, Failure> {
    let mut reasons: Vec<Option<String>> = vec![None; lines.len()];
    // Places of `lines`, from the last to the first, so that the first goes first.
    let mut parts: Vec<Vec<usize>> = vec![(0..lines.len()).collect()];
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let sent: Vec<&[u8]> = part.iter().filter_map(|at| lines.get(*at).copied()).collect();
        let mut refuse = |at: Option<&usize>, reason: String| {
            counts.rejected.add(1);
            if let Some(place) = at.and_then(|at| reasons.get_mut(*at)) {
                *place = Some(format!("InfluxDB refuses it: {reason}"));
            }
        };
        match send(transport, &sent, backoff, counts).await {
            Ok(()) => {}
            Err(Failure::Lines { refused, rest_is_stored }) => {
                for (at, reason) in refused {
                    refuse(part.get(at), reason);
                }
                if !rest_is_stored {
                    part.retain(|at| reasons.get(*at).is_some_and(Option::is_none));
                    parts.push(part);
                }
            }
            Err(Failure::Invalid(reason) | Failure::TooLarge(reason)) => {
                if let [only] = part.as_slice() {
                    refuse(Some(only), reason);
                    continue;
                }
                counts.split.add(1);
                let second = part.split_off(part.len() / 2);
                parts.push(second);
                parts.push(part);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(reasons)
}

/// Until it is taken or refused.
async fn send<T: Transport>(
    transport: &T,
    lines: &[&[u8]],
    backoff: ExponentialBuilder,
    counts: &Counts,
) -> Result<(), Failure> {
    let start = tokio::time::Instant::now();
    let attempt = || {
        counts.requests.add(1);
        transport.write(lines)
    };
    let answer = attempt
        .retry(backoff.without_max_times())
        .when(|failure| failure.is_passing() && (counts.answered.load(Relaxed) || start.elapsed() < START))
        .adjust(|failure, wait| match failure {
            // Not before it says, and not all at once then.
            Failure::Busy { retry_after: Some(after), .. } => Some(*after + wait.unwrap_or_default()),
            _ => wait,
        })
        .notify(|failure, _| {
            counts.retries.add(1);
            if matches!(failure, Failure::Busy { .. }) {
                counts.answered.store(true, Relaxed);
                counts.throttled.add(1);
            } else if !counts.complained.swap(true, Relaxed) {
                tracing::warn!("InfluxDB: {}; trying again until it succeeds", failure.words());
            }
        })
        .await;
    if !matches!(&answer, Err(failure) if failure.is_passing()) {
        counts.answered.store(true, Relaxed);
        counts.complained.store(false, Relaxed);
    }
    answer
}
