//! One subtask's writer: makes records of values, hands them to the queue, keeps the books.

use std::time::Duration;

use hurtig_async_sink::{AsyncWriter, Settled, dead_letter_as_json, seed};
use hurtig_aws::AwsConfig;
use hurtig_engine::{
    error::{Error as EngineError, Result},
    record::Record,
    sink::{Sink, SinkContext, SinkWriter, WriterContext},
};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    builder::{SinkOptions, TimestreamSink, TooOld},
    delivery::{Delivery, Refusal},
    error::Error,
    failure::Failure,
    limits,
    metrics::SinkMetrics,
    payload::TimestreamPayload,
    queue::{Item, Queue},
    record::TimestreamRecord,
    table::{self, TableInfo, TableName},
    transport::TimestreamTransport,
    window::{Route, Window},
};

/// Writes for one subtask. `W` writes what is too old, where that has a sink of its own.
pub struct TimestreamWriter<T, P, W> {
    name: String,
    payload: P,
    version: Option<i64>,
    too_old: TooOld,
    metrics: SinkMetrics,
    sending: AsyncWriter<T, Queue, Refusal, Window>,
    side: Option<W>,
    scratch: Vec<TimestreamRecord>,
}

impl<T, P, W> TimestreamWriter<T, P, W>
where
    T: Serialize,
    P: TimestreamPayload<T>,
    W: SinkWriter<T>,
{
    /// The task connects and asks for the table; until it has, the writer is not ready.
    pub(crate) fn new<L>(sink: &TimestreamSink<T, P, L>, ctx: WriterContext, side: Option<W>) -> Self {
        let options = &sink.options;
        let metrics = SinkMetrics::new(&ctx.metrics, &sink.table);
        let (name, seed) = (ctx.name.clone(), seed(&ctx));
        let connect = open(sink.aws.clone(), sink.table.clone(), options.clone(), seed, metrics.clone());
        let sending = AsyncWriter::start(
            ctx,
            format!("table {}", sink.table),
            Queue::new(options.max_batch_size, options.max_in_flight),
            metrics.sink.clone(),
            (options.max_buffered, options.linger),
            connect,
        );
        TimestreamWriter {
            name,
            payload: sink.payload.clone(),
            version: options.version,
            too_old: options.too_old,
            metrics,
            sending,
            side,
            scratch: Vec::new(),
        }
    }

    /// Takes note of answers; an error if there will be no more.
    fn collect(&mut self, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.sending.collect()?.into_iter().try_for_each(|settled| self.settle(settled, ctx))
    }

    /// Every record of a value has its answer.
    fn settle(&mut self, settled: Settled<T, Refusal>, ctx: &mut SinkContext<'_>) -> Result<()> {
        let Settled { record, refusals } = settled;
        if refusals.is_empty() {
            ctx.written(1);
            return Ok(());
        }
        if refusals.iter().all(|refusal| refusal.too_old) {
            if let Some(side) = &mut self.side {
                return side.write(record, ctx);
            }
            if self.too_old == TooOld::Reject {
                ctx.rejected(1);
                return Ok(());
            }
        }
        let mut reasons: Vec<_> = refusals.into_iter().map(|refusal| refusal.reason).collect();
        reasons.dedup();
        dead_letter_as_json(record, reasons.join("; "), ctx);
        Ok(())
    }

    /// Where a record goes, or why not.
    fn route(&self, record: &TimestreamRecord, now: i64) -> Result<Route, Refusal> {
        let refuse = |reason, too_old| Err(Refusal { reason, too_old });
        if let Err(reason) = limits::check(record) {
            return refuse(reason, false);
        }
        let Some(window) = self.sending.opened() else { return Ok(Route::Memory) };
        let time = record.time_ms();
        match window.route(time, now) {
            Route::Future => {
                self.metrics.future.add(1);
                refuse(window.why_not(Route::Future, time, now), false)
            }
            Route::TooOld => {
                self.metrics.too_old.add(1);
                refuse(window.why_not(Route::TooOld, time, now), true)
            }
            route => Ok(route),
        }
    }
}

