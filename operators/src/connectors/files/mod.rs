//! Files as a source: JSON lines, CSV or lines of your own, plain or gzip, one file or thousands.
//!
//! Every file is a split. All splits are given out at the start, and a reader moves its files
//! forward *together in event time*: it always reads a slice of the one whose watermark is
//! lowest. A plain file's position is a byte offset (a restore seeks), a gzip file's a record
//! number (a restore reads again and skips). What cannot be read goes to the dead letters with
//! its raw bytes, its place and the reason.
//!
//! ```
//! use hurtig_operators::connectors::files::FileSource;
//!
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct Reading {
//!     meter_id: String,
//!     kwh: f64,
//! }
//!
//! // A directory, a file, or a pattern such as "readings/2024-*/part-*.json.gz".
//! let source = FileSource::new("readings").json_lines::<Reading>();
//! # let _ = source;
//! ```
//!
//! The seven real meters of the demo, with the meter's id taken from the file's name:
//!
//! ```
//! use hurtig_operators::connectors::files::{CsvOptions, CsvRow, FileSource};
//!
//! let options = CsvOptions { time: Some("start".into()), value: Some("value".into()), ..CsvOptions::default() };
//! let source = FileSource::new("meters").csv(options, |row: &CsvRow<'_>| {
//!     Ok((row.meter()?.to_owned(), row.time()?, row.value()?))
//! });
//! # let _ = source;
//! ```

mod csv;
mod decoder;
mod discovery;
mod enumerator;
mod input;
pub(crate) mod json_lane;
mod lines;
mod reader;
mod row;
mod source;
mod split;
mod split_reader;
#[cfg(test)]
mod tests;
mod timestamp;
mod window;

pub use csv::{CsvColumns, CsvDecoder, CsvFormat, CsvOptions, Meter};
pub use decoder::{Chunk, Cursor, Decoder, Format, Progress};
pub use enumerator::FileEnumerator;
pub use lines::{Deserializer, JsonLines, LineDecoder, LineFormat, LineMeta};
pub use reader::FileReader;
pub use row::CsvRow;
pub use source::{FileSource, Files};
pub use split::FileSplit;
pub use timestamp::TimeParser;
