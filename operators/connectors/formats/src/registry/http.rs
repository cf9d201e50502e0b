//! Requests to a registry: in JSON, again for a passing reason, never for ever.

use std::{fmt, sync::Arc, thread, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::error::{Error, Result};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A registry's HTTP side.
pub(super) struct Http {
    agent: Agent,
    urls: Vec<String>,
    authorization: Option<String>,
    retries: u32,
    backoff: Duration,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// What a registry says when it does not do as it was asked.
#[derive(serde::Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    error_code: u32,
    #[serde(default)]
    message: String,
}

enum Answer {
    Yes(String),
    NotFound,
    /// It will not do it, however often it is asked.
    No(u16, String),
    /// It may do it later.
    Later(String),
}

impl Http {
    pub fn new(
        urls: Vec<String>,
        authorization: Option<String>,
        timeout: Duration,
        retries: u32,
        backoff: Duration,
    ) -> Result<Self> {
        let mut config = Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false);
        if let Some(url) = urls.iter().find(|u| u.starts_with("https:")) {
            config = config.tls_config(tls(url)?);
        }
        Ok(Http { agent: config.build().into(), urls, authorization, retries, backoff })
    }

    pub fn url(&self) -> &str {
        self.urls.first().map_or("", String::as_str)
    }

    /// `None`: not found.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        self.ask(path, |url| {
            let mut request = self.agent.get(url).header("Accept", CONTENT_TYPE);
            if let Some(value) = &self.authorization {
                request = request.header("Authorization", value);
            }
            request.call()
        })
    }

    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let body = serde_json::to_string(body).map_err(|e| self.refused(e))?;
        let found = self.ask(path, |url| {
            let request = self.agent.post(url).header("Accept", CONTENT_TYPE).header("Content-Type", CONTENT_TYPE);
            match &self.authorization {
                Some(value) => request.header("Authorization", value).send(&body),
                None => request.send(&body),
            }
        })?;
        found.ok_or_else(|| self.refused(format!("{path} is not there; is this the address of a schema registry?")))
    }

    fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        send: impl Fn(&str) -> std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Option<T>> {
        let mut wait = self.backoff;
        let mut reason = String::new();
        for attempt in 0..=self.retries {
            if attempt > 0 {
                thread::sleep(wait);
                wait *= 2;
            }
            for url in &self.urls {
                match answer(send(&format!("{url}{path}"))) {
                    Answer::Yes(body) => {
                        let value = serde_json::from_str(&body);
                        return value.map(Some).map_err(|e| self.refused(format!("its answer to {path}: {e}")));
                    }
                    Answer::NotFound => return Ok(None),
                    Answer::No(401 | 403, words) => {
                        return Err(Error::Unreachable { url: url.clone(), reason: format!("access denied: {words}") });
                    }
                    Answer::No(status, words) => return Err(self.refused(format!("{words} (status {status})"))),
                    Answer::Later(words) => {
                        tracing::warn!("schema registry {url}{path}: {words}");
                        reason = words;
                    }
                }
            }
        }
        Err(Error::Unreachable { url: self.url().to_owned(), reason })
    }

    fn refused(&self, reason: impl ToString) -> Error {
        Error::Registry { url: self.url().to_owned(), reason: crate::error::one_line(&reason.to_string()) }
    }
}

fn answer(response: std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = match response {
        Ok(response) => response,
        Err(e) => return Answer::Later(e.to_string()),
    };
    let status = response.status().as_u16();
    let body = match response.body_mut().read_to_string() {
        Ok(body) => body,
        Err(e) => return Answer::Later(e.to_string()),
    };
    if (200..=299).contains(&status) {
        return Answer::Yes(body);
    }
    let refusal: Refusal = serde_json::from_str(&body).unwrap_or_default();
    let words = crate::error::one_line(&refusal.message);
    match status {
        404 if refusal.error_code / 100 == 404 => Answer::NotFound,
        // A server says so that is none, or a path that is none: it knows nothing of schemas.
        404 => Answer::No(status, format!("{words} is this the address of a schema registry?")),
        408 | 429 | 500.. => Answer::Later(format!("status {status} {words}")),
        _ => Answer::No(status, words),
    }
}

/// TLS with the machine's own roots, and ring as everywhere else.
fn tls(url: &str) -> Result<TlsConfig> {
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<_> = found.certs.iter().map(|c| Certificate::from_der(c).to_owned()).collect();
    if roots.is_empty() {
        let reason = "the machine has no root certificates; set SSL_CERT_FILE".to_owned();
        return Err(Error::Unreachable { url: url.to_owned(), reason });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = RootCerts::new_with_certs(&roots);
    Ok(TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build())
}

/// `text` as one step of a path.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(b.into()),
            _ => escaped.push_str(&format!("%{b:02X}")),
        }
    }
    escaped
}

/// The text behind `%41`.
pub(super) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|t| std::str::from_utf8(t).ok()).and_then(|t| u8::from_str_radix(t, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
