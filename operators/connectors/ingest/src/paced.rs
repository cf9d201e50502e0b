//! A sink that writes no faster than a [`Pacer`] says.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hurtig_engine::{
    error::Result,
    metrics::Gauge,
    record::Record,
    sink::{Committer, CommitterContext, Sink, SinkContext, SinkWriter, WriterContext},
};
use tokio::task::AbortHandle;

use crate::pacer::{Observation, Pacer, PacerFigures};

/// How often the stream is looked at, in milliseconds.
const LOOK_MS: i64 = 200;

/// What looks at the stream: called several times a second with the time in milliseconds. It must not block.
type Observer = Box<dyn FnMut(i64) -> Observation + Send>;

/// How large a record is.
type Size<T> = Arc<dyn Fn(&T) -> usize + Send + Sync>;

/// All writers of a sink share one pacer, and whoever watches the job looks at it.
#[derive(Clone)]
pub struct Pacing(Arc<Mutex<Watched>>);

struct Watched {
    pacer: Pacer,
    observer: Observer,
    looked_at: Option<i64>,
}

impl Pacing {
    /// Paces by `pacer`; `observer` says what is known of the stream.
    pub fn new(pacer: Pacer, observer: impl FnMut(i64) -> Observation + Send + 'static) -> Self {
        Pacing(Arc::new(Mutex::new(Watched { pacer, observer: Box::new(observer), looked_at: None })))
    }

    /// Adds what is known of the stream: `more` completes each observation. It must not block.
    pub fn watch_stream(&self, mut more: impl FnMut(i64, &mut Observation) + Send + 'static) {
        let mut watched = self.lock();
        let mut before = std::mem::replace(&mut watched.observer, Box::new(|_| Observation::default()));
        watched.observer = Box::new(move |now| {
            let mut seen = before(now);
            more(now, &mut seen);
            seen
        });
    }

    /// The figures now.
    pub fn figures(&self) -> PacerFigures {
        self.lock().pacer.figures()
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// `None`: a record may be written at `now`; otherwise how long to wait, in milliseconds.
    fn wait(&self, now: i64) -> Option<i64> {
        let mut watched = self.lock();
        let Watched { pacer, observer, looked_at } = &mut *watched;
        if looked_at.is_none_or(|at| now - at >= LOOK_MS) {
            *looked_at = Some(now);
            let seen = observer(now);
            pacer.observe(now, &seen);
        }
        (!pacer.is_ready(now)).then(|| pacer.wait_ms())
    }
}

/// Any sink, written no faster than its [`Pacing`] says. It pushes back: what it does not take yet
/// is not read yet.
pub struct Paced<T, S> {
    sink: S,
    pacing: Pacing,
    size: Size<T>,
}

impl<T, S> Paced<T, S> {
    /// `size` says how large a record is, in bytes.
    pub fn new(sink: S, pacing: Pacing, size: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        Paced { sink, pacing, size: Arc::new(size) }
    }
}

impl<T: 'static, S: Sink<T>> Sink<T> for Paced<T, S> {
    type Writer = PacedWriter<T, S::Writer>;

    fn writer(&self, ctx: WriterContext, restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        let gauge = |name| ctx.metrics.gauge(name, &[]);
        Ok(PacedWriter {
            pacing: self.pacing.clone(),
            size: self.size.clone(),
            timer: None,
            rate: gauge("pacedBytesPerSecond"),
            throttled: gauge("pacedThrottledRecords"),
            decreases: gauge("pacedDecreases"),
            writer: self.sink.writer(ctx.clone(), restored)?,
            ctx,
        })
    }

    fn committer(&self, ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        self.sink.committer(ctx)
    }
}

/// The writer of [`Paced`].
pub struct PacedWriter<T, W> {
    writer: W,
    pacing: Pacing,
    size: Size<T>,
    ctx: WriterContext,
    /// Wakes the worker when the time has come.
    timer: Option<AbortHandle>,
    rate: Gauge,
    throttled: Gauge,
    decreases: Gauge,
}

impl<T, W> Drop for PacedWriter<T, W> {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
    }
}

impl<T, W> PacedWriter<T, W> {
    fn wake_in(&mut self, ms: i64) {
        if self.timer.as_ref().is_some_and(|t| !t.is_finished()) {
            return;
        }
        let (waker, wait) = (self.ctx.waker.clone(), Duration::from_millis(u64::try_from(ms).unwrap_or(1)));
        let timer = self.ctx.runtime.spawn(async move {
            tokio::time::sleep(wait).await;
            waker.wake();
        });
        self.timer = Some(timer.abort_handle());
    }
}

impl<T: 'static, W: SinkWriter<T>> SinkWriter<T> for PacedWriter<T, W> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.pacing.lock().pacer.take((self.size)(&record.value));
        self.writer.write(record, ctx)
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        // The task's time stands still while it works off a batch. The stream is looked at also while
        // the sink itself has enough: that may be because of throttling.
        let wait = self.pacing.wait(self.ctx.clock.now_ms());
        if !self.writer.ready(ctx)? {
            return Ok(false);
        }
        let Some(ms) = wait else { return Ok(true) };
        let figures = self.pacing.figures();
        self.rate.set(figures.bytes_per_second as i64);
        self.throttled.set(i64::try_from(figures.throttled).unwrap_or(i64::MAX));
        self.decreases.set(i64::try_from(figures.decreases).unwrap_or(i64::MAX));
        self.wake_in(ms);
        Ok(false)
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.writer.flush(ctx)
    }

    fn prepare_commit(&mut self) -> Result<Vec<Vec<u8>>> {
        self.writer.prepare_commit()
    }

    fn snapshot(&mut self) -> Result<Vec<Vec<u8>>> {
        self.writer.snapshot()
    }

    fn on_processing_time(&mut self, now: i64, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.writer.on_processing_time(now, ctx)
    }

    fn next_wakeup(&self) -> Option<i64> {
        self.writer.next_wakeup()
    }
}
