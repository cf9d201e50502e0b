//! From a request to its operation, and from what that says to an answer.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde_json::{Value, json};

use super::{
    account,
    arn::Arns,
    batch_load, databases,
    fault::{Fault, Kind},
    ids::Ids,
    keys::AccessKeys,
    open_queries::OpenQueries,
    query,
    scheduled::ScheduledQueries,
    signature, tables, tags, write,
};
use crate::store::Store;

/// Bytes of a request: a hundred records of 2 KB, with room for their JSON.
const BODY: usize = 4 << 20;
/// How long a client may take to send it.
const SENDING: Duration = Duration::from_secs(60);
/// Of a body that is too long, bytes that are still read, and for how long.
const DISCARDED: usize = 16 << 20;
const DISCARDING: Duration = Duration::from_secs(5);
const PREFIX: &str = "Timestream_20181101.";
/// How long an answer of `DescribeEndpoints` may be kept, in minutes.
const CACHE_MINUTES: u32 = 1_440;

/// What all requests share.
#[derive(Debug)]
pub struct Service {
    pub store: Store,
    pub queries: Option<OpenQueries>,
    pub scheduled: Option<Arc<ScheduledQueries>>,
    pub arns: Arns,
    /// Whose requests are taken; anybody's when there are none.
    pub keys: AccessKeys,
    pub ids: Ids,
}

