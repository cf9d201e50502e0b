//! A message of the `readings` stream: one flat JSON object as text, and when it arrived.
//!
//! Whatever the readings come from, this is what the job sees: the generator and Kinesis hand
//! over lines, a CSV row is written as the line that the batch path of the talk would have put
//! on the stream. So live data and backfill go through one code path.

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::Result,
    source::{
        Boundedness, EnumeratorContext, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader,
        SplitEnumerator,
    },
    time::NO_TIMESTAMP,
};
use serde::{Deserialize, Serialize};

use super::glance;

/// One message as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The JSON text, without a line end: as bytes, since what is broken need not be text.
    pub line: Vec<u8>,
    /// When it reached the source, in milliseconds since the epoch, as the source replays it;
    /// [`NO_TIMESTAMP`] where that is not known (a file that does not say).
    pub arrival: i64,
    /// How far its split's event time had come before it, in milliseconds; [`NO_TIMESTAMP`] for
    /// the first. It says whether the message is late without asking how far others are.
    pub split_time: i64,
}

impl Message {
    /// The event time for watermarks, in milliseconds. [`NO_TIMESTAMP`] if there is none, or none
    /// that can be trusted: such a message moves no watermark.
    pub fn event_time(&self) -> i64 {
        glance::event_time(&self.line).unwrap_or(NO_TIMESTAMP)
    }
}

/// Any source of lines as a source of [`Message`]s: keeps each line's arrival and its split's
/// event time beside it.
pub struct Messages<S, F> {
    source: S,
    line: F,
}

impl<S, F> Messages<S, F> {
    /// `line` makes the JSON text of what `source` reads.
    pub fn new(source: S, line: F) -> Self {
        Messages { source, line }
    }
}

impl<S, F> Source for Messages<S, F>
where
    S: Source,
    F: Fn(S::Item) -> Vec<u8> + Clone + Send + Sync + 'static,
{
    type Item = Message;
    type Split = S::Split;
    type Reader = MessageReader<S::Reader, F>;

    fn enumerator(
        &self,
        ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<S::Split>>> {
        self.source.enumerator(ctx, restored)
    }

    fn reader(&self, ctx: ReaderContext) -> Result<Self::Reader> {
        Ok(MessageReader { reader: self.source.reader(ctx)?, line: self.line.clone() })
    }

    fn boundedness(&self) -> Boundedness {
        self.source.boundedness()
    }
}

/// The reader of [`Messages`].
pub struct MessageReader<R, F> {
    reader: R,
    line: F,
}

impl<R, F> SourceReader for MessageReader<R, F>
where
    R: SourceReader,
    F: Fn(R::Item) -> Vec<u8> + 'static,
{
    type Item = Message;
    type Split = R::Split;

    fn add_split(&mut self, number: u32, split: R::Split) -> Result<()> {
        self.reader.add_split(number, split)
    }

    fn poll<O: SourceOutput<Message>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        self.reader.poll(max, &mut Stamping { out, line: &self.line })
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<(u32, R::Split)>> {
        self.reader.snapshot(checkpoint)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) {
        self.reader.checkpoint_complete(checkpoint);
    }
}

/// Puts arrival and split time into the record on its way out.
struct Stamping<'a, O, F> {
    out: &'a mut O,
    line: &'a F,
}

impl<T, O, F> SourceOutput<T> for Stamping<'_, O, F>
where
    O: SourceOutput<Message>,
    F: Fn(T) -> Vec<u8>,
{
    #[inline]
    fn emit(&mut self, split: u32, position: u64, arrival: i64, value: T) {
        let split_time = self.out.split_watermark(split);
        let message = Message { line: (self.line)(value), arrival, split_time };
        self.out.emit(split, position, arrival, message);
    }

    fn dead_letter(&mut self, split: u32, position: u64, arrival: i64, raw: &[u8], reason: &str) {
        self.out.dead_letter(split, position, arrival, raw, reason);
    }

    fn is_full(&self) -> bool {
        self.out.is_full()
    }

    fn split_watermark(&self, split: u32) -> i64 {
        self.out.split_watermark(split)
    }

    fn is_paused(&mut self, split: u32) -> bool {
        self.out.is_paused(split)
    }

    fn finish_split(&mut self, split: u32) {
        self.out.finish_split(split);
    }
}
