//! Writing topics: straight to the broker, or by epochs that are published when their checkpoint is complete.

mod builder;
mod chunk;
mod committer;
mod delivery;
mod direct;
mod epoch;
mod handed_over;
mod limits;
mod pace;
mod published;
mod refusals;
mod serializer;
mod standstill;
mod token;
mod writer;

pub use builder::{DeliveryGuarantee, KafkaSink, KafkaSinkBuilder};
pub use chunk::{Chunk, ChunkHeader, StoredRecord};
pub use committer::KafkaCommitter;
pub use pace::EpochPace;
pub use published::Published;
pub use serializer::{KafkaRecordSerializationSchema, ProducerRecord, TopicSerializer};
pub use writer::KafkaWriter;
