//! Prints records to standard output (Flink's `print()`).
//!
//! With more than one subtask each line begins with the subtask's number, and with a prefix
//! with that: `readings:2> …`.
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
    io::Write,
    sync::{Arc, Mutex},
};

use hurtig_engine::{
    error::{Error, Result},
    record::Record,
    sink::{Sink, SinkContext, SinkWriter, WriterContext},
};

/// Text is given to the output when there are this many bytes of it, and after [`DELAY`].
const BLOCK: usize = 8 << 10;
/// How long a line may wait, in milliseconds.
const DELAY: i64 = 100;

/// Where the lines go.
type Output = Arc<Mutex<dyn Write + Send>>;

/// Prints what it is given, at least once.
pub struct PrintSink<T> {
    prefix: String,
    format: fn(&T, &mut String) -> std::fmt::Result,
    output: Output,
}

impl<T> Clone for PrintSink<T> {
    fn clone(&self) -> Self {
        PrintSink { prefix: self.prefix.clone(), format: self.format, output: self.output.clone() }
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
        PrintSink { prefix: String::new(), format, output: Arc::new(Mutex::new(std::io::stdout())) }
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
        Ok(Printer {
            name: ctx.name,
            start,
            format: self.format,
            output: self.output.clone(),
            text: String::new(),
            due: None,
        })
    }
}

/// The writer of a [`PrintSink`].
pub struct Printer<T> {
    name: String,
    start: String,
    format: fn(&T, &mut String) -> std::fmt::Result,
    output: Output,
    text: String,
    due: Option<i64>,
}

impl<T> Printer<T> {
    /// Whole lines at a time: subtasks do not mix within a line.
    fn print(&mut self) -> Result<()> {
        self.due = None;
        let mut output = self.output.lock().unwrap_or_else(|e| e.into_inner());
        let printed = output.write_all(self.text.as_bytes()).and_then(|()| output.flush());
        self.text.clear();
        printed.map_err(|e| Error::sink(&self.name, format!("standard output cannot be written: {e}")))
    }
}

impl<T: 'static> SinkWriter<T> for Printer<T> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        let begin = self.text.len();
        self.text.push_str(&self.start);
        if (self.format)(&record.value, &mut self.text).is_err() {
            let raw = self.text.split_off(begin).into_bytes();
            ctx.dead_letter(record.origin, record.timestamp, raw, "the record's own formatting failed");
            return Ok(());
        }
        self.text.push('\n');
        ctx.written(1);
        self.due.get_or_insert(ctx.now().saturating_add(DELAY));
        if self.text.len() >= BLOCK { self.print() } else { Ok(()) }
    }

    fn flush(&mut self, _ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.print().map(|()| true)
    }

    fn on_processing_time(&mut self, _now: i64, _ctx: &mut SinkContext<'_>) -> Result<()> {
        self.print()
    }

    fn next_wakeup(&self) -> Option<i64> {
        self.due
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
        assert_eq!(text(), "", "it waits for more");
        alone.advance(DELAY).expect("time");
        assert_eq!(text(), "r> \"a\"\n");
        let mut second = SinkHarness::start_subtask(&sink, "sink", 1, "1").expect("started");
        second.write_all(["b"]).expect("written");
        second.flush().expect("flushed");
        assert_eq!(text(), "r> \"a\"\nr:2> \"b\"\n");
        assert_eq!(second.books.written, 1);
    }
}
