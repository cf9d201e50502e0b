//! Prints records to standard output (Flink's `print()`).
//!
//! With more than one subtask each line begins with the subtask's number, and with a prefix
//! with that: `readings:2> …`. Lines are written on the pool: a reader that is slow slows the job
//! down, and does not stop its worker. When the reader has gone (`… | head`), that is said once,
//! and the job goes on without printing: what comes after is counted as rejected. (Lines that were
//! on their way count as written; how much of a pipe was read nobody knows.)
//!
//! ```
//! use hurtig_operators::prelude::*;
//!
//! # fn f(readings: DataStream<(u32, f64)>) {
//! readings.print();
//! # }
//! ```
//!
//! ```
//! use hurtig_operators::connectors::print::PrintSink;
//!
//! let debug = PrintSink::<(u32, f64)>::debug();
//! let display = PrintSink::<String>::display().prefix("readings");
//! # let _ = (debug, display);
//! ```

use std::{
    fmt::{Debug, Display, Write as _},
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use hurtig_engine::{
    Data,
    error::{Error, Result},
    operator::OperatorFactory,
    record::Record,
    sink::{Sink, SinkContext, SinkWriter, WriterContext},
    task::pool::Ticket,
};

use crate::stream::{DataStream, DataStreamSink, Fused, Head};

/// Text is given to the output when there are this many bytes of it, and after [`DELAY`].
const BLOCK: usize = 8 << 10;
/// With more than this the writer takes no more: the output is slow.
const MOST: usize = 64 << 10;
/// How long a line may wait, in milliseconds.
const DELAY: i64 = 100;

/// Where the lines go.
type Output = Arc<Mutex<dyn Write + Send>>;

/// Prints what it is given, at least once.
pub struct PrintSink<T> {
    prefix: String,
    format: fn(&T, &mut String) -> std::fmt::Result,
    output: Output,
    /// Nobody reads the output any more.
    closed: Arc<AtomicBool>,
}

impl<T> Clone for PrintSink<T> {
    fn clone(&self) -> Self {
        PrintSink {
            prefix: self.prefix.clone(),
            format: self.format,
            output: self.output.clone(),
            closed: self.closed.clone(),
        }
    }
}

impl<T: Debug> PrintSink<T> {
    /// Prints the `Debug` form.
    pub fn debug() -> Self {
        Self::new(|v, text| write!(text, "{v:?}"))
    }
}

impl<T: Display> PrintSink<T> {
    /// Prints the `Display` form.
    pub fn display() -> Self {
        Self::new(|v, text| write!(text, "{v}"))
    }
}

impl<T> PrintSink<T> {
    fn new(format: fn(&T, &mut String) -> std::fmt::Result) -> Self {
        let output = Arc::new(Mutex::new(io::stdout()));
        PrintSink { prefix: String::new(), format, output, closed: Arc::default() }
    }

    /// What every line begins with.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Prints somewhere else.
    #[must_use]
    pub fn to(mut self, output: Arc<Mutex<dyn Write + Send>>) -> Self {
        self.output = output;
        self
    }
}

impl<T: 'static> Sink<T> for PrintSink<T> {
    type Writer = Printer<T>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Printer<T>> {
        let start = match (self.prefix.as_str(), ctx.parallelism) {
            ("", 0 | 1) => String::new(),
            ("", _) => format!("{}> ", ctx.subtask + 1),
            (prefix, 0 | 1) => format!("{prefix}> "),
            (prefix, _) => format!("{prefix}:{}> ", ctx.subtask + 1),
        };
        let sink = self.clone();
        Ok(Printer { ctx, start, sink, text: String::new(), due: None, writing: None })
    }
}

/// The writer of a [`PrintSink`].
pub struct Printer<T> {
    ctx: WriterContext,
    sink: PrintSink<T>,
    start: String,
    text: String,
    due: Option<i64>,
    writing: Option<Ticket<io::Result<()>>>,
}

impl<T> Printer<T> {
    /// Gives what there is to the output, if that is done with what it had. Whole lines at a
    /// time: subtasks do not mix within a line.
    fn print(&mut self) -> Result<()> {
        if let Some(ticket) = &mut self.writing {
            let Some(written) = ticket.poll()? else { return Ok(()) };
            self.writing = None;
            written.or_else(|e| self.failed(&e))?;
        }
        self.due = None;
        if !self.text.is_empty() {
            let (text, output) = (std::mem::take(&mut self.text), self.sink.output.clone());
            self.writing = Some(self.ctx.pool.spawn(move || {
                let mut output = output.lock().unwrap_or_else(|e| e.into_inner());
                output.write_all(text.as_bytes()).and_then(|()| output.flush())
            }));
        }
        Ok(())
    }

    fn failed(&self, e: &io::Error) -> Result<()> {
        let name = &self.ctx.name;
        if e.kind() != io::ErrorKind::BrokenPipe {
            return Err(Error::sink(name, format!("standard output cannot be written: {e}")));
        }
        if !self.sink.closed.swap(true, Relaxed) {
            tracing::warn!("{name}: nobody reads the output any more; the job goes on without printing");
        }
        Ok(())
    }
}

