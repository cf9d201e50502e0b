//! One subtask's writer: makes records of values, hands them to the queue, keeps the books.

use std::{sync::Arc, time::Duration};

use hurtig_aws::AwsConfig;
use hurtig_engine::{
    error::{Error as EngineError, Result},
    record::Record,
    sink::{Sink, SinkContext, SinkWriter, WriterContext},
    time::{Clock, millis},
};
use serde::Serialize;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep},
};

use crate::{
    builder::{SinkOptions, TimestreamSink, TooOld},
    driver::{Driver, Shared},
    error::Error,
    failure::Failure,
    limits,
    metrics::SinkMetrics,
    payload::TimestreamPayload,
    queue::{Item, Queue},
    record::TimestreamRecord,
    table::{self, TableInfo, TableName},
    transport::TimestreamTransport,
    waiting::{Refusal, Settled, Waiting},
    window::{Route, Window},
};

/// Writes for one subtask. `W` writes what is too old, where that has a sink of its own.
pub struct TimestreamWriter<T, P, W> {
    name: String,
    payload: P,
    options: SinkOptions,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    task: AbortHandle,
    metrics: SinkMetrics,
    window: Option<Window>,
    waiting: Waiting<T>,
    side: Option<W>,
    /// When what came last must wait no longer.
    linger_until: Option<i64>,
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
        let options = sink.options.clone();
        let shared = Shared::new(Queue::new(options.max_batch_size, options.max_in_flight));
        let metrics = SinkMetrics::new(&ctx.metrics, &sink.table);
        let driver = Driver {
            shared: shared.clone(),
            waker: ctx.waker,
            metrics: metrics.clone(),
            table: sink.table.clone(),
            backoff: options.backoff,
            seed: seed(&[&ctx.uid, &ctx.subtask.to_string(), &ctx.attempt]),
        };
        let connect = connect(sink.aws.clone(), sink.table.clone(), options.clone());
        let task = ctx.runtime.spawn(driver.run(connect)).abort_handle();
        TimestreamWriter {
            name: ctx.name,
            payload: sink.payload.clone(),
            options,
            clock: ctx.clock,
            shared,
            task,
            metrics,
            window: None,
            waiting: Waiting::default(),
            side,
            linger_until: None,
            scratch: Vec::new(),
        }
    }

    /// What has come so far is sent without waiting for more.
    fn hurry(&mut self) {
        self.linger_until = None;
        self.shared.lock().queue.force();
        self.shared.work.notify_one();
    }

    /// Takes note of answers; an error if there will be no more.
    fn collect(&mut self, ctx: &mut SinkContext<'_>) -> Result<()> {
        let mut core = self.shared.lock();
        let answers = std::mem::take(&mut core.answers);
        let (table, failed) = (core.table, core.failed.clone());
        drop(core);
        self.window = self.window.or_else(|| table.as_ref().map(Window::of));
        for (value, refusal) in answers {
            if let Some(settled) = self.waiting.answered(value, refusal) {
                self.settle(settled, ctx)?;
            }
        }
        self.metrics.buffered.set(i64::try_from(self.waiting.len()).unwrap_or(i64::MAX));
        failed.map_or(Ok(()), |reason| Err(EngineError::sink(&self.name, reason)))
    }

    /// Every record of a value has its answer.
    fn settle(&mut self, settled: Settled<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        let Settled { record, refusals } = settled;
        if refusals.is_empty() {
            ctx.written(1);
            return Ok(());
        }
        if refusals.iter().all(|refusal| refusal.too_old) {
            if let Some(side) = &mut self.side {
                return side.write(record, ctx);
            }
            if self.options.too_old == TooOld::Reject {
                ctx.rejected(1);
                return Ok(());
            }
        }
        let mut reasons: Vec<_> = refusals.into_iter().map(|refusal| refusal.reason).collect();
        reasons.dedup();
        dead_letter(record, reasons.join("; "), ctx);
        Ok(())
    }

    /// Where a record goes, or why not.
    fn route(&self, record: &TimestreamRecord, now: i64) -> Result<Route, Refusal> {
        let refuse = |reason, too_old| Err(Refusal { reason, too_old });
        if let Err(reason) = limits::check(record) {
            return refuse(reason, false);
        }
        let Some(window) = self.window else { return Ok(Route::Memory) };
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
            dead_letter(record, reason, ctx);
            return Ok(());
        }
        let (mut going, mut refusals) = (Vec::with_capacity(made.len()), Vec::new());
        for mut one in made.drain(..) {
            one.version = one.version.or(self.options.version);
            match self.route(&one, ctx.now()) {
                Ok(route) => going.push((route, one)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        self.scratch = made;
        if going.is_empty() {
            return self.settle(Settled { record, refusals }, ctx);
        }
        let value = self.waiting.push(record, going.len(), refusals);
        let mut core = self.shared.lock();
        let mut is_full = false;
        for (route, record) in going {
            is_full |= core.queue.push(route, Item { value, identity: record.identity(), record });
        }
        drop(core);
        if is_full {
            self.shared.work.notify_one();
        }
        if self.linger_until.is_none() {
            self.linger_until = Some(self.clock.now_ms().saturating_add(millis(self.options.linger)));
        }
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        let ready = self.window.is_some() && self.waiting.len() < self.options.max_buffered;
        if !ready && self.linger_until.is_some() {
            // Nothing more comes that it could wait for.
            self.hurry();
        }
        match &mut self.side {
            Some(side) => Ok(side.ready(ctx)? && ready),
            None => Ok(ready),
        }
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        if self.linger_until.is_some() {
            self.hurry();
        }
        self.collect(ctx)?;
        // Also with nothing to send: a job does not end well on a table that is not there.
        if self.window.is_none() || !self.waiting.is_empty() {
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
        if self.linger_until.is_some_and(|at| at <= now) {
            self.hurry();
        }
        self.collect(ctx)?;
        match &mut self.side {
            Some(side) if side.next_wakeup().is_some_and(|at| at <= now) => side.on_processing_time(now, ctx),
            _ => Ok(()),
        }
    }

    fn next_wakeup(&self) -> Option<i64> {
        let side = self.side.as_ref().and_then(SinkWriter::next_wakeup);
        self.linger_until.into_iter().chain(side).min()
    }
}

impl<T, P, W> Drop for TimestreamWriter<T, P, W> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The value goes to the dead letters as JSON: the stream's own, from which its records can be made again.
fn dead_letter<T: Serialize>(record: Record<T>, reason: String, ctx: &mut SinkContext<'_>) {
    let (raw, reason) = match serde_json::to_vec(&record.value) {
        Ok(raw) => (raw, reason),
        Err(e) => (Vec::new(), format!("{reason} (and the value cannot be written as JSON: {e})")),
    };
    ctx.dead_letter(record.origin, record.timestamp, raw, reason);
}

/// At the start what may pass is tried again for so long.
const START: Duration = Duration::from_secs(25);
const AGAIN: Duration = Duration::from_millis(250);

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
            Err(e) if start.elapsed() > START => return Err(e),
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
        if start.elapsed() > START {
            return Err(Error::Unreachable { table, reason, seconds: START.as_secs() });
        }
        sleep(AGAIN).await;
    }
}

/// Whether an endpoint was set, in a program or in the environment: then that one is meant.
fn has_endpoint(sdk: &hurtig_aws::SdkConfig) -> bool {
    sdk.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_TIMESTREAM_WRITE").is_some()
}

/// A seed of words, the same in every run of the same attempt (FNV-1a).
fn seed(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|w| w.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// So that the sink's contract is in one place.
pub(crate) type WriterOf<T, P, L> = TimestreamWriter<T, P, <L as Sink<T>>::Writer>;
