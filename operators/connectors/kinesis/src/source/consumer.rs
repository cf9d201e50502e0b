//! The consumer of enhanced fan-out: found, or registered and waited for.

use std::time::Duration;

use aws_sdk_kinesis::types::ConsumerStatus;
use tokio::time::{sleep, timeout};

use super::{
    client::{Failure, StreamClient},
    first_start::FirstStart,
    options::{EfoConsumer, Options, ReaderType},
};
use crate::error::{Error, Result};

/// How often a new consumer is asked after, a second apart, before the start fails.
const ATTEMPTS: usize = 100;

/// The consumer's ARN, for an enhanced fan-out reader, once it is ACTIVE. That we have registered it
/// is kept in `first_start`: only then may it be deregistered. (When the answer to our registration
/// is lost, it counts as somebody else's: better one that is left over than one taken away.)
pub(super) async fn ensure(
    client: &StreamClient,
    reader: &ReaderType,
    first_start: &FirstStart,
) -> Result<Option<String>> {
    let (name, stream_arn) = match reader {
        ReaderType::Polling => return Ok(None),
        ReaderType::Efo(EfoConsumer::Arn(arn)) => return Ok(Some(arn.clone())),
        ReaderType::Efo(EfoConsumer::Name(name)) => (name, stream_arn(client).await?),
    };
    let request = client.control.register_stream_consumer().stream_arn(&stream_arn).consumer_name(name);
    match request.send().await.map_err(|e| Failure::of(&e)) {
        Ok(registered) => {
            if let Some(consumer) = registered.consumer {
                first_start.register(&consumer.consumer_arn);
            }
        }
        // It exists: that is what we are after.
        Err(Failure::InUse(_)) => (),
        Err(failure) => return Err(client.error("RegisterStreamConsumer", failure)),
    }
    for _ in 0..ATTEMPTS {
        let request = client.control.describe_stream_consumer().stream_arn(&stream_arn).consumer_name(name);
        match request.send().await.map_err(|e| Failure::of(&e)) {
            Ok(found) => match found.consumer_description {
                Some(c) if c.consumer_status == ConsumerStatus::Active => return Ok(Some(c.consumer_arn)),
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
