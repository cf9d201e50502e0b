//! Asking the real server.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, Response, StatusCode, header},
};
use serde::Serialize;
use serde_json::json;

use super::shards::{ListShards, OpenShards};
use crate::servers::{CREDENTIALS, REGION};

/// What belongs to one connection, or is not what it was when the body has changed.
const NOT_PASSED_ON: [HeaderName; 5] =
    [header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING, header::EXPECT];

/// What becomes of a call.
pub enum Answer {
    /// This answer.
    Given(Response<Body>),
    /// None: its connection is cut.
    Cut,
}

/// The real server did not answer: so the client gets no answer either.
impl From<reqwest::Error> for Answer {
    fn from(_: reqwest::Error) -> Self {
        Answer::Cut
    }
}

/// The real server.
pub struct Upstream {
    http: reqwest::Client,
    url: String,
}

impl Upstream {
    pub fn new(url: &str) -> Self {
        Upstream { http: reqwest::Client::new(), url: format!("{}/", url.trim_end_matches('/')) }
    }

    /// Passes a call on.
    pub async fn ask(&self, headers: &HeaderMap, body: Bytes) -> Result<reqwest::Response, reqwest::Error> {
        let passed = headers.iter().filter(|(name, _)| !NOT_PASSED_ON.contains(name));
        let headers: HeaderMap = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.http.post(&self.url).headers(headers).body(body).send().await
    }

    /// The shards of a stream that are open; `None`: there is no such stream, or no answer.
    pub async fn open_shards(&self, stream: &str) -> Option<OpenShards> {
        let mut pages: Vec<ListShards> = Vec::new();
        let asked = super::server::now();
        loop {
            let next = pages.last().and_then(|page| page.next.as_deref());
            let body = next.map_or_else(|| json!({ "StreamName": stream }), |next| json!({ "NextToken": next }));
            let request = self.http.post(&self.url).header("X-Amz-Target", "Kinesis_20131202.ListShards");
            let request = request.header(header::CONTENT_TYPE, "application/x-amz-json-1.1");
            // The local servers want to see a signature, and do not look at it.
            let request = request.header("X-Amz-Date", "20260101T000000Z").header(
                header::AUTHORIZATION,
                format!(
                    "AWS4-HMAC-SHA256 Credential={CREDENTIALS}/20260101/{REGION}/kinesis/aws4_request, \
                     SignedHeaders=host, Signature=0"
                ),
            );
            let answer = request.body(body.to_string()).send().await.ok()?;
            pages.push(serde_json::from_slice(&answer.bytes().await.ok()?).ok()?);
            if pages.last().is_none_or(|page| page.next.is_none()) {
                return Some(OpenShards::new(pages, asked));
            }
        }
    }
}

/// An answer of the real server that was read to its end.
pub struct Whole {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Whole {
    pub async fn of(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Whole { status, headers, body: response.bytes().await? })
    }

    /// As an answer to the client.
    pub fn given(self) -> Answer {
        Answer::Given(passed_back(self.status, &self.headers, Body::from(self.body)))
    }
}

/// A body with the status and headers that the real server has given it.
pub fn passed_back(status: StatusCode, headers: &HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let passed = headers.iter().filter(|(name, _)| !NOT_PASSED_ON.contains(name));
    response.headers_mut().extend(passed.map(|(name, value)| (name.clone(), value.clone())));
    response
}

/// An answer of the proxy's own.
pub fn json_answer(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut response = Response::new(Body::from(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-amz-json-1.1"));
    Answer::Given(response)
}

/// An error as AWS gives it.
pub fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    json_answer(status, &json!({ "__type": code, "message": message }))
}
