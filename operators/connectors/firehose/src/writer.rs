//! One record after another: taken apart, asked for its keys, written below the prefix or, with
//! what is wrong with it, below the error prefix.
//!
//! A record counts once, whatever it is made of. It is *written* when all that was in it was
//! delivered; *rejected* when some of it is below the error prefix, where Firehose would look for
//! it too; a dead letter when there is no place for it even there.

use std::{ops::Range, sync::Arc};

use hurtig_engine::{
    error::Result,
    metrics::Gauge,
    record::{Origin, Record},
    sink::{Books, SinkContext, SinkWriter, WriterContext},
    time::NO_TIMESTAMP,
};
use hurtig_operators::connectors::part_files::{PartOptions, PartWriter, PartitionBy, RollingPolicy};

use crate::{
    config::FirehoseConfig,
    error_record::{ErrorRecord, PREFIX_EVALUATION_FAILED, Problem},
    format::{Line, LineFormat},
    layout::{self, Layout, Names},
    query::Query,
    sink::{BytesOf, FirehoseSink, TimeOf},
};

/// Writes the records of one subtask.
pub struct FirehoseWriter<T: 'static> {
    bytes: BytesOf<T>,
    arrival: Option<TimeOf<T>>,
    config: Arc<FirehoseConfig>,
    query: Option<Query>,
    names: Names,
    errors: Arc<str>,
    parts: PartWriter<Line, LineFormat>,
    /// Of the parts: why a file cannot be where it should.
    letters: Vec<(Origin, i64, Vec<u8>, String)>,
    /// Records in the record at hand.
    subs: Vec<Range<usize>>,
    keys: Vec<String>,
    group: Group,
    lines: Gauge,
    error_lines: Gauge,
}

/// Records in a row that go to one file.
#[derive(Default)]
struct Group {
    name: Option<Arc<str>>,
    subs: Vec<Range<usize>>,
    bytes: Vec<u8>,
}

/// The record at hand.
struct Visit<'a> {
    raw: &'a [u8],
    origin: Origin,
    time: i64,
    arrival: i64,
    /// Some of it is below the error prefix.
    refused: bool,
    /// Some of it is nowhere, and why.
    lost: Option<String>,
}

