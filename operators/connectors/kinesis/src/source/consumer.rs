//! The consumer of enhanced fan-out: found, or registered and waited for.

use std::time::Duration;

use aws_sdk_kinesis::types::ConsumerStatus;
use tokio::time::{sleep, timeout};

use super::{
    client::StreamClient,
    options::{EfoConsumer, Options, ReaderType},
};
use crate::{
    error::{Error, Result},
    service::Failure,
};

/// How often a new consumer is asked after, a second apart, before the start fails.
const ATTEMPTS: usize = 100;

/// A consumer that is ACTIVE.
#[derive(Debug)]
pub(super) struct Consumer {
    pub arn: String,
    /// Whether we have registered it just now: only then may it be deregistered. (When the answer to
    /// our registration is lost, it counts as somebody else's: better one that is left over than one
    /// taken away.)
    pub is_new: bool,
}

/// The consumer of an enhanced fan-out reader; none for one that polls.
pub(super) async fn ensure(client: &StreamClient, reader: &ReaderType) -> Result<Option<Consumer>> {
    let (name, stream_arn) = match reader {
        ReaderType::Polling => return Ok(None),
        ReaderType::Efo(EfoConsumer::Arn(arn)) => return Ok(Some(Consumer { arn: arn.clone(), is_new: false })),
        ReaderType::Efo(EfoConsumer::Name(name)) => (name, stream_arn(client).await?),
    };
    let request = client.control.register_stream_consumer().stream_arn(&stream_arn).consumer_name(name);
    let is_new = match request.send().await.map_err(|e| Failure::of(&e)) {
        Ok(_) => true,
        // It exists: that is what we are after.
        Err(Failure::InUse(_)) => false,
        Err(failure) => return Err(client.error("RegisterStreamConsumer", failure)),
    };
    for _ in 0..ATTEMPTS {
        let request = client.control.describe_stream_consumer().stream_arn(&stream_arn).consumer_name(name);
        match request.send().await.map_err(|e| Failure::of(&e)) {
            Ok(found) => match found.consumer_description {
                Some(c) if c.consumer_status == ConsumerStatus::Active => {
                    return Ok(Some(Consumer { arn: c.consumer_arn, is_new }));
                }
                _ => (),
            },
            // It may not be visible yet.
            Err(Failure::NotFound(_) | Failure::Throttled(_) | Failure::Retry(_)) => (),
            Err(failure) => return Err(client.error("DescribeStreamConsumer", failure)),
        }
        sleep(Duration::from_secs(1)).await;
    }
    Err(Error::Config(format!(
        "the consumer '{name}' did not become ACTIVE in {ATTEMPTS} s: look at it and start again"
    )))
}

/// Deregisters the consumer (`source.efo.deregister.timeout`: 10 s). That it cannot be done is only
/// worth a warning: the job is over.
pub(super) async fn deregister(options: &Options, consumer_arn: &str) {
    let sent = async {
        let client = StreamClient::connect(options).await.map_err(|e| e.to_string())?;
        let sent = client.control.deregister_stream_consumer().consumer_arn(consumer_arn).send().await;
        sent.map_err(|e| hurtig_aws::describe(&e))
    };
    let why = match timeout(Duration::from_secs(10), sent).await {
        Ok(Ok(_)) => return,
        Ok(Err(why)) => why,
        Err(_) => "no answer in 10 s".into(),
    };
    tracing::warn!(consumer_arn, "the consumer could not be deregistered: {why}");
}

async fn stream_arn(client: &StreamClient) -> Result<String> {
    if let Some(arn) = client.arn() {
        return Ok(arn);
    }
    let described = client.control.describe_stream_summary().set_stream_name(client.name()).send().await;
    let described = described.map_err(|e| client.error("DescribeStreamSummary", Failure::of(&e)))?;
    Ok(described.stream_description_summary.map(|s| s.stream_arn).unwrap_or_default())
}
