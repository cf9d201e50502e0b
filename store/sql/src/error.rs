//! What can go wrong, told apart by who can do something about it.

use datafusion::{
    common::{DataFusionError, SchemaError},
    sql::sqlparser::{parser::ParserError, tokenizer::TokenizerError},
};

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The query is wrong: Timestream's `ValidationException`. The text begins with `line l:c:` where the
    /// place is known.
    #[error("{0}")]
    Validation(String),
    /// A database or a table is not there. Timestream says so in a `ValidationException`, too.
    #[error("{0}")]
    NotFound(String),
    /// The query needs more memory than it may use.
    #[error("The query exceeded its memory limit of {limit} bytes: {detail}")]
    MemoryLimit {
        /// What it may use.
        limit: usize,
        /// Which operator wanted how much.
        detail: String,
    },
    /// The catalog (the store below) failed.
    #[error("the catalog failed: {0}")]
    Catalog(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Writing the result of UNLOAD failed.
    #[error("UNLOAD could not write: {0}")]
    Unload(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A fault of ours, or of the tables' provider.
    #[error("the query failed: {0}")]
    Execution(#[source] Box<DataFusionError>),
}

impl Error {
    /// A [`Validation`](Error::Validation) error.
    pub fn validation(message: impl Into<String>) -> Self {
        Error::Validation(message.into())
    }

    /// Whether the query's author has to change something.
    pub fn is_validation(&self) -> bool {
        matches!(self, Error::Validation(_) | Error::NotFound(_))
    }

    /// What DataFusion found wrong while it planned the query.
    pub(crate) fn of_planning(error: DataFusionError, memory_limit: usize) -> Self {
        let place = error.diagnostic().and_then(|d| d.span).map(|s| (s.start.line, s.start.column));
        let message = match error.find_root() {
            DataFusionError::SQL(e, _) => return (**e).clone().into(),
            DataFusionError::SchemaError(e, _) => schema_message(e),
            DataFusionError::Plan(text) => plan_message(text),
            DataFusionError::NotImplemented(text) => format!("Not supported: {text}"),
            DataFusionError::ResourcesExhausted(_) | DataFusionError::External(_) => {
                return Error::of_running(error, memory_limit);
            }
            other => plan_message(&other.strip_backtrace()),
        };
        Error::Validation(match place {
            Some((line, column)) => format!("line {line}:{column}: {message}"),
            None => message,
        })
    }

    /// What went wrong while the query ran. Division by zero and values that cannot be cast are the query's fault.
    pub(crate) fn of_running(error: DataFusionError, limit: usize) -> Self {
        let root = error.find_root();
        match root {
            DataFusionError::ResourcesExhausted(detail) => Error::MemoryLimit { limit, detail: detail.clone() },
            DataFusionError::ArrowError(e, _) => match e.as_ref() {
                arrow::error::ArrowError::DivideByZero => Error::validation("Division by zero"),
                arrow::error::ArrowError::CastError(text)
                | arrow::error::ArrowError::ParseError(text)
                | arrow::error::ArrowError::ArithmeticOverflow(text) => Error::validation(text.clone()),
                _ => Error::Execution(Box::new(error)),
            },
            DataFusionError::Execution(text) if text.contains("ivide by zero") => Error::validation("Division by zero"),
            // Our functions say this way what is wrong with their arguments.
            DataFusionError::Plan(text) => Error::Validation(text.clone()),
            _ => Error::Execution(Box::new(error)),
        }
    }
}

fn schema_message(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, .. } => match &field.relation {
            Some(relation) => format!("Column '{relation}.{}' does not exist", field.name),
            None => format!("Column '{}' does not exist", field.name),
        },
        SchemaError::AmbiguousReference { field } => format!("Column '{}' is ambiguous", field.name),
        other => other.to_string(),
    }
}

/// DataFusion's words where Timestream's are known.
fn plan_message(text: &str) -> String {
    if let Some(rest) = text.strip_prefix("Invalid function '") {
        let name = rest.split('\'').next().unwrap_or_default();
        return format!("Function {name} not registered");
    }
    text.to_owned()
}

impl From<ParserError> for Error {
    fn from(error: ParserError) -> Self {
        match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => Error::Validation(placed(&text)),
            ParserError::RecursionLimitExceeded => Error::validation("The query is nested too deeply"),
        }
    }
}

impl From<TokenizerError> for Error {
    fn from(error: TokenizerError) -> Self {
        Error::Validation(format!("line {}:{}: {}", error.location.line, error.location.column, error.message))
    }
}

/// The parser puts the place last (`… at Line: 1, Column: 8`), Timestream first (`line 1:8: …`).
fn placed(text: &str) -> String {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else { return text.to_owned() };
    let Some((line, column)) = place.split_once(", Column: ") else { return text.to_owned() };
    format!("line {line}:{column}: {message}")
}
