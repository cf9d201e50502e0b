//! One batch until every record of it has its answer: again what may pass, in halves what is refused as a whole.

use backon::{ExponentialBuilder, Retryable};
use hurtig_async_sink::{Answers, Batch, Counts, Destination};

use crate::{
    failure::Failure,
    metrics::SinkMetrics,
    queue::{Item, RecordBatch},
    transport::Transport,
    window::Route,
};

/// Why a record is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In one line.
    pub reason: String,
    /// For its age alone.
    pub too_old: bool,
}

/// Sends to one table.
pub(crate) struct Delivery<T> {
    pub transport: T,
    pub backoff: ExponentialBuilder,
    /// Of the jitter.
    pub seed: u64,
    pub metrics: SinkMetrics,
}

impl<T: Transport> Destination<RecordBatch> for Delivery<T> {
    type Refusal = Refusal;

    async fn deliver(&self, batch: &RecordBatch) -> Answers<Refusal> {
        let backoff = self.backoff.with_jitter().with_jitter_seed(self.seed.wrapping_add(batch.number()));
        let answers = deliver(&self.transport, &batch.items, backoff, &self.metrics.sink.counts).await?;
        if batch.route == Route::Magnetic {
            let taken = answers.iter().filter(|refusal| refusal.is_none()).count();
            self.metrics.magnetic.add(i64::try_from(taken).unwrap_or(i64::MAX));
        }
        Ok(answers)
    }
}

/// Sends `items` until each has its answer: the refusals, in the order of the items; `None` is written. An error is
/// the end of the sink: nothing is known of the rest.
///
/// What is throttled, unavailable or lost is sent again for as long as it takes, with `backoff`; what is not valid is
/// never sent again as it was: its halves are, until the record is found that is to blame.
pub async fn deliver<T: Transport>(
    transport: &T,
    items: &[Item],
    backoff: ExponentialBuilder,
    counts: &Counts,
) -> Answers<Refusal> {
    let mut refusals: Vec<Option<Refusal>> = vec![None; items.len()];
    // From the last to the first, so that the first goes first.
    let mut parts: Vec<_> = std::iter::once(0..items.len()).collect();
    while let Some(part) = parts.pop() {
        let Some(sent) = items.get(part.clone()).filter(|sent| !sent.is_empty()) else { continue };
        let mut refuse = |at: usize, reason: String| {
            counts.rejected.add(1);
            let too_old = is_too_old(&reason);
            if let Some(place) = refusals.get_mut(part.start + at) {
                *place = Some(Refusal { reason, too_old });
            }
        };
        match send(transport, sent, backoff, counts).await {
            Ok(()) => {}
            Err(Failure::Rejected(rejected)) if is_sound(&rejected, sent.len()) => {
                rejected.into_iter().for_each(|(at, reason)| refuse(at, reason));
            }
            Err(failure @ (Failure::Invalid(_) | Failure::Rejected(_))) => {
                if sent.len() == 1 {
                    refuse(0, format!("Timestream refuses it: {}", failure.words()));
                    continue;
                }
                counts.split.add(1);
                let middle = part.start + sent.len() / 2;
                parts.push(middle..part.end);
                parts.push(part.start..middle);
            }
            Err(failure) => return Err(failure.words().to_owned()),
        }
    }
    Ok(refusals)
}

/// Until it is taken or refused for good.
async fn send<T: Transport>(
    transport: &T,
    items: &[Item],
    backoff: ExponentialBuilder,
    counts: &Counts,
) -> Result<(), Failure> {
    let attempt = || {
        counts.requests.add(1);
        transport.write(items)
    };
    let answer = attempt
        .retry(backoff.without_max_times())
        .when(Failure::is_passing)
        .notify(|failure, _| {
            counts.retries.add(1);
            if matches!(failure, Failure::Throttled(_)) {
                counts.throttled.add(1);
            } else {
                counts.complain(&format!("Timestream: {}", failure.words()));
            }
        })
        .await;
    counts.note_answer();
    answer
}

/// Whether it names records of the request; a rejection that names none says nothing about any.
fn is_sound(rejected: &[(usize, String)], sent: usize) -> bool {
    !rejected.is_empty() && rejected.iter().all(|(at, _)| *at < sent)
}

/// Whether the reason is the record's time. A record ahead of its time was kept from being sent.
fn is_too_old(reason: &str) -> bool {
    reason.contains("outside the time range")
}
