//! What an error of the service asks for.

use aws_sdk_kinesis::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

/// What an error asks for. Its words are one line.
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
    /// It will not get better by waiting. The words say what to do, where that is known.
    Refused(String),
}

impl Failure {
    /// What an SDK's error means.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let words = hurtig_aws::describe(error);
        if matches!(error, SdkError::ConstructionFailure(_)) {
            return Failure::Refused(format!("{words}: check region, endpoint and credentials"));
        }
        let status = error.raw_response().map(|r| r.status().as_u16());
        let is_service = matches!(error, SdkError::ServiceError(_));
        Self::classify(is_service.then(|| error.code()).flatten(), status, words)
    }

    /// What a code and an HTTP status mean; neither, when no answer came.
    pub fn classify(code: Option<&str>, status: Option<u16>, words: String) -> Self {
        let what_to_do = code.and_then(what_to_do);
        match code {
            // Our clock is ahead of the service's: its time comes.
            Some("InvalidArgumentException") if words.contains("imestamp") && words.contains("greater than") => {
                Failure::Retry(words)
            }
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
                "InternalFailure"
                | "InternalFailureException"
                | "ServiceUnavailable"
                | "ExpiredNextTokenException"
                // The next request is signed with newer ones.
                | "ExpiredToken"
                | "ExpiredTokenException",
            ) => Failure::Retry(words),
            _ => match (what_to_do, status) {
                (Some(what_to_do), _) => Failure::Refused(format!("{words}: {what_to_do}")),
                (None, Some(429)) => Failure::Throttled(words),
                (None, Some(400..=407 | 409..=499)) if code.is_some() => Failure::Refused(words),
                (None, _) => Failure::Retry(words),
            },
        }
    }

    /// For a call that concerns a stream as a whole: its words, and whether that is the end of it.
    pub(crate) fn of_a_stream(self) -> (String, bool) {
        match self {
            Failure::NotFound(words) => (format!("{words}: create it, or check its name and AWS_REGION"), true),
            Failure::Refused(words) => (words, true),
            Failure::Throttled(words) | Failure::Retry(words) | Failure::InUse(words) => (words, false),
            Failure::Expired => ("the iterator has expired".to_owned(), false),
        }
    }
}

/// What to do about what is refused for good.
fn what_to_do(code: &str) -> Option<&'static str> {
    match code {
        "AccessDeniedException" | "AccessDenied" => Some("allow it to these credentials"),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException"
        | "OptInRequired" => Some("check the credentials"),
        "KMSAccessDeniedException"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException"
        | "KMSOptInRequired" => Some("check the key that the stream is encrypted with"),
        "ValidationException" | "InvalidArgumentException" => Some("check the options and the stream's own limits"),
        _ => None,
    }
}
