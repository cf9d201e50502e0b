//! A sink whose records carry their own verdict: written, refused, or refused and kept.
//!
//! Some decisions need keyed state and are made upstream (is this a repeat?), but they belong
//! into the books of the sink that they concern. [`Judged`] puts them there, and hands what is
//! to be written on to the sink behind it.

use hurtig_engine::{
    Data, Record,
    error::Result,
    sink::{Committer, CommitterContext, Sink, SinkContext, SinkWriter, WriterContext},
};

/// What is to become of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Write it.
    Keep,
    /// Count it as rejected.
    Reject,
    /// To the dead letters, for this reason.
    DeadLetter(String),
}

/// A record with a verdict.
pub trait Judge: Data {
    /// What is to become of it.
    fn verdict(&self) -> Verdict;
}

/// `sink`, for records that carry their verdict.
#[derive(Debug, Clone)]
pub struct Judged<S> {
    sink: S,
}

impl<S> Judged<S> {
    /// Puts the verdicts in front of `sink`.
    pub fn new(sink: S) -> Self {
        Judged { sink }
    }
}

impl<T: Judge, S: Sink<T>> Sink<T> for Judged<S> {
    type Writer = JudgedWriter<S::Writer>;

    fn writer(&self, ctx: WriterContext, restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        Ok(JudgedWriter { writer: self.sink.writer(ctx, restored)? })
    }

    fn committer(&self, ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        self.sink.committer(ctx)
    }
}

/// The writer of [`Judged`].
pub struct JudgedWriter<W> {
    writer: W,
}

impl<T: Judge, W: SinkWriter<T>> SinkWriter<T> for JudgedWriter<W> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        match record.value.verdict() {
            Verdict::Keep => return self.writer.write(record, ctx),
            Verdict::Reject => ctx.rejected(1),
            Verdict::DeadLetter(reason) => {
                let raw = serde_json::to_vec(&record.value).unwrap_or_else(|e| format!("<no JSON: {e}>").into_bytes());
                ctx.dead_letter(record.origin, record.timestamp, raw, reason);
            }
        }
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.writer.ready(ctx)
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

#[cfg(test)]
mod tests {
    use super::*;
    use hurtig_engine::{Origin, sink::Books};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Number(i64);

    impl Judge for Number {
        fn verdict(&self) -> Verdict {
            match self.0 {
                0 => Verdict::Reject,
                n if n < 0 => Verdict::DeadLetter("negative".into()),
                _ => Verdict::Keep,
            }
        }
    }

    #[derive(Default)]
    struct Kept(Vec<i64>);

    impl SinkWriter<Number> for Kept {
        fn write(&mut self, record: Record<Number>, ctx: &mut SinkContext<'_>) -> Result<()> {
            self.0.push(record.value.0);
            ctx.written(1);
            Ok(())
        }
    }

    #[test]
    fn verdicts_show_in_the_books() {
        let mut writer = JudgedWriter { writer: Kept::default() };
        let (mut books, mut letters) = (Books::default(), Vec::new());
        for n in [1, 0, -5, 2, 0] {
            books.read += 1;
            let mut ctx = SinkContext::new(&mut books, &mut letters, 0, 0);
            let record = Record { value: Number(n), timestamp: 9, origin: Origin::new(1, 2) };
            writer.write(record, &mut ctx).expect("written");
        }
        assert_eq!(writer.writer.0, [1, 2]);
        assert_eq!(books, Books { read: 5, written: 2, rejected: 2, dead_lettered: 1 });
        assert_eq!(letters, [(Origin::new(1, 2), 9, b"-5".to_vec(), "negative".to_owned())]);
        assert!(books.balance());
    }
}
