//! What an error of Timestream asks for.

use aws_sdk_timestreamwrite::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::write_records::WriteRecordsError,
};

/// What an error asks for. Its words are one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// These records of the request, by their index, for these reasons; all others are stored.
    Rejected(Vec<(usize, String)>),
    /// Something in the request is not valid, and nothing of it is stored.
    Invalid(String),
    /// Too fast, or too much: wait.
    Throttled(String),
    /// The discovered endpoint is not ours any more: ask for another.
    Endpoint(String),
    /// The service or the connection: try again.
    Passing(String),
    /// The database or the table is not there.
    NotFound(String),
    /// It will not get better by waiting. The words say what to do, where that is known.
    Final(String),
}

impl Failure {
    /// What an error of `WriteRecords` means.
    pub(crate) fn of_write(error: &SdkError<WriteRecordsError, HttpResponse>) -> Self {
        let Some(WriteRecordsError::RejectedRecordsException(rejected)) = error.as_service_error() else {
            return Self::of(error);
        };
        let reason = |r: &aws_sdk_timestreamwrite::types::RejectedRecord| {
            let reason = r.reason().unwrap_or("no reason given").replace(['\r', '\n'], " ");
            match r.existing_version() {
                Some(version) => format!("Timestream rejects it: {reason} (its existing version is {version})"),
                None => format!("Timestream rejects it: {reason}"),
            }
        };
        let one = |r| {
            Some((usize::try_from(aws_sdk_timestreamwrite::types::RejectedRecord::record_index(r)).ok()?, reason(r)))
        };
        Failure::Rejected(rejected.rejected_records().iter().filter_map(one).collect())
    }

    /// What any SDK error means.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let words = hurtig_aws::describe(error);
        if matches!(error, SdkError::ConstructionFailure(_)) {
            return Failure::Final(format!("{words}: check region, endpoint and credentials"));
        }
        let status = error.raw_response().map(|r| r.status().as_u16());
        let is_service = matches!(error, SdkError::ServiceError(_));
        Self::classify(is_service.then(|| error.code()).flatten(), status, words)
    }

    /// What a code and an HTTP status mean; neither, when no answer came.
    pub fn classify(code: Option<&str>, status: Option<u16>, words: String) -> Self {
        match code {
            Some(
                "ThrottlingException"
                | "Throttling"
                | "RequestLimitExceeded"
                | "TooManyRequestsException"
                | "ProvisionedThroughputExceededException",
            ) => Failure::Throttled(words),
            Some("InvalidEndpointException") => Failure::Endpoint(words),
            // A quota of the table (its measures, its dimensions) concerns the record that would exceed it.
            Some("ValidationException" | "ServiceQuotaExceededException") => Failure::Invalid(words),
            Some("ResourceNotFoundException") => Failure::NotFound(words),
            Some(
                "InternalServerException"
                | "InternalFailure"
                | "ServiceUnavailable"
                // The next request is signed with newer ones.
                | "ExpiredToken"
                | "ExpiredTokenException",
            ) => Failure::Passing(words),
            _ => match (code.and_then(what_to_do), status) {
                (Some(what_to_do), _) => Failure::Final(format!("{words}: {what_to_do}")),
                (None, Some(429)) => Failure::Throttled(words),
                (None, Some(400..=407 | 409..=499)) if code.is_some() => Failure::Final(words),
                (None, _) => Failure::Passing(words),
            },
        }
    }

    /// Whether the same request may succeed another time.
    pub fn is_passing(&self) -> bool {
        matches!(self, Failure::Throttled(_) | Failure::Endpoint(_) | Failure::Passing(_))
    }

    /// Its words.
    pub fn words(&self) -> &str {
        match self {
            Failure::Rejected(_) => "some of its records were rejected",
            Failure::Invalid(words)
            | Failure::Throttled(words)
            | Failure::Endpoint(words)
            | Failure::Passing(words)
            | Failure::NotFound(words)
            | Failure::Final(words) => words,
        }
    }
}

/// What to do about what is refused for good.
fn what_to_do(code: &str) -> Option<&'static str> {
    match code {
        "AccessDeniedException" | "AccessDenied" => {
            Some("allow timestream:WriteRecords, DescribeTable and DescribeEndpoints to these credentials")
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException"
        | "OptInRequired" => Some("check the credentials"),
        _ => None,
    }
}
