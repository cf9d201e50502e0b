//! The requests.

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use reqwest::{
    Client, Url,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};

use crate::{
    answer::Failure,
    delivery::Transport,
    error::{Error, Result},
};

/// Lines by POST.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    gzip: bool,
}

/// A request that is not answered in this time is taken for lost.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was idle for longer is closed here before it is there.
const IDLE: Duration = Duration::from_secs(20);
/// What is shorter is compressed in less than a millisecond.
const SHORT: usize = 32 << 10;

impl Http {
    pub fn new(url: Url, authorization: Option<&str>, gzip: bool) -> Result<Self> {
        let authorization = authorization.map(|value| {
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| Error::Config("the token or password holds what cannot stand in a header".into()))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        });
        let client =
            Client::builder().timeout(REQUEST_TIMEOUT).connect_timeout(CONNECT_TIMEOUT).pool_idle_timeout(IDLE);
        // InfluxDB 1 repeats what it refuses in a header, whatever that holds: a control character in a string of it would
        // make every answer an unreadable one.
        let client = client.http1_ignore_invalid_headers_in_responses(true);
        let client = client.build().map_err(|e| Error::Http(words(&e)))?;
        Ok(Http { client, url, authorization: authorization.transpose()?, gzip })
    }
}

impl Transport for Http {
    async fn write(&self, lines: &[&[u8]]) -> Result<(), Failure> {
        let mut body = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            body.extend_from_slice(line);
            body.push(b'\n');
        }
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "text/plain; charset=utf-8");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if self.gzip {
            let compressed = if body.len() < SHORT {
                gzip(&body)
            } else {
                let compressing = tokio::task::spawn_blocking(move || gzip(&body)).await;
                compressing.map_err(|e| Failure::Passing(format!("compressing: {e}")))?
            };
            body = compressed.map_err(|e| Failure::Passing(format!("compressing: {e}")))?;
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let answer = request.body(body).send().await.map_err(|e| Failure::Passing(words(&e)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let body = answer.bytes().await.map_err(|e| Failure::Passing(words(&e)))?;
        Err(Failure::judge(status.as_u16(), retry_after.as_deref(), &body, lines))
    }
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// An error with its causes, in one line.
fn words(error: &dyn std::error::Error) -> String {
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