impl<T: 'static> SinkWriter<T> for Printer<T> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        if self.sink.closed.load(Relaxed) {
            ctx.rejected(1);
            return Ok(());
        }
        let begin = self.text.len();
        self.text.push_str(&self.start);
        if (self.sink.format)(&record.value, &mut self.text).is_err() {
            let raw = self.text.split_off(begin).into_bytes();
            ctx.dead_letter(record.origin, record.timestamp, raw, "the record's own formatting failed");
            return Ok(());
        }
        self.text.push('\n');
        ctx.written(1);
        self.due.get_or_insert(ctx.now().saturating_add(DELAY));
        if self.text.len() >= BLOCK { self.print() } else { Ok(()) }
    }

    fn ready(&mut self, _ctx: &mut SinkContext<'_>) -> Result<bool> {
        if self.text.len() >= MOST {
            self.print()?;
        }
        Ok(self.text.len() < MOST)
    }

    fn flush(&mut self, _ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.print()?;
        Ok(self.writing.is_none())
    }

    fn on_processing_time(&mut self, now: i64, _ctx: &mut SinkContext<'_>) -> Result<()> {
        self.print()?;
        // While the output is busy, what has come since waits for it.
        self.due = self.due.map(|_| now.saturating_add(DELAY));
        Ok(())
    }

    fn next_wakeup(&self) -> Option<i64> {
        self.due
    }
}

impl<T, H, Op> DataStream<T, Fused<H, Op>>
where
    T: Data + Debug,
    H: Head,
    Op: OperatorFactory<H::Item, Out = T>,
{
    /// Prints the stream's records to standard output in their `Debug` form. For others, or a
    /// prefix, there is [`PrintSink`].
    pub fn print(self) -> DataStreamSink {
        self.sink_to(PrintSink::debug()).name("Print to Std. Out")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::testing::SinkHarness;

    #[test]
    fn lines_with_prefix_and_subtask_and_in_time() {
        let out = Arc::new(Mutex::new(Vec::new()));
        let sink = PrintSink::debug().prefix("r").to(out.clone());
        let text = || String::from_utf8(out.lock().expect("lock").clone()).expect("text");
        let mut alone = SinkHarness::start(&sink, "1").expect("started");
        alone.write_all(["a"]).expect("written");
        alone.advance(DELAY - 1).expect("time");
        assert!(alone.writer.writing.is_none(), "it waits for more");
        alone.advance(1).expect("time");
        while text().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(text(), "r> \"a\"\n");
        let mut second = SinkHarness::start_subtask(&sink, "sink", 1, "1").expect("started");
        second.write_all(["b"]).expect("written");
        second.flush().expect("flushed");
        assert_eq!(text(), "r> \"a\"\nr:2> \"b\"\n");
        assert_eq!(second.books.written, 1);
    }

    /// Takes what comes when it is let to, or fails.
    struct Pipe(std::sync::mpsc::Receiver<io::Result<()>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().unwrap_or(Ok(())).map(|()| bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn piped() -> (std::sync::mpsc::Sender<io::Result<()>>, PrintSink<u64>) {
        let (lets, pipe) = std::sync::mpsc::channel();
        (lets, PrintSink::debug().to(Arc::new(Mutex::new(Pipe(pipe)))))
    }

    #[test]
    fn a_slow_reader_is_waited_for_and_not_by_the_worker() {
        let (lets, sink) = piped();
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        let lets = lets; // goes before the harness, which waits for it
        let ready = |h: &mut SinkHarness<u64, PrintSink<u64>>| {
            let mut ctx = SinkContext::new(&mut h.books, &mut h.letters, 0, 0);
            h.writer.ready(&mut ctx).expect("ready")
        };
        let mut n = 0;
        while ready(&mut harness) {
            harness.write(Record::new(n)).expect("written");
            n += 1;
        }
        assert!((MOST..MOST + 100).contains(&harness.writer.text.len()), "{}", harness.writer.text.len());
        drop(lets);
        harness.flush().expect("flushed");
        assert!(harness.books.balance() && harness.books.written == n);
    }

    #[test]
    fn a_reader_that_has_gone_ends_the_printing_and_not_the_job() {
        let (lets, sink) = piped();
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        lets.send(Err(io::ErrorKind::BrokenPipe.into())).expect("sent");
        harness.write_all([1, 2]).expect("written");
        harness.flush().expect("flushed");
        harness.write_all(3..10_000).expect("written");
        harness.flush().expect("flushed");
        assert_eq!((harness.books.written, harness.books.rejected), (2, 9_997));
        assert!(harness.books.balance());

        let (lets, sink) = piped();
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        lets.send(Err(io::ErrorKind::StorageFull.into())).expect("sent");
        harness.write_all([1]).expect("written");
        let e = harness.flush().expect_err("an error").to_string();
        assert!(e.contains("standard output cannot be written"), "{e}");
    }
}
