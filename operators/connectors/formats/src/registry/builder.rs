//! The options of a registry's client.

use std::{fmt, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    SchemaRegistry,
    http::{self, Http},
};
use crate::error::{Error, Result};

/// How a [`SchemaRegistry`] is reached.
pub struct SchemaRegistryBuilder {
    urls: String,
    authorization: Option<String>,
    timeout: Duration,
    retries: u32,
    backoff: Duration,
}

impl fmt::Debug for SchemaRegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the address nor the header: both may hold a secret.
        f.debug_struct("SchemaRegistryBuilder").field("timeout", &self.timeout).field("retries", &self.retries).finish()
    }
}

impl SchemaRegistryBuilder {
    pub(super) fn new(urls: &str) -> Self {
        SchemaRegistryBuilder {
            urls: urls.to_owned(),
            authorization: None,
            timeout: Duration::from_secs(5),
            retries: 3,
            backoff: Duration::from_millis(100),
        }
    }

    /// HTTP's basic authentication (Confluent's `basic.auth.user.info`: a key and its secret).
    #[must_use]
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.authorization = Some(basic(&format!("{user}:{password}")));
        self
    }

    /// A bearer token.
    #[must_use]
    pub fn bearer_token(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    /// How long one request may take, 5 seconds by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a request that failed for a passing reason (no connection, a timeout, 408, 429, 5xx)
    /// is made again, 3 times by default, after `backoff` (100 ms) and twice as long each time.
    #[must_use]
    pub fn retries(mut self, retries: u32, backoff: Duration) -> Self {
        (self.retries, self.backoff) = (retries, backoff);
        self
    }

    /// The client. Nothing is asked yet.
    pub fn build(self) -> Result<SchemaRegistry> {
        let (mut urls, mut authorization) = (Vec::new(), self.authorization);
        for url in self.urls.split(',').map(str::trim) {
            let (scheme, rest) = url
                .split_once("://")
                .filter(|(s, r)| matches!(*s, "http" | "https") && !r.is_empty())
                .ok_or_else(|| {
                    let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
                    Error::Unreachable {
                        url: shown.to_owned(),
                        reason: "that is no http:// or https:// address".into(),
                    }
                })?;
            let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
            if let Some(user) = user.filter(|_| authorization.is_none()) {
                authorization = Some(basic(&http::unescape(user)));
            }
            urls.push(format!("{scheme}://{}", host.trim_end_matches('/')));
        }
        Ok(SchemaRegistry::with(Http::new(urls, authorization, self.timeout, self.retries, self.backoff)?))
    }
}

fn basic(user_and_password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(user_and_password))
}
