//! Why a message is not read, or a value not written: the message's fault, or not.

/// What a schema says instead of a value. A text becomes a [`Refused`](SchemaError::Refused).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// This one cannot be read or written: it goes to the dead letters with the reason, in one line.
    #[error("{0}")]
    Refused(String),
    /// Nothing is wrong with this one; what the schema needs is out of reach (a schema registry). The
    /// job fails with the reason, and goes on from its last checkpoint by its restart strategy.
    #[error("{0}")]
    Unavailable(String),
}

impl SchemaError {
    /// The dead letter's reason; if it is none, what `fail` makes of the reason.
    ///
    /// ```
    /// use hurtig_engine::error::Error;
    /// use hurtig_operators::schema::SchemaError;
    ///
    /// let job = |reason| Error::source("readings", reason);
    /// assert_eq!(SchemaError::from("no number").refused_or(job)?, "no number");
    /// let gone = SchemaError::Unavailable("the registry does not answer".into());
    /// assert_eq!(gone.refused_or(job).unwrap_err().to_string(), "source readings: the registry does not answer");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn refused_or<E>(self, fail: impl FnOnce(String) -> E) -> Result<String, E> {
        match self {
            SchemaError::Refused(reason) => Ok(reason),
            SchemaError::Unavailable(reason) => Err(fail(reason)),
        }
    }
}

impl From<String> for SchemaError {
    fn from(reason: String) -> Self {
        SchemaError::Refused(reason)
    }
}

impl From<&str> for SchemaError {
    fn from(reason: &str) -> Self {
        SchemaError::Refused(reason.to_owned())
    }
}
