//! What user functions emit into: the main output, side outputs, dead letters.

use hurtig_engine::{
    Data, Origin, Record,
    operator::Output,
    task::{OutputTag, TaskContext},
};

/// A user function's view of its output (Flink's `Collector` and the `Context` beside it).
pub struct Collector<'a, O> {
    out: &'a mut O,
    timestamp: i64,
    origin: Origin,
    operator: &'a str,
}

impl<'a, O> Collector<'a, O> {
    /// A collector for what is emitted because of a record at `timestamp` from `origin`.
    pub fn new(out: &'a mut O, timestamp: i64, origin: Origin, operator: &'a str) -> Self {
        Collector { out, timestamp, origin, operator }
    }

    /// Emits with the timestamp of what is being worked on.
    #[inline]
    pub fn collect<T>(&mut self, value: T)
    where
        O: Output<T>,
    {
        self.out.collect(Record { value, timestamp: self.timestamp, origin: self.origin });
    }

    /// Emits with a timestamp of its own.
    #[inline]
    pub fn collect_at<T>(&mut self, value: T, timestamp: i64)
    where
        O: Output<T>,
    {
        self.out.collect(Record { value, timestamp, origin: self.origin });
    }

    /// Emits to a side output.
    pub fn output<T, U: Data>(&mut self, tag: &OutputTag<U>, value: U)
    where
        O: Output<T>,
    {
        let record = Record { value, timestamp: self.timestamp, origin: self.origin };
        self.out.ctx().output(tag, record);
    }

    /// Gives up on the record: to the dead letters, with its raw form and the reason.
    pub fn dead_letter<T>(&mut self, raw: Vec<u8>, reason: impl Into<String>)
    where
        O: Output<T>,
    {
        let (operator, origin, timestamp) = (self.operator, self.origin, self.timestamp);
        self.out.ctx().dead_letter(operator, origin, timestamp, raw, reason);
    }

    /// The record's event time, or the timer's.
    #[inline]
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// Where the record came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The task: watermark and processing time.
    pub fn task<T>(&mut self) -> &mut TaskContext
    where
        O: Output<T>,
    {
        self.out.ctx()
    }
}
