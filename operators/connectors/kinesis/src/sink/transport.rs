//! The calls the sink makes.

use std::{future::Future, sync::Arc, time::Duration};

use aws_sdk_kinesis::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::PutRecordsRequestEntry,
};
use hurtig_aws::AwsConfig;

use super::{lanes::Answer, payload::Entry, shard_map::ShardInfo};
use crate::scaling::HashRange;

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

/// Whether this may be a stream's name or its ARN.
pub(super) fn is_stream(stream: &str) -> bool {
    !stream.is_empty() && (!stream.starts_with("arn:") || stream.contains(":stream/"))
}

/// The stream for a request: its name, or its ARN, whichever was given.
pub(crate) fn name_or_arn(stream: &str) -> (Option<String>, Option<String>) {
    let given = Some(stream.to_owned());
    if stream.starts_with("arn:") { (None, given) } else { (given, None) }
}

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
        let answer = answer.map_err(|e| refusal(&self.stream, "kinesis:PutRecords", e))?;
        let entry = |e: &aws_sdk_kinesis::types::PutRecordsResultEntry| match (e.shard_id(), e.error_code()) {
            (Some(shard), None) => Answer::Taken(shard.into()),
            (_, Some("ProvisionedThroughputExceededException")) => Answer::Throttled,
            _ => Answer::Failed,
        };
        Ok(answer.records().iter().map(entry).collect())
    }

    async fn shards(&self) -> Result<Vec<ShardInfo>, Refusal> {
        list_shards(&self.client, &self.stream).await
    }
}

/// All pages of `ListShards`.
pub(crate) async fn list_shards(client: &Client, stream: &str) -> Result<Vec<ShardInfo>, Refusal> {
    let mut shards = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let request = client.list_shards();
        let request = match next.take() {
            // The stream and a token exclude each other.
            Some(token) => request.next_token(token),
            None => {
                let (name, arn) = name_or_arn(stream);
                request.set_stream_name(name).set_stream_arn(arn)
            }
        };
        let page = request.send().await.map_err(|e| refusal(stream, "kinesis:ListShards", e))?;
        for shard in page.shards() {
            let range = shard
                .hash_key_range()
                .and_then(|r| HashRange::new(r.starting_hash_key().parse().ok()?, r.ending_hash_key().parse().ok()?));
            let Some(range) = range else {
                let what = format!("stream {stream}: {} was listed without a hash key range", shard.shard_id());
                return Err(Refusal::Final(what));
            };
            let closed = shard.sequence_number_range().is_some_and(|s| s.ending_sequence_number().is_some());
            shards.push(ShardInfo { id: shard.shard_id().into(), range, open: !closed });
        }
        next = page.next_token().map(str::to_owned);
        if next.is_none() {
            return Ok(shards);
        }
    }
}

/// What an error means. What is not known to be final is tried again: a sink that gives up loses
/// nothing, but a job that restarts for a hiccup of the service is a nuisance.
pub(crate) fn refusal<E>(stream: &str, permission: &str, error: SdkError<E>) -> Refusal
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let said = hurtig_aws::describe(&error);
    let final_words = match error.code() {
        Some("ResourceNotFoundException") => "create it, or check its name and AWS_REGION".to_owned(),
        Some("AccessDeniedException" | "AccessDenied") => format!("allow {permission} to these credentials"),
        Some(
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignatureException"
            | "OptInRequired",
        ) => "check the credentials".to_owned(),
        Some(
            "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException"
            | "KMSOptInRequired",
        ) => "check the key the stream is encrypted with".to_owned(),
        Some("ValidationException" | "InvalidArgumentException") => {
            "the stream does not take such records: check the sink's sizes and the stream's own limit".to_owned()
        }
        _ if matches!(error, SdkError::ConstructionFailure(_)) => "check region, endpoint and credentials".to_owned(),
        _ => return Refusal::Passing(format!("stream {stream}: {said}")),
    };
    Refusal::Final(format!("stream {stream}: {said}: {final_words}"))
}