impl<T: Send + 'static> FirehoseWriter<T> {
    pub(crate) fn new(sink: &FirehoseSink<T>, ctx: WriterContext) -> Result<Self> {
        let config = sink.config.clone();
        let query =
            config.processing.query.as_deref().map(|query| Query::new(query, config.prefix.keys())).transpose()?;
        let seed = layout::seed([ctx.job.as_str(), &ctx.uid, &ctx.attempt, &ctx.subtask.to_string()]);
        let layout = Layout::new(config.clone(), seed);
        let place = sink.dir.display().to_string();
        let gauge = |name: &str| ctx.metrics.gauge(name, &[("path", &place)]);
        let (lines, error_lines) = (gauge("numLinesWritten"), gauge("numErrorRecords"));
        let format = LineFormat {
            extension: config.extension.clone(),
            gzip: config.gzip,
            size_is_the_files: config.max_bytes_are_the_files,
        };
        let options = PartOptions {
            rolling: RollingPolicy { max_bytes: config.max_bytes, interval: config.interval },
            max_open_files: config.max_open_files,
            max_buffered_bytes: sink.max_buffered_bytes,
            ..PartOptions::default()
        };
        let by = PartitionBy::named(|line: &Line| &line.name, move |line, number| layout.path(line, number));
        Ok(FirehoseWriter {
            bytes: sink.bytes.clone(),
            arrival: sink.arrival.clone(),
            names: Names::new(&config),
            config,
            query,
            errors: layout::errors(),
            parts: PartWriter::new(&sink.dir, format, by, options, ctx)?,
            letters: Vec::new(),
            subs: Vec::new(),
            keys: Vec::new(),
            group: Group::default(),
            lines,
            error_lines,
        })
    }

    /// How many files take records, open or not.
    pub fn partitions(&self) -> usize {
        self.parts.open_files()
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.parts.open_handles()
    }

    /// How many bytes of records are in memory.
    pub fn buffered_bytes(&self) -> usize {
        self.parts.buffered_bytes()
    }

    /// Puts one record of those in the record at hand to the others of its file.
    fn take(&mut self, sub: Range<usize>, visit: &mut Visit<'_>, ctx: &SinkContext<'_>) -> Result<()> {
        let bytes = &visit.raw[sub.clone()];
        let keys = self.query.as_mut().map_or(Ok(()), |query| query.keys(bytes, &mut self.keys));
        match keys.and_then(|()| self.names.name(&self.keys, visit.time)) {
            Ok(name) => {
                if self.group.name.as_ref().is_some_and(|n| *n != name) {
                    self.deliver(visit, ctx)?;
                }
                self.group.name = Some(name);
                self.group.bytes.reserve(bytes.len() + self.config.processing.delimiter.len());
                self.group.bytes.extend_from_slice(bytes);
                self.group.bytes.extend_from_slice(&self.config.processing.delimiter);
                self.group.subs.push(sub);
                Ok(())
            }
            Err(problem) => self.refuse(problem, sub, visit, ctx),
        }
    }

    /// Writes the records that were put together.
    fn deliver(&mut self, visit: &mut Visit<'_>, ctx: &SinkContext<'_>) -> Result<()> {
        let Some(name) = self.group.name.take() else { return Ok(()) };
        let (bytes, rows) = (std::mem::take(&mut self.group.bytes), self.group.subs.len());
        self.write_line(Line { name, arrival: visit.arrival, bytes, rows }, visit, ctx)?;
        let mut subs = std::mem::take(&mut self.group.subs);
        if let Some((.., reason)) = self.letters.pop() {
            for sub in subs.iter().cloned() {
                self.refuse(Problem { code: PREFIX_EVALUATION_FAILED, message: reason.clone() }, sub, visit, ctx)?;
            }
        }
        subs.clear();
        self.group.subs = subs;
        Ok(())
    }

    /// Writes what cannot be delivered below the error prefix.
    #[cold]
    fn refuse(
        &mut self,
        problem: Problem,
        sub: Range<usize>,
        visit: &mut Visit<'_>,
        ctx: &SinkContext<'_>,
    ) -> Result<()> {
        visit.refused = true;
        let error = ErrorRecord::new(problem, &visit.raw[sub], visit.arrival, ctx.now());
        let mut bytes = serde_json::to_vec(&error).map_err(|e| {
            // Numbers and texts can always be written.
            hurtig_engine::error::Error::Config(format!("an error record cannot be written: {e}"))
        })?;
        bytes.push(b'\n');
        self.write_line(Line { name: self.errors.clone(), arrival: visit.arrival, bytes, rows: 1 }, visit, ctx)?;
        self.error_lines.add(1);
        if let Some((.., reason)) = self.letters.pop() {
            visit.lost = Some(format!("{}; and in ErrorOutputPrefix: {reason}", error.error_message));
        }
        Ok(())
    }

    fn write_line(&mut self, line: Line, visit: &Visit<'_>, ctx: &SinkContext<'_>) -> Result<()> {
        let record = Record { value: line, timestamp: visit.time, origin: visit.origin };
        self.with_parts(ctx, |parts, ctx| parts.write(record, ctx))
    }

    /// The parts count lines. Their books are their own: ours count records.
    fn with_parts<R>(
        &mut self,
        ctx: &SinkContext<'_>,
        f: impl FnOnce(&mut PartWriter<Line, LineFormat>, &mut SinkContext<'_>) -> Result<R>,
    ) -> Result<R> {
        let mut books = Books::default();
        let mut own = SinkContext::new(&mut books, &mut self.letters, ctx.watermark(), ctx.now());
        let done = f(&mut self.parts, &mut own)?;
        if books.written > 0 {
            self.lines.add(i64::try_from(books.written).unwrap_or(i64::MAX));
        }
        Ok(done)
    }
}

impl<T: Send + 'static> SinkWriter<T> for FirehoseWriter<T> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        let raw = (self.bytes)(&record.value);
        let arrival = self.arrival.as_ref().map(|time| time(&record.value)).filter(|time| *time != NO_TIMESTAMP);
        let arrival = arrival.unwrap_or(ctx.now());
        let (origin, time) = (record.origin, record.timestamp);
        let mut visit = Visit { raw, origin, time, arrival, refused: false, lost: None };
        let mut subs = std::mem::take(&mut self.subs);
        let broken = match &self.config.processing.sub_records {
            Some(how) => how.split(raw, &mut subs).err(),
            None => {
                subs.push(0..raw.len());
                None
            }
        };
        for sub in subs.drain(..) {
            self.take(sub, &mut visit, ctx)?;
        }
        self.subs = subs;
        self.deliver(&mut visit, ctx)?;
        if let Some(broken) = broken {
            self.refuse(broken.problem, broken.rest, &mut visit, ctx)?;
        }
        match visit.lost {
            Some(reason) => ctx.dead_letter(origin, time, raw.to_vec(), reason),
            None if visit.refused => ctx.rejected(1),
            None => ctx.written(1),
        }
        Ok(())
    }

    #[inline]
    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.with_parts(ctx, |parts, ctx| parts.ready(ctx))
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.with_parts(ctx, |parts, ctx| parts.flush(ctx))
    }

    fn prepare_commit(&mut self) -> Result<Vec<Vec<u8>>> {
        self.parts.prepare_commit()
    }

    fn on_processing_time(&mut self, now: i64, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.with_parts(ctx, |parts, ctx| parts.on_processing_time(now, ctx))
    }

    fn next_wakeup(&self) -> Option<i64> {
        self.parts.next_wakeup()
    }
}
