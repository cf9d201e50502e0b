//! What a client is told when its request is not carried out: the type, which SDKs make their exceptions of, and the words.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::error::Error;

/// An error as the wire has it.
#[derive(Debug)]
pub struct Fault {
    kind: Kind,
    message: String,
    /// Members of this type's own (`RejectedRecords`).
    more: Map<String, Value>,
}

/// The types, as the service's model names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Validation,
    ResourceNotFound,
    Conflict,
    ServiceQuotaExceeded,
    Throttling,
    InternalServer,
    AccessDenied,
    RejectedRecords,
    QueryExecution,
    UnknownOperation,
    /// There is nothing at this path.
    NoSuchPath,
    Serialization,
    RequestEntityTooLarge,
    MissingAuthenticationToken,
    IncompleteSignature,
    InvalidSignature,
    UnrecognizedClient,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Validation => "ValidationException",
            Kind::ResourceNotFound => "ResourceNotFoundException",
            Kind::Conflict => "ConflictException",
            Kind::ServiceQuotaExceeded => "ServiceQuotaExceededException",
            Kind::Throttling => "ThrottlingException",
            Kind::InternalServer => "InternalServerException",
            Kind::AccessDenied => "AccessDeniedException",
            Kind::RejectedRecords => "RejectedRecordsException",
            Kind::QueryExecution => "QueryExecutionException",
            Kind::UnknownOperation | Kind::NoSuchPath => "UnknownOperationException",
            Kind::Serialization => "SerializationException",
            Kind::RequestEntityTooLarge => "RequestEntityTooLargeException",
            Kind::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Kind::IncompleteSignature => "IncompleteSignatureException",
            Kind::InvalidSignature => "InvalidSignatureException",
            Kind::UnrecognizedClient => "UnrecognizedClientException",
        }
    }

    /// What is in front of the name: the service's own types, or those that all services have.
    fn namespace(self) -> &'static str {
        match self {
            Kind::Validation
            | Kind::ResourceNotFound
            | Kind::Conflict
            | Kind::ServiceQuotaExceeded
            | Kind::Throttling
            | Kind::InternalServer
            | Kind::AccessDenied
            | Kind::RejectedRecords
            | Kind::QueryExecution => "com.amazonaws.timestream.v20181101",
            _ => "com.amazon.coral.service",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            // What Timestream answers; it has no name.
            Kind::RejectedRecords => StatusCode::from_u16(419).unwrap_or(StatusCode::BAD_REQUEST),
            Kind::InternalServer => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::NoSuchPath => StatusCode::NOT_FOUND,
            Kind::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::MissingAuthenticationToken
            | Kind::IncompleteSignature
            | Kind::InvalidSignature
            | Kind::UnrecognizedClient
            | Kind::AccessDenied => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl Fault {
    /// Of a type, in these words.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Fault { kind, message: message.into(), more: Map::new() }
    }

    /// A request that cannot be right.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(Kind::Validation, message)
    }

    /// A member that breaks a rule of the service's model, in the words of AWS's services.
    pub fn constraint(value: impl std::fmt::Display, member: &str, rule: impl std::fmt::Display) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
        ))
    }

    /// With a member of the type's own.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.into(), value);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body. Some SDKs look for `message`, some for `Message`.
    pub fn body(mut self) -> String {
        let name = format!("{}#{}", self.kind.namespace(), self.kind.name());
        self.more.insert("__type".into(), name.into());
        self.more.insert("Message".into(), self.message.clone().into());
        self.more.insert("message".into(), self.message.into());
        Value::Object(self.more).to_string()
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Validation(message) => Fault::new(Kind::Validation, message),
            Error::NotFound(message) => Fault::new(Kind::ResourceNotFound, message),
            Error::Conflict(message) => Fault::new(Kind::Conflict, message),
            Error::QuotaExceeded(message) => Fault::new(Kind::ServiceQuotaExceeded, message),
            other => Fault::new(Kind::InternalServer, other.to_string()),
        }
    }
}

impl From<hurtig_timestream_sql::Error> for Fault {
    fn from(error: hurtig_timestream_sql::Error) -> Self {
        let kind = match &error {
            // Timestream says of a table that is not there, too, that the query is not valid.
            error if error.is_validation() => Kind::Validation,
            hurtig_timestream_sql::Error::Catalog(_) => Kind::InternalServer,
            _ => Kind::QueryExecution,
        };
        Fault::new(kind, error.to_string())
    }
}
