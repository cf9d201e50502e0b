//! Reading topics: an enumerator that lists partitions, readers with a consumer each.

mod builder;
mod discovery;
mod enumerator;
mod offsets;
mod range;
mod reader;
mod record;
mod split;
mod tracked;

pub use builder::{KafkaSource, KafkaSourceBuilder};
pub use offsets::OffsetsInitializer;
pub use range::OffsetOutOfRange;
pub use reader::KafkaReader;
pub use record::{Headers, KafkaDeserializationSchema, KafkaRecord, TimestampType, Tombstones, ValueOnly};
pub use split::{KafkaSplit, split_owner};
