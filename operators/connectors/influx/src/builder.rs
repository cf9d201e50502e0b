//! The sink and its options.

use std::{marker::PhantomData, time::Duration};

use backon::ExponentialBuilder;
use base64::{Engine, engine::general_purpose::STANDARD};
use hurtig_engine::{
    error::Result,
    sink::{Sink, WriterContext},
};
use serde::Serialize;

use crate::{api::Api, line::Escaping, queue::Limits, schema::PointSchema, writer::InfluxWriter};

/// Writes line protocol to a server of InfluxDB: see the [crate](crate).
pub struct InfluxSink<T, P> {
    pub(crate) base: String,
    pub(crate) api: Api,
    pub(crate) schema: P,
    pub(crate) options: SinkOptions,
    credentials: Credentials,
    value: PhantomData<fn(T)>,
}

/// They appear in no log.
#[derive(Clone)]
enum Credentials {
    None,
    Token(String),
    Basic(String, String),
}

/// All that is a number or a switch.
#[derive(Debug, Clone)]
pub(crate) struct SinkOptions {
    pub limits: Limits,
    pub max_buffered: usize,
    pub linger: Duration,
    pub backoff: ExponentialBuilder,
    pub gzip: bool,
    pub escaping: Escaping,
}

impl<T, P: Clone> Clone for InfluxSink<T, P> {
    fn clone(&self) -> Self {
        InfluxSink {
            base: self.base.clone(),
            api: self.api.clone(),
            schema: self.schema.clone(),
            options: self.options.clone(),
            credentials: self.credentials.clone(),
            value: PhantomData,
        }
    }
}

impl<T, P: PointSchema<T>> InfluxSink<T, P> {
    /// To the server at `url` (`http://host:8086`) by this interface, as `schema` makes points of a value.
    pub fn new(url: impl Into<String>, api: Api, schema: P) -> Self {
        let escaping = api.escaping();
        InfluxSink {
            base: url.into(),
            api,
            schema,
            options: SinkOptions {
                limits: Limits { lines: 5_000, bytes: 1 << 20, in_flight: 4 },
                max_buffered: 50_000,
                linger: Duration::from_secs(1),
                backoff: backoff(Duration::from_millis(100), Duration::from_secs(10)),
                gzip: true,
                escaping,
            },
            credentials: Credentials::None,
            value: PhantomData,
        }
    }

    /// Into a database of InfluxDB 1.
    pub fn v1(url: impl Into<String>, database: impl Into<String>, schema: P) -> Self {
        Self::new(url, Api::V1 { database: database.into(), retention_policy: None }, schema)
    }

    /// Into a bucket of InfluxDB 2.
    pub fn v2(url: impl Into<String>, org: impl Into<String>, bucket: impl Into<String>, schema: P) -> Self {
        Self::new(url, Api::V2 { org: org.into(), bucket: bucket.into() }, schema)
    }

    /// Into a database of InfluxDB 3.
    pub fn v3(url: impl Into<String>, database: impl Into<String>, schema: P) -> Self {
        Self::new(url, Api::V3 { database: database.into() }, schema)
    }
}

impl<T, P> InfluxSink<T, P> {
    /// The API token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Credentials::Token(token.into());
        self
    }

    /// User and password, as InfluxDB 1 has them.
    #[must_use]
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Credentials::Basic(user.into(), password.into());
        self
    }

    /// How backslashes in names and tags are written. The interface decides, but for InfluxDB 3 and Cloud behind
    /// [`Api::V2`], which want [`Escaping::V3`].
    #[must_use]
    pub fn escaping(mut self, escaping: Escaping) -> Self {
        self.options.escaping = escaping;
        self
    }

    /// Whether requests are compressed: yes by default.
    #[must_use]
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.options.gzip = gzip;
        self
    }

    /// Lines in a request; 5,000 by default.
    #[must_use]
    pub fn max_batch_size(mut self, lines: usize) -> Self {
        self.options.limits.lines = lines.max(1);
        self
    }

    /// Bytes in a request before it is compressed; 1 MiB by default.
    #[must_use]
    pub fn max_batch_size_in_bytes(mut self, bytes: usize) -> Self {
        self.options.limits.bytes = bytes.max(1);
        self
    }

    /// Requests under way per subtask, 4 by default.
    #[must_use]
    pub fn max_in_flight_requests(mut self, requests: usize) -> Self {
        self.options.limits.in_flight = requests.max(1);
        self
    }

    /// Values that wait for their acknowledgement per subtask, before the job is slowed down: 50,000 by default.
    #[must_use]
    pub fn max_buffered_requests(mut self, values: usize) -> Self {
        self.options.max_buffered = values.max(1);
        self
    }

    /// How long a line waits for others to go with it, 1 s by default.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.options.linger = linger;
        self
    }

    /// The waits between attempts: they double from the first to the second, with jitter; `Retry-After` is honoured.
    #[must_use]
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(1));
        self.options.backoff = backoff(min, max.max(min));
        self
    }

    /// The header's value.
    pub(crate) fn authorization(&self) -> Option<String> {
        match &self.credentials {
            Credentials::None => None,
            Credentials::Token(token) => Some(format!("{} {token}", self.api.scheme())),
            Credentials::Basic(user, password) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
        }
    }
}

impl<T: Serialize + 'static, P: PointSchema<T>> Sink<T> for InfluxSink<T, P> {
    type Writer = InfluxWriter<T, P>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        InfluxWriter::new(self, ctx)
    }
}

fn backoff(min: Duration, max: Duration) -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(min).with_max_delay(max)
}