/// Answers a request.
pub async fn handle(State(service): State<Arc<Service>>, request: Request) -> Response {
    let id = service.ids.next();
    let answer = service.answer(request).await;
    let mut closes = false;
    let (status, body) = match answer {
        Ok(body) => (axum::http::StatusCode::OK, Body::from(body)),
        Err(fault) => {
            closes = fault.kind() == Kind::RequestEntityTooLarge;
            match fault.kind() {
                Kind::InternalServer => tracing::error!(request = id, "{}", fault.message()),
                kind => tracing::debug!(request = id, ?kind, "{}", fault.message()),
            }
            (fault.status(), Body::from(fault.body()))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    if closes {
        // The rest of the body may still be on its way.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

impl Service {
    async fn answer(self: &Arc<Self>, request: Request) -> Result<Bytes, Fault> {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST || parts.uri.path() != "/" || parts.uri.query().is_some() {
            return Err(Fault::new(Kind::NoSuchPath, "There are only operations here: POST / with an X-Amz-Target."));
        }
        let body = read(body).await?;
        let principal = match self.keys.is_empty() {
            true => {
                refuse_pages(&parts.headers)?;
                None
            }
            false => Some(signature::verify(&parts.headers, &body, &self.keys, self.store.now_ms())?),
        };
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.strip_prefix(PREFIX)).unwrap_or_default();
        match operation {
            "WriteRecords" => Ok(text(&write::write_records(&self.store, &body).await?)),
            "Query" => query::query(self.queries()?, principal, &body).await,
            "CancelQuery" => Ok(text(&query::cancel_query(self.queries()?, principal.as_deref(), &body)?)),
            "PrepareQuery" => Ok(text(&query::prepare_query(self.queries()?, &body).await?)),
            "CreateScheduledQuery" => Ok(text(&self.scheduled()?.create(&body).await?)),
            "DescribeEndpoints" => Ok(text(&endpoints(&parts.headers))),
            _ => {
                // They may wait for the disk.
                let (service, operation) = (self.clone(), operation.to_owned());
                let done = tokio::task::spawn_blocking(move || service.control(&operation, &body)).await;
                done.map_err(|e| Fault::new(Kind::InternalServer, e.to_string()))?.map(|value| text(&value))
            }
        }
    }

    /// What is rarely asked for.
    fn control(&self, operation: &str, body: &[u8]) -> Result<Value, Fault> {
        let (store, arns) = (&self.store, &self.arns);
        match operation {
            "CreateDatabase" => databases::create(store, arns, body),
            "DescribeDatabase" => databases::describe(store, arns, body),
            "UpdateDatabase" => databases::update(store, arns, body),
            "DeleteDatabase" => databases::delete(store, arns, body),
            "ListDatabases" => databases::list(store, arns, body),
            "CreateTable" => tables::create(store, arns, body),
            "DescribeTable" => tables::describe(store, arns, body),
            "UpdateTable" => tables::update(store, arns, body),
            "DeleteTable" => tables::delete(store, arns, body),
            "ListTables" => tables::list(store, arns, body),
            "TagResource" => tags::tag(store, arns, body),
            "UntagResource" => tags::untag(store, arns, body),
            "ListTagsForResource" => tags::list(store, arns, body),
            "DescribeAccountSettings" => account::describe(store),
            "UpdateAccountSettings" => account::update(store, body),
            "CreateBatchLoadTask" | "DescribeBatchLoadTask" | "ListBatchLoadTasks" | "ResumeBatchLoadTask" => {
                Err(batch_load::refuse())
            }
            "DescribeScheduledQuery" => self.scheduled()?.describe(body),
            "ListScheduledQueries" => self.scheduled()?.list(body),
            "UpdateScheduledQuery" => self.scheduled()?.update(body),
            "DeleteScheduledQuery" => self.scheduled()?.delete(body),
            "ExecuteScheduledQuery" => self.scheduled()?.execute(body),
            "" => Err(Fault::new(Kind::UnknownOperation, format!("X-Amz-Target must be {PREFIX} and an operation."))),
            other => Err(Fault::new(Kind::UnknownOperation, format!("There is no operation {other}."))),
        }
    }

    fn queries(&self) -> Result<&OpenQueries, Fault> {
        self.queries.as_ref().ok_or_else(no_queries)
    }

    fn scheduled(&self) -> Result<&Arc<ScheduledQueries>, Fault> {
        self.scheduled.as_ref().ok_or_else(no_queries)
    }
}

fn no_queries() -> Fault {
    Fault::validation("This server only takes records; it answers no queries.")
}

/// Reads a request's body. What is too long is read all the same, up to a bound: a client that is still sending would see
/// the connection's end and not the answer.
async fn read(body: Body) -> Result<Bytes, Fault> {
    let broken =
        |e: axum::Error| Fault::new(Kind::Serialization, format!("The request's body did not come to its end: {e}"));
    let mut parts = body.into_data_stream();
    let kept = tokio::time::timeout(SENDING, async {
        let mut kept = BytesMut::new();
        while let Some(part) = parts.next().await {
            kept.extend_from_slice(&part.map_err(broken)?);
            if kept.len() > BODY {
                return Ok::<_, Fault>(None);
            }
        }
        Ok(Some(kept.freeze()))
    });
    let too_slow = |_| Fault::new(Kind::Serialization, "The request's body has not come in time.");
    if let Some(kept) = kept.await.map_err(too_slow)?? {
        return Ok(kept);
    }
    let discarded = tokio::time::timeout(DISCARDING, async {
        let mut more = BODY;
        while let Some(Ok(part)) = parts.next().await {
            more += part.len();
            if more > DISCARDED {
                return;
            }
        }
    });
    // However far that went, the answer is the same.
    let _ = discarded.await;
    Err(Fault::new(Kind::RequestEntityTooLarge, format!("A request's body may have {BODY} bytes at most.")))
}

/// Where nobody has to sign, a page of somewhere else in a browser must not get through to a server on this machine.
fn refuse_pages(headers: &HeaderMap) -> Result<(), Fault> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let name =
        host.map(|host| host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(n, _)| n));
    match name {
        Some("localhost" | "127.0.0.1" | "[::1]") => Ok(()),
        _ => Err(Fault::new(Kind::AccessDenied, "Pages of other hosts are not served.")),
    }
}

/// `DescribeEndpoints`: as the client has reached this one.
fn endpoints(headers: &HeaderMap) -> Value {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    json!({ "Endpoints": [{ "Address": host, "CachePeriodInMinutes": CACHE_MINUTES }] })
}

/// A body; nothing for operations that answer nothing.
fn text(value: &Value) -> Bytes {
    match value {
        Value::Null => Bytes::new(),
        value => value.to_string().into(),
    }
}
