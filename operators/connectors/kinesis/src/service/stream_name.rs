//! A stream is named by its name or by its ARN, wherever it is named.

/// Whether this may be a stream's name or its ARN.
pub(crate) fn is_stream(stream: &str) -> bool {
    !stream.is_empty() && (!is_arn(stream) || stream.contains(":stream/"))
}

/// The stream for a request: its name, or its ARN, whichever was given.
pub(crate) fn name_or_arn(stream: &str) -> (Option<String>, Option<String>) {
    let given = Some(stream.to_owned());
    if is_arn(stream) { (None, given) } else { (given, None) }
}

fn is_arn(stream: &str) -> bool {
    stream.starts_with("arn:")
}
