//! Apache Kafka: hurtig's source and sink.
//!
//! [`KafkaSource`] reads partitions without a consumer group's assignment: the enumerator lists them and gives
//! them to the readers, offsets are in the checkpoint, and a group is only told of them for whoever watches it.
//! [`KafkaSink`] writes with one of three [`DeliveryGuarantee`]s; exactly once survives a crash between a
//! checkpoint and its commit, because the epoch's records are in the checkpoint itself.
//!
//! ```
//! use hurtig_kafka::{DeliveryGuarantee, KafkaSink, KafkaSource, OffsetsInitializer, TopicSerializer};
//! use hurtig_operators::schema::JsonFormat;
//!
//! let source = KafkaSource::builder()
//!     .bootstrap_servers("127.0.0.1:9092")
//!     .topics(["readings"])
//!     .group_id("dashboards")
//!     .starting_offsets(OffsetsInitializer::committed_or(OffsetsInitializer::Earliest))
//!     .value_only(JsonFormat::<(String, f64)>::new())
//!     .build()?;
//! let sink = KafkaSink::builder()
//!     .bootstrap_servers("127.0.0.1:9092")
//!     .delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
//!     .record_serializer(
//!         TopicSerializer::new("totals", JsonFormat::<(String, f64)>::new()).key(|v, key| key.extend(v.0.as_bytes())),
//!     )
//!     .build()?;
//! # let _ = (source, sink);
//! # Ok::<(), hurtig_engine::Error>(())
//! ```
//!
//! librdkafka does the talking; what it takes as options (SASL, TLS, compression, …) is passed through by
//! `property`.

mod client;
mod properties;
mod reach;
mod sink;
mod source;

pub use properties::Properties;
pub use sink::{
    Chunk, ChunkHeader, DeliveryGuarantee, EpochPace, KafkaCommitter, KafkaRecordSerializationSchema, KafkaSink,
    KafkaSinkBuilder, KafkaWriter, ProducerRecord, Published, StoredRecord, TopicSerializer,
};
pub use source::{
    Headers, KafkaDeserializationSchema, KafkaReader, KafkaRecord, KafkaSource, KafkaSourceBuilder, KafkaSplit,
    OffsetOutOfRange, OffsetsInitializer, TimestampType, Tombstones, ValueOnly, split_owner,
};

/// The examples of the page compile.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/connectors/kafka.md")]
struct Page;
