//! What can be wrong with how AWS is reached.

use std::{error::Error as StdError, path::PathBuf};

use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why AWS cannot be reached. Each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No region was given and none was found.
    #[error("no AWS region: set AWS_REGION (or AWS_DEFAULT_REGION), or `region` in the profile in ~/.aws/config")]
    NoRegion,
    /// No credentials were given and none were found.
    #[error(
        "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role \
         gives them ({reason}); a local server takes any two words"
    )]
    NoCredentials {
        /// What the last place said that was asked.
        reason: String,
    },
    /// `AWS_CA_BUNDLE` names a file that cannot be read.
    #[error("AWS_CA_BUNDLE: {path} cannot be read: {source}")]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The HTTP client cannot be built.
    #[error("the HTTPS client cannot be made: {0}")]
    Http(String),
}

impl From<Error> for hurtig_engine::error::Error {
    fn from(e: Error) -> Self {
        hurtig_engine::error::Error::Config(e.to_string())
    }
}

/// An SDK's error in one line: the service's code and message where it answered, else all
/// causes (`dispatch failure: io error: connection refused`), of which the SDK shows but the first.
pub fn describe<E>(error: &E) -> String
where
    E: StdError + ProvideErrorMetadata,
{
    if let Some(code) = error.code() {
        return match error.message() {
            Some(message) => format!("{code}: {message}"),
            None => code.to_owned(),
        };
    }
    causes(error)
}

/// An error with its causes, in one line.
pub(crate) fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let words = e.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = e.source();
    }
    text.replace(['\r', '\n'], " ")
}
