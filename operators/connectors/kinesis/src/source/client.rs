//! The stream as a reader reaches it.

use aws_sdk_kinesis::{
    Client,
    config::{StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
};

use super::options::Options;
use crate::{
    error::{Error, Result},
    service::{Failure, Shard, list_shards, name_or_arn},
};

/// One stream of one account and region.
#[derive(Debug, Clone)]
pub(super) struct StreamClient {
    /// For the path of the data: every error is seen, none is tried again behind our back.
    pub data: Client,
    /// For everything else.
    pub control: Client,
    stream: String,
    region: String,
    endpoint: String,
}

impl StreamClient {
    /// Finds region and credentials. Nothing is asked of the service yet.
    pub async fn connect(options: &Options) -> Result<Self> {
        let sdk = options.aws.load().await?;
        let control = Client::new(&sdk);
        let data = aws_sdk_kinesis::config::Builder::from(&sdk)
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(std::time::Duration::from_secs(5))
                    .operation_attempt_timeout(std::time::Duration::from_secs(30))
                    .build(),
            )
            .build();
        Ok(StreamClient {
            data: Client::from_conf(data),
            control,
            stream: options.stream.clone(),
            region: sdk.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: sdk.endpoint_url().map(|e| format!(" at {e}")).unwrap_or_default(),
        })
    }

    /// The stream for a request that takes its name, when that is what was given.
    pub fn name(&self) -> Option<String> {
        name_or_arn(&self.stream).0
    }

    /// The stream for a request that takes its ARN, when that is what was given.
    pub fn arn(&self) -> Option<String> {
        name_or_arn(&self.stream).1
    }

    /// A failure that ends what was tried.
    pub fn error(&self, operation: &'static str, failure: Failure) -> Error {
        let stream = self.stream.clone();
        match failure {
            Failure::NotFound(_) if operation == "ListShards" => {
                Error::NoStream { stream, region: self.region.clone(), endpoint: self.endpoint.clone() }
            }
            Failure::Refused(reason) | Failure::NotFound(reason) => Error::Refused { operation, stream, reason },
            Failure::Throttled(reason) | Failure::Retry(reason) | Failure::InUse(reason) => {
                Error::Unreachable { operation, stream, reason: format!("{reason}{}", self.endpoint) }
            }
            Failure::Expired => Error::Unreachable { operation, stream, reason: "the iterator expired".into() },
        }
    }

    /// All shards that the retention still holds, closed ones too.
    pub async fn list_shards(&self) -> Result<Vec<Shard>, Failure> {
        list_shards(&self.control, &self.stream).await
    }
}
