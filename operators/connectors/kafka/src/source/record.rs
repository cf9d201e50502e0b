//! A message of a topic, and how it becomes values.

use hurtig_engine::record::Data;
use hurtig_operators::schema::{DeserializationSchema, SchemaError};
use rdkafka::message::{BorrowedHeaders, Headers as _};

/// One message as it was read (Flink's `ConsumerRecord`).
#[derive(Debug, Clone, Copy)]
pub struct KafkaRecord<'a> {
    /// Where it was read.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time in milliseconds since the epoch, and whose clock it was.
    pub timestamp: Option<(i64, TimestampType)>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None`: a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, in their order.
    pub headers: Headers<'a>,
}

/// Whose clock a message's timestamp is from (the topic's `message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, when it was appended.
    LogAppendTime,
}

/// A message's headers: names may be there several times.
#[derive(Clone, Copy)]
pub struct Headers<'a>(Kind<'a>);

#[derive(Clone, Copy)]
enum Kind<'a> {
    Borrowed(&'a BorrowedHeaders),
    Slice(&'a [(String, Option<Vec<u8>>)]),
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const NONE: Headers<'static> = Headers(Kind::Slice(&[]));

    /// These headers.
    pub fn new(headers: &'a [(String, Option<Vec<u8>>)]) -> Self {
        Headers(Kind::Slice(headers))
    }

    pub(super) fn borrowed(headers: Option<&'a BorrowedHeaders>) -> Self {
        headers.map_or(Headers(Kind::Slice(&[])), |h| Headers(Kind::Borrowed(h)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Kind::Borrowed(h) => h.count(),
            Kind::Slice(h) => h.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them: name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let all = *self;
        (0..self.len()).map(move |i| match all.0 {
            Kind::Borrowed(h) => {
                let header = h.get(i);
                (header.key, header.value)
            }
            Kind::Slice(h) => (h[i].0.as_str(), h[i].1.as_deref()),
        })
    }

    /// The value of the last header of this name, as Kafka's `lastHeader`.
    pub fn last(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().filter(|(n, _)| *n == name).last().and_then(|(_, value)| value)
    }
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Flink's `KafkaRecordDeserializationSchema`: a message with its key, headers and place becomes values.
pub trait KafkaDeserializationSchema: Clone + Send + Sync + 'static {
    /// What a message holds.
    type Item: Data;

    /// Appends what the message holds to `out`. Refused: the message's value (of a tombstone the key) goes to the
    /// dead letters, and what was appended is taken off again.
    fn deserialize(&mut self, record: &KafkaRecord<'_>, out: &mut Vec<Self::Item>) -> Result<(), SchemaError>;
}

/// What becomes of a message without a value where only values are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tombstones {
    /// It is a dead letter.
    #[default]
    DeadLetter,
    /// It is passed over: in a compacted topic that says "deleted", and nothing else.
    Ignore,
}

/// Messages whose value is all that counts (Flink's `valueOnly`).
#[derive(Debug, Clone)]
pub struct ValueOnly<D> {
    schema: D,
    tombstones: Tombstones,
}

impl<D> ValueOnly<D> {
    /// Values as `schema` reads them.
    pub fn new(schema: D, tombstones: Tombstones) -> Self {
        ValueOnly { schema, tombstones }
    }
}

impl<D: DeserializationSchema> KafkaDeserializationSchema for ValueOnly<D> {
    type Item = D::Item;

    fn deserialize(&mut self, record: &KafkaRecord<'_>, out: &mut Vec<D::Item>) -> Result<(), SchemaError> {
        match (record.value, self.tombstones) {
            (Some(value), _) => self.schema.deserialize(value, out),
            (None, Tombstones::Ignore) => Ok(()),
            (None, Tombstones::DeadLetter) => Err("a tombstone: the message has a key, but no value".into()),
        }
    }
}
