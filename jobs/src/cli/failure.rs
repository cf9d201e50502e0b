//! How a command ends when it does not end well: one line, and an exit code that scripts can tell.

use std::{fmt, process::ExitCode};

/// What ends a command.
#[derive(Debug)]
pub enum Failure {
    /// The command line or the configuration is wrong; code 2, as clap's own.
    Usage(String),
    /// It could not be done; code 1.
    Failed(anyhow::Error),
    /// Clap has the words: usage errors, but also `--help` and `--version`.
    Clap(clap::Error),
}

impl Failure {
    /// A wrong option.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure::Usage(message.into())
    }

    /// Something that could not be done.
    pub fn failed(message: impl fmt::Display) -> Self {
        Failure::Failed(anyhow::anyhow!("{message}"))
    }

    /// Says it on standard error, and gives the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Failure::Clap(error) => {
                // Nobody is left to tell that standard error is closed.
                let _ = error.print();
                u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
            }
            Failure::Usage(message) => {
                eprintln!("error: {}", line(&message));
                ExitCode::from(2)
            }
            Failure::Failed(error) => {
                eprintln!("error: {}", line(&told(&error)));
                ExitCode::FAILURE
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) => f.write_str(message),
            Failure::Failed(error) => f.write_str(&told(error)),
            Failure::Clap(error) => write!(f, "{error}"),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Failed(error.into())
    }
}

/// An error and its causes, but for those that it tells itself: many errors have their cause both in
/// their message and as their source.
fn told(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |told, cause| {
        let cause = cause.to_string();
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}

/// One line, whatever a library said.
fn line(text: &str) -> String {
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let io = || Error::new(ErrorKind::NotFound, "no such file");
        let with_cause = hurtig_engine::Error::io("a/b", io());
        assert_eq!(Failure::from(with_cause).to_string(), "a/b: no such file");
        let around = anyhow::Error::from(io()).context("the job cannot be read");
        assert_eq!(Failure::Failed(around).to_string(), "the job cannot be read: no such file");
    }
}
