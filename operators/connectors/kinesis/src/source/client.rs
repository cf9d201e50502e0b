//! The stream as the service shows it: connecting, listing, and what an error means.

use aws_sdk_kinesis::{
    Client,
    config::{StalledStreamProtectionConfig, http::HttpResponse, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};

use super::{options::Options, shard::Shard};
use crate::error::{Error, Result};

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

/// What an error asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Too fast, or too many: wait.
    Throttled(String),
    /// The service or the connection: try again.
    Retry(String),
    /// The iterator is older than five minutes.
    Expired,
    /// The shard, or the stream, is not there.
    NotFound(String),
    /// There is a subscription already, or the stream changes.
    InUse(String),
    /// It will not get better by waiting.
    Refused(String),
}

impl Failure {
    /// What an SDK's error means.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|r| r.status().as_u16());
        let is_service = matches!(error, SdkError::ServiceError(_));
        Self::classify(is_service.then(|| error.code()).flatten(), status, hurtig_aws::describe(error))
    }

    /// What a code and an HTTP status mean; neither, when no answer came.
    pub fn classify(code: Option<&str>, status: Option<u16>, words: String) -> Self {
        match code {
            Some(
                "ProvisionedThroughputExceededException"
                | "LimitExceededException"
                | "ThrottlingException"
                | "Throttling"
                | "RequestLimitExceeded"
                | "TooManyRequestsException"
                | "KMSThrottlingException",
            ) => Failure::Throttled(words),
            Some("ExpiredIteratorException") => Failure::Expired,
            Some("ResourceNotFoundException") => Failure::NotFound(words),
            Some("ResourceInUseException") => Failure::InUse(words),
            Some(
                "InternalFailure" | "InternalFailureException" | "ServiceUnavailable" | "ExpiredNextTokenException",
            ) => Failure::Retry(words),
            // Our clock is ahead of the service's: its time comes.
            Some("InvalidArgumentException") if words.contains("imestamp") && words.contains("greater than") => {
                Failure::Retry(words)
            }
            _ => match status {
                Some(429) => Failure::Throttled(words),
                Some(400..=407 | 409..=499) if code.is_some() => Failure::Refused(words),
                _ => Failure::Retry(words),
            },
        }
    }
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
        (!self.is_arn()).then(|| self.stream.clone())
    }

    /// The stream for a request that takes its ARN, when that is what was given.
    pub fn arn(&self) -> Option<String> {
        self.is_arn().then(|| self.stream.clone())
    }

    fn is_arn(&self) -> bool {
        self.stream.starts_with("arn:")
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
        let mut shards = Vec::new();
        let mut token = None;
        loop {
            // A page after the first names the stream by its token alone.
            let first = token.is_none();
            let request = self.control.list_shards().max_results(1000);
            let request = request.set_stream_name(self.name().filter(|_| first));
            let request = request.set_stream_arn(self.arn().filter(|_| first));
            let page = request.set_next_token(token).send().await.map_err(|e| Failure::of(&e))?;
            shards.extend(page.shards().iter().map(Shard::from));
            match page.next_token {
                Some(next) => token = Some(next),
                None => return Ok(shards),
            }
        }
    }
}
