//! A message of the `readings` stream: one flat JSON object as text, and when it arrived.
//!
//! Whatever the readings come from, this is what the job sees: the generator and Kinesis hand
//! over lines, a CSV row is written as the line that the batch path of the talk would have put
//! on the stream. So live data and backfill go through one code path.

use hurtig_engine::{
    error::Result,
    source::{Boundedness, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader, SplitEnumerator},
    time::NO_TIMESTAMP,
};
use serde::{Deserialize, Serialize};

use super::payload::TimeUnit;

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
    /// The event time for watermarks, in milliseconds: the key `time` picked out of the text
    /// without reading the rest (which [`MapToTimestreamPayload`](super::MapToTimestreamPayload)
    /// does behind the source, once). [`NO_TIMESTAMP`] if there is none to be found: such a
    /// message moves no watermark.
    pub fn event_time(&self) -> i64 {
        let (mut time, mut unit) = (None, TimeUnit::default());
        let mut rest = &self.line[..];
        // Keys begin behind a quote, unless it is escaped: then it is part of some text.
        while let Some(quote) = rest.iter().position(|b| *b == b'"') {
            let escaped = quote > 0 && rest[quote - 1] == b'\\';
            rest = &rest[quote + 1..];
            if !escaped && starts_with_time(rest) {
                if let Some(value) = after_key(rest, "time") {
                    time = leading_integer(value);
                } else if let Some(value) = after_key(rest, "timeunit") {
                    let name = value.strip_prefix(b"\"").and_then(|v| v.split(|b| *b == b'"').next());
                    let name = name.and_then(|n| std::str::from_utf8(n).ok());
                    unit = name.and_then(TimeUnit::parse).unwrap_or_default();
                }
            }
        }
        let nanos = time.and_then(|t| unit.to_nanos(t));
        nanos.map_or(NO_TIMESTAMP, |ns| ns.div_euclid(1_000_000))
    }
}

#[inline]
fn starts_with_time(text: &[u8]) -> bool {
    text.get(..4).is_some_and(|t| t.eq_ignore_ascii_case(b"time"))
}

/// What stands behind the key that `text` begins with, if that is `name` (in any case).
fn after_key<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (key, rest) = text.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b"\"")?.trim_ascii_start().strip_prefix(b":")?;
    key.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii_start())
}

fn leading_integer(value: &[u8]) -> Option<i64> {
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let end = value.iter().position(|b| !(b.is_ascii_digit() || *b == b'-')).unwrap_or(value.len());
    // A fraction or an exponent is no time: the payload's parser will say so.
    if matches!(value.get(end), Some(b'.' | b'e' | b'E')) {
        return None;
    }
    std::str::from_utf8(&value[..end]).ok()?.parse().ok()
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

    fn enumerator(&self, restored: Option<Vec<u8>>) -> Result<Box<dyn SplitEnumerator<S::Split>>> {
        self.source.enumerator(restored)
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

    fn snapshot(&self) -> Result<Vec<(u32, R::Split)>> {
        self.reader.snapshot()
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

    fn finish_split(&mut self, split: u32) {
        self.out.finish_split(split);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_time(line: &str) -> i64 {
        Message { line: line.into(), arrival: 7, split_time: 7 }.event_time()
    }

    #[test]
    fn the_time_is_found_without_reading_the_rest() {
        for (line, time) in [
            (r#"{"meter_id":"m","time":1700000000000,"kwh_measure":1.5}"#, 1_700_000_000_000),
            (r#"{"Time": 1700000000000 ,"DeviceID":"x"}"#, 1_700_000_000_000),
            (r#"{"TIME" : "1700000000000"}"#, 1_700_000_000_000),
            (r#"{"timeunit":"SECONDS","time":1700000000}"#, 1_700_000_000_000),
            (r#"{"time":1700000000123456789,"timeUnit":"nanoseconds"}"#, 1_700_000_000_123),
            (r#"{"time":-1}"#, -1),
            (r#"{"note":"\"time\":5","time":6}"#, 6),
            (r#"{"note":"time","lifetime":5,"time":6}"#, 6),
        ] {
            assert_eq!(event_time(line), time, "{line}");
        }
    }

    #[test]
    fn without_a_time_no_watermark_moves() {
        for line in [
            "",
            "{}",
            r#"{"time":null}"#,
            r#"{"time":1.5}"#,
            r#"{"time":"#,
            r#"{"timeunit":"s"}"#,
            "ime\":5",
            "é\"ime\":5",
        ] {
            assert_eq!(event_time(line), NO_TIMESTAMP, "{line}");
        }
        assert_eq!(event_time(r#"{"time":9223372036854775807}"#), NO_TIMESTAMP, "beyond what a nanosecond clock holds");
    }
}
