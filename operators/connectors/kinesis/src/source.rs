//! Reads a stream while it is split and merged, with exactly the records there are.
//!
//! ```no_run
//! use hurtig_kinesis::source::{InitialPosition, KinesisSource};
//! use hurtig_operators::schema::TextFormat;
//!
//! let readings = KinesisSource::new("meters", TextFormat).initial_position(InitialPosition::TrimHorizon);
//! ```
//!
//! Every shard is a split. The [enumerator](KinesisEnumerator) lists the shards and gives each to
//! a reader once all of its parents were read to the end ([`tracker::ShardTracker`]), so that a
//! key's records keep their order over a reshard. The [reader](KinesisReader) has one task per
//! shard that fetches into a bounded queue, by GetRecords or by enhanced fan-out, and emits from
//! the shard that is furthest behind in event time. KPL aggregates are taken apart. A position
//! is a sequence number and, within an aggregate, a sub-sequence number.
//!
//! A record's origin is its shard and its approximate arrival in milliseconds: an `AT_TIMESTAMP`
//! iterator finds it again. A dead letter's reason also names the exact sequence number.

mod builder;
mod client;
mod consumer;
mod discovery;
mod enumerator;
mod fan_out;
mod fetch;
mod metrics;
pub mod missing;
mod options;
pub mod pace;
mod polling;
pub mod queue;
mod reader;
mod record;
mod split;
pub mod tracker;
pub mod unpack;

pub use builder::KinesisSource;
pub use enumerator::KinesisEnumerator;
pub use options::{EfoConsumer, InitialPosition, ReaderType};
pub use reader::KinesisReader;
pub use record::{DataOnly, KinesisDeserializationSchema, KinesisRecord, RecordFn};
pub use split::{KinesisSplit, Position};
pub use unpack::OutOfRange;

pub use crate::service::{Failure, Shard};
