//! How a value becomes a message: topic, key, value, headers, partition, time.

use std::sync::Arc;

use hurtig_engine::time::NO_TIMESTAMP;
use hurtig_operators::schema::{SchemaError, SerializationSchema};
use rdkafka::message::{Header, OwnedHeaders};

/// A message that is being made. One is used for all: it is cleared in between.
#[derive(Debug, Clone, Default)]
pub struct ProducerRecord {
    topic: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    /// The partition; `None`: the partitioner chooses (by the key's hash, as Java's clients do).
    pub partition: Option<i32>,
    /// Milliseconds since the epoch; `None`: the time when it is sent.
    pub timestamp: Option<i64>,
    spare: [Vec<u8>; 2],
}

impl ProducerRecord {
    /// Nothing is set any more. Buffers are kept.
    pub fn clear(&mut self) {
        self.topic.clear();
        self.headers.clear();
        (self.partition, self.timestamp) = (None, None);
        for (buffer, spare) in [&mut self.key, &mut self.value].into_iter().zip(&mut self.spare) {
            if let Some(mut taken) = buffer.take() {
                taken.clear();
                *spare = taken;
            }
        }
    }

    /// Where it goes.
    pub fn set_topic(&mut self, topic: &str) {
        self.topic.clear();
        self.topic.push_str(topic);
    }

    /// The key's bytes, to be appended to. A message whose key is never asked for has none.
    pub fn key_mut(&mut self) -> &mut Vec<u8> {
        let spare = &mut self.spare[0];
        self.key.get_or_insert_with(|| std::mem::take(spare))
    }

    /// The value's bytes, to be appended to. A message whose value is never asked for is a tombstone.
    pub fn value_mut(&mut self) -> &mut Vec<u8> {
        let spare = &mut self.spare[1];
        self.value.get_or_insert_with(|| std::mem::take(spare))
    }

    /// Adds a header. The same name may be there several times.
    pub fn header(&mut self, name: impl Into<String>, value: Option<&[u8]>) {
        self.headers.push((name.into(), value.map(<[u8]>::to_vec)));
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The key.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// The value.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    /// The headers.
    pub fn headers(&self) -> &[(String, Option<Vec<u8>>)] {
        &self.headers
    }

    /// What dead letters keep of it.
    pub(super) fn raw(&self) -> &[u8] {
        self.value().or(self.key()).unwrap_or_default()
    }
}

/// Headers as librdkafka takes them.
pub(super) fn owned_headers<'a>(
    headers: impl ExactSizeIterator<Item = (&'a str, Option<&'a [u8]>)>,
) -> Option<OwnedHeaders> {
    if headers.len() == 0 {
        return None;
    }
    let all = OwnedHeaders::new_with_capacity(headers.len());
    Some(headers.fold(all, |all, (key, value)| all.insert(Header { key, value })))
}

/// Flink's `KafkaRecordSerializationSchema`.
pub trait KafkaRecordSerializationSchema<T>: Clone + Send + Sync + 'static {
    /// Fills `record`, which is clear. `timestamp` is the event time, if there is one. Refused:
    /// the value goes to the dead letters, with what was filled in until then.
    fn serialize(&mut self, value: &T, timestamp: Option<i64>, record: &mut ProducerRecord) -> Result<(), SchemaError>;

    /// The topics that are known beforehand: what they take is asked at the start.
    fn topics(&self) -> Vec<String> {
        Vec::new()
    }
}

type KeyOf<T> = Arc<dyn Fn(&T, &mut Vec<u8>) + Send + Sync>;
type TopicOf<T> = Arc<dyn Fn(&T) -> String + Send + Sync>;
type PartitionOf<T> = Arc<dyn Fn(&T) -> Option<i32> + Send + Sync>;
type TimeOf<T> = Arc<dyn Fn(&T) -> i64 + Send + Sync>;
type HeadersOf<T> = Arc<dyn Fn(&T, &mut ProducerRecord) + Send + Sync>;

/// Values by a [`SerializationSchema`], the rest by functions.
pub struct TopicSerializer<T, V> {
    topic: String,
    value: V,
    topic_of: Option<TopicOf<T>>,
    key_of: Option<KeyOf<T>>,
    partition_of: Option<PartitionOf<T>>,
    time_of: Option<TimeOf<T>>,
    headers_of: Option<HeadersOf<T>>,
}

impl<T, V: Clone> Clone for TopicSerializer<T, V> {
    fn clone(&self) -> Self {
        TopicSerializer {
            topic: self.topic.clone(),
            value: self.value.clone(),
            topic_of: self.topic_of.clone(),
            key_of: self.key_of.clone(),
            partition_of: self.partition_of.clone(),
            time_of: self.time_of.clone(),
            headers_of: self.headers_of.clone(),
        }
    }
}

impl<T, V: SerializationSchema<T>> TopicSerializer<T, V> {
    /// Messages to `topic` with the values that `schema` makes, without a key, at the event time.
    pub fn new(topic: impl Into<String>, schema: V) -> Self {
        TopicSerializer {
            topic: topic.into(),
            value: schema,
            topic_of: None,
            key_of: None,
            partition_of: None,
            time_of: None,
            headers_of: None,
        }
    }

    /// The topic of each value, instead of one for all.
    #[must_use]
    pub fn topic_of(mut self, topic: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        self.topic_of = Some(Arc::new(topic));
        self
    }

    /// Appends the key's bytes.
    #[must_use]
    pub fn key(mut self, key: impl Fn(&T, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
        self.key_of = Some(Arc::new(key));
        self
    }

    /// Chooses the partition; `None`: the partitioner does.
    #[must_use]
    pub fn partition(mut self, partition: impl Fn(&T) -> Option<i32> + Send + Sync + 'static) -> Self {
        self.partition_of = Some(Arc::new(partition));
        self
    }

    /// The message's time in milliseconds, instead of the event time.
    #[must_use]
    pub fn timestamp(mut self, time: impl Fn(&T) -> i64 + Send + Sync + 'static) -> Self {
        self.time_of = Some(Arc::new(time));
        self
    }

    /// Adds headers ([`ProducerRecord::header`]).
    #[must_use]
    pub fn headers(mut self, headers: impl Fn(&T, &mut ProducerRecord) + Send + Sync + 'static) -> Self {
        self.headers_of = Some(Arc::new(headers));
        self
    }
}

impl<T: 'static, V: SerializationSchema<T>> KafkaRecordSerializationSchema<T> for TopicSerializer<T, V> {
    fn serialize(&mut self, value: &T, timestamp: Option<i64>, record: &mut ProducerRecord) -> Result<(), SchemaError> {
        match &self.topic_of {
            Some(topic) => record.set_topic(&topic(value)),
            None => record.set_topic(&self.topic),
        }
        if let Some(key) = &self.key_of {
            key(value, record.key_mut());
        }
        record.partition = self.partition_of.as_ref().and_then(|p| p(value));
        // Kafka knows no time before the epoch.
        let time = self.time_of.as_ref().map(|t| t(value)).or(timestamp);
        record.timestamp = time.filter(|t| *t != NO_TIMESTAMP && *t > 0);
        if let Some(headers) = &self.headers_of {
            headers(value, record);
        }
        self.value.serialize(value, record.value_mut())
    }

    fn topics(&self) -> Vec<String> {
        if self.topic_of.is_some() { Vec::new() } else { vec![self.topic.clone()] }
    }
}
