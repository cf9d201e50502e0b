//! The calls the sink makes.

use std::{future::Future, sync::Arc, time::Duration};

use aws_sdk_kinesis::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    primitives::Blob,
    types::PutRecordsRequestEntry,
};
use hurtig_aws::AwsConfig;

use super::{lanes::Answer, payload::Entry, shard_map::ShardInfo};
use crate::service::{Failure, list_shards, name_or_arn};

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It may succeed another time.
    Passing(String),
    /// It will not: one line that says what to do.
    Final(String),
}

/// `PutRecords` and `ListShards` of one stream.
pub trait Transport: Send + Sync + 'static {
    /// Sends entries; the answers are in their order.
    fn put(&self, entries: Vec<Entry>) -> impl Future<Output = Result<Vec<Answer>, Refusal>> + Send;

    /// All shards, open and closed.
    fn shards(&self) -> impl Future<Output = Result<Vec<ShardInfo>, Refusal>> + Send;
}

/// The real one.
#[derive(Debug, Clone)]
pub struct KinesisTransport {
    client: Client,
    stream: Arc<str>,
}

/// A request that is not answered in this time is taken for lost.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Without the client's own retries: the caller sees to them.
pub(crate) fn once() -> aws_sdk_kinesis::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_timeout(REQUEST_TIMEOUT).build();
    aws_sdk_kinesis::config::Builder::new().retry_config(RetryConfig::disabled()).timeout_config(timeouts)
}

impl KinesisTransport {
    /// To this stream, its name or its ARN. A missing region or missing credentials are an error.
    pub async fn connect(aws: AwsConfig, stream: Arc<str>) -> Result<Self, String> {
        let sdk = aws.load().await.map_err(|e| format!("stream {stream}: {e}"))?;
        Ok(Self::new(Client::new(&sdk), stream))
    }

    /// Over this client. Its own retries are switched off for what the lanes send again.
    pub fn new(client: Client, stream: impl Into<Arc<str>>) -> Self {
        KinesisTransport { client, stream: stream.into() }
    }

    fn refusal(&self, failure: Failure) -> Refusal {
        let (words, is_final) = failure.of_a_stream();
        let reason = format!("stream {}: {words}", self.stream);
        if is_final { Refusal::Final(reason) } else { Refusal::Passing(reason) }
    }
}

impl Transport for KinesisTransport {
    async fn put(&self, entries: Vec<Entry>) -> Result<Vec<Answer>, Refusal> {
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            let record = PutRecordsRequestEntry::builder()
                .partition_key(&*entry.partition_key)
                .set_explicit_hash_key(entry.explicit_hash_key.map(|hash| hash.to_string()))
                .data(Blob::new(entry.data))
                .build();
            records.push(record.map_err(|e| Refusal::Final(e.to_string()))?);
        }
        let (name, arn) = name_or_arn(&self.stream);
        let request = self.client.put_records().set_stream_name(name).set_stream_arn(arn);
        let answer = request.set_records(Some(records)).customize().config_override(once()).send().await;
        let answer = answer.map_err(|e| self.refusal(Failure::of(&e)))?;
        let entry = |e: &aws_sdk_kinesis::types::PutRecordsResultEntry| match (e.shard_id(), e.error_code()) {
            (Some(shard), None) => Answer::Taken(shard.into()),
            (_, Some("ProvisionedThroughputExceededException")) => Answer::Throttled,
            _ => Answer::Failed,
        };
        Ok(answer.records().iter().map(entry).collect())
    }

    async fn shards(&self) -> Result<Vec<ShardInfo>, Refusal> {
        let shards = list_shards(&self.client, &self.stream).await.map_err(|failure| self.refusal(failure))?;
        Ok(shards.into_iter().map(ShardInfo::from).collect())
    }
}