impl<T, P, W> SinkWriter<T> for TimestreamWriter<T, P, W>
where
    T: Serialize + 'static,
    P: TimestreamPayload<T>,
    W: SinkWriter<T>,
{
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        let mut made = std::mem::take(&mut self.scratch);
        if let Err(e) = self.payload.records(&record.value, record.timestamp, &mut made) {
            made.clear();
            self.scratch = made;
            let reason = e.refused_or(|reason| EngineError::sink(&self.name, reason))?;
            dead_letter_as_json(record, reason, ctx);
            return Ok(());
        }
        let (mut going, mut refusals) = (Vec::with_capacity(made.len()), Vec::new());
        for mut one in made.drain(..) {
            one.version = one.version.or(self.version);
            match self.route(&one, ctx.now()) {
                Ok(route) => going.push((route, one)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        self.scratch = made;
        if going.is_empty() {
            return self.settle(Settled { record, refusals }, ctx);
        }
        self.sending.push(record, going.len(), refusals, |queue, value| {
            let mut is_full = false;
            for (route, record) in going {
                is_full |= queue.push(route, Item { value, identity: record.identity(), record });
            }
            is_full
        });
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        let ready = self.sending.ready();
        match &mut self.side {
            Some(side) => Ok(side.ready(ctx)? && ready),
            None => Ok(ready),
        }
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        if !self.sending.is_flushed() {
            return Ok(false);
        }
        self.side.as_mut().map_or(Ok(true), |side| side.flush(ctx))
    }

    fn prepare_commit(&mut self) -> Result<Vec<Vec<u8>>> {
        self.side.as_mut().map_or(Ok(Vec::new()), SinkWriter::prepare_commit)
    }

    fn snapshot(&mut self) -> Result<Vec<Vec<u8>>> {
        self.side.as_mut().map_or(Ok(Vec::new()), SinkWriter::snapshot)
    }

    fn on_processing_time(&mut self, now: i64, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.sending.on_processing_time(now);
        self.collect(ctx)?;
        match &mut self.side {
            Some(side) if side.next_wakeup().is_some_and(|at| at <= now) => side.on_processing_time(now, ctx),
            _ => Ok(()),
        }
    }

    fn next_wakeup(&self) -> Option<i64> {
        let side = self.side.as_ref().and_then(SinkWriter::next_wakeup);
        self.sending.next_wakeup().into_iter().chain(side).min()
    }
}

/// The table must be known so long after the start: until then what cannot be reached is a mistake in the set-up,
/// afterwards it is an outage.
const START: Duration = Duration::from_secs(30);
/// What may pass is tried again for so long.
const TRYING: Duration = Duration::from_secs(25);
const AGAIN: Duration = Duration::from_millis(250);

/// Connects; an error is one line that says what to do.
async fn open(
    aws: AwsConfig,
    name: TableName,
    options: SinkOptions,
    seed: u64,
    metrics: SinkMetrics,
) -> Result<(Delivery<TimestreamTransport>, Window), String> {
    let backoff = options.backoff;
    let connected = timeout(START, connect(aws, name.clone(), options)).await.unwrap_or_else(|_| {
        Err(Error::Unreachable { table: name.to_string(), reason: "no answer".into(), seconds: START.as_secs() })
    });
    let (transport, info) = connected.map_err(|e| e.to_string())?;
    Ok((Delivery { transport, backoff, seed, metrics }, Window::of(&info)))
}

/// Connects and asks for the table.
async fn connect(
    aws: AwsConfig,
    name: TableName,
    options: SinkOptions,
) -> Result<(TimestreamTransport, TableInfo), Error> {
    let start = Instant::now();
    let table = name.to_string();
    let sdk = aws.load().await.map_err(|source| Error::Aws { table: table.clone(), source })?;
    let discovery = options.endpoint_discovery.unwrap_or_else(|| !has_endpoint(&sdk));
    loop {
        let reason = match TimestreamTransport::connect(&sdk, name.clone(), discovery).await {
            Err(e) if start.elapsed() > TRYING => return Err(e),
            Err(e) => e.to_string(),
            Ok(transport) => match table::open(transport.client(), &name, options.create.as_ref()).await {
                Ok(info) => return Ok((transport, info)),
                Err(Failure::NotFound(reason)) => return Err(Error::NoTable { table, reason }),
                Err(failure) if !failure.is_passing() => {
                    let (operation, reason) = ("DescribeTable", failure.words().to_owned());
                    return Err(Error::Refused { table, operation, reason });
                }
                Err(failure) => failure.words().to_owned(),
            },
        };
        if start.elapsed() > TRYING {
            return Err(Error::Unreachable { table, reason, seconds: TRYING.as_secs() });
        }
        sleep(AGAIN).await;
    }
}

/// Whether an endpoint was set, in a program or in the environment: then that one is meant.
fn has_endpoint(sdk: &hurtig_aws::SdkConfig) -> bool {
    sdk.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_TIMESTREAM_WRITE").is_some()
}

/// So that the sink's contract is in one place.
pub(crate) type WriterOf<T, P, L> = TimestreamWriter<T, P, <L as Sink<T>>::Writer>;
