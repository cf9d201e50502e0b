//! One batch until every line of it has its answer: again what may pass, without the lines that are refused, in halves
//! where the server does not say which.

use std::{future::Future, sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use hurtig_async_sink::{Answers, Batch, Counts, Destination};

use crate::{answer::Failure, error::Error, queue::LineBatch};

/// Sends lines to one place.
pub trait Transport: Send + Sync + 'static {
    /// Sends these in one request.
    fn write(&self, lines: &[&[u8]]) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Sends to one place.
pub(crate) struct Delivery<T> {
    pub transport: T,
    /// For messages.
    pub url: String,
    pub backoff: ExponentialBuilder,
    /// Of the jitter.
    pub seed: u64,
    pub counts: Arc<Counts>,
}

impl<T: Transport> Destination<LineBatch> for Delivery<T> {
    type Refusal = String;

    async fn deliver(&self, batch: &LineBatch) -> Answers<String> {
        let backoff = self.backoff.with_jitter().with_jitter_seed(self.seed.wrapping_add(batch.number()));
        let lines: Vec<&[u8]> = batch.items.iter().map(|item| item.line.as_slice()).collect();
        let answers = deliver(&self.transport, &lines, backoff, &self.counts).await;
        answers.map_err(|failure| self.the_end(failure).to_string())
    }
}

impl<T> Delivery<T> {
    fn the_end(&self, failure: Failure) -> Error {
        let url = self.url.clone();
        match failure {
            Failure::Final { status, words: reason } => {
                let what_to_do = match status {
                    401 | 403 => "check the token or the password, and that it may write there",
                    404 => "create the database or bucket, or check its name, the organization and the URL",
                    _ => "check the URL and the options",
                };
                Error::Refused { url, status, reason, what_to_do }
            }
            other => Error::Unreachable { url, reason: other.words().to_owned(), seconds: START.as_secs() },
        }
    }
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
        .when(|failure| failure.is_passing() && (counts.has_answered() || start.elapsed() < START))
        .adjust(|failure, wait| match failure {
            // Not before it says, and not all at once then.
            Failure::Busy { retry_after: Some(after), .. } => Some(*after + wait.unwrap_or_default()),
            _ => wait,
        })
        .notify(|failure, _| {
            counts.retries.add(1);
            if matches!(failure, Failure::Busy { .. }) {
                counts.note_answer();
                counts.throttled.add(1);
            } else {
                counts.complain(&format!("InfluxDB: {}", failure.words()));
            }
        })
        .await;
    if !matches!(&answer, Err(failure) if failure.is_passing()) {
        counts.note_answer();
    }
    answer
}
