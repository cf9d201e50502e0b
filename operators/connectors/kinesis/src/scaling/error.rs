//! What can go wrong when a stream is scaled.

/// Every message is one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScalingError {
    /// A step no stream can take.
    #[error("{0}")]
    Illegal(String),
    /// The service refused or could not be reached; it may be otherwise another time.
    #[error("stream {stream}: {reason}")]
    Service {
        /// The stream's name.
        stream: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// The service refuses for good: no such stream, no permission, an on-demand stream.
    #[error("stream {stream}: {reason}")]
    Refused {
        /// The stream's name.
        stream: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// A load curve or a policy that cannot be used.
    #[error("{0}")]
    Config(String),
    /// The picture could not be drawn.
    #[error("the picture cannot be drawn: {0}")]
    Picture(String),
}

impl ScalingError {
    /// Whether it is worth trying again: a throttled or lost call, a limit that passes, shards that somebody
    /// else was changing.
    pub fn is_passing(&self) -> bool {
        matches!(self, ScalingError::Service { .. } | ScalingError::Illegal(_))
    }
}
