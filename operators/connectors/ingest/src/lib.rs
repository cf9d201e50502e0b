//! Reactive ingestion: big files in byte ranges, only as fast as a stream takes them.
//!
//! - [`RangeSource`] finds files in a directory or in S3, by listing or by event, and cuts each into
//!   half-open byte ranges that are read in parallel. However a file is cut, its records are those
//!   of the whole file. Progress per file and range is in the checkpoint.
//! - [`Messages`] makes the messages of a stream of them; each has an id by which a reader can drop
//!   what comes twice.
//! - [`AggregateByKey`] packs the messages of one key together.
//! - [`Paced`] stands before any sink: a token bucket below the stream's limits, which gives way
//!   when live traffic needs the room ([`Pacer`]).
//!
//! ```
//! use hurtig_ingest::{FileRecord, FromFn, RangeSource};
//!
//! // Where each record begins.
//! let offsets = FromFn::new(|record: &FileRecord<'_>, out: &mut Vec<u64>| {
//!     out.push(record.offset());
//!     Ok(())
//! });
//! let source = RangeSource::new("readings/*.csv").schema(offsets);
//! # let _ = source;
//! ```

mod aggregate;
mod enumerator;
mod events;
mod fetch;
mod fields;
mod message;
mod options;
mod paced;
mod pacer;
mod plan;
mod progress;
mod range_reader;
mod reader;
mod scan;
mod schema;
mod search;
mod source;
mod split;
mod store;

pub use aggregate::{AggregateByKey, AggregateOperator};
pub use enumerator::RangeEnumerator;
pub use message::{Message, Messages, RECORD_ID, RowForm};
pub use options::{Format, RangeOptions};
pub use paced::{Paced, PacedWriter, Pacing};
pub use pacer::{Observation, Pacer, PacerFigures, PacerOptions, Rate};
pub use plan::range_size;
pub use progress::{IngestFigures, IngestProgress};
pub use reader::RangeSourceReader;
pub use schema::{Body, FileRecord, FileSchema, FromFn, Lines, RecordId};
pub use search::Discovery;
pub use source::{RangeSource, Ranges};
pub use split::{FileFormat, FileVersion, RangeSplit};
