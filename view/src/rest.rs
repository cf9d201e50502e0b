//! The job's REST API, as a client that does not wait long.

use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};

/// A job that does not answer within this time is not reachable: the page asks again soon.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Where a job answers.
#[derive(Debug, Clone)]
pub struct Rest {
    url: String,
    client: reqwest::Client,
}

/// An address as its users write it, with a scheme and without a slash at the end.
///
/// # Errors
/// What is no address of HTTP's.
pub fn base(url: &str) -> Result<String> {
    let url = url.trim_end_matches('/');
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let wrong = |why: &str| Error::Options(format!("'{url}' is no address of a job's REST API{why}"));
    let parsed = reqwest::Url::parse(&url).map_err(|e| wrong(&format!(": {e}")))?;
    match parsed.scheme() == "http" && parsed.has_host() {
        true => Ok(url),
        false => Err(wrong(": it begins with http://")),
    }
}

impl Rest {
    /// The API at `url`.
    pub fn new(url: &str) -> Self {
        // A proxy is for what is elsewhere. Without TLS and files of its own, a client can always be made.
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().unwrap_or_default();
        Rest { url: base(url).unwrap_or_else(|_| url.to_owned()), client }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// GET, as JSON.
    pub async fn json(&self, path: &str) -> Result<Value> {
        let text = self.text(path).await?;
        serde_json::from_str(&text).map_err(|e| Error::Rest(format!("{}{path} is no JSON: {e}", self.url)))
    }

    /// GET, as text.
    pub async fn text(&self, path: &str) -> Result<String> {
        let failed = |e: reqwest::Error| {
            let why = if e.is_timeout() {
                format!("it has not answered within {} seconds", TIMEOUT.as_secs())
            } else if e.is_connect() {
                "nobody listens there".into()
            } else {
                e.to_string()
            };
            Error::Rest(format!("No job can be reached at {}: {why}.", self.url))
        };
        let response = self.client.get(format!("{}{path}", self.url)).send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Error::Rest(format!("{}{path} answers {status}.", self.url)));
        }
        response.text().await.map_err(failed)
    }
}
