//! What a job gets of a record, and what makes values of it.

use hurtig_engine::record::Data;
use hurtig_operators::schema::{DeserializationSchema, SchemaError};

/// A user record with all that Kinesis knows of it.
#[derive(Debug, Clone, Copy)]
pub struct KinesisRecord<'a> {
    /// The user's bytes.
    pub data: &'a [u8],
    /// The key that it was put with.
    pub partition_key: &'a str,
    /// The explicit hash key. Only a member of an aggregate tells; Kinesis does not give a plain
    /// record's back.
    pub explicit_hash_key: Option<&'a str>,
    /// The stream record's number, rising in its shard.
    pub sequence_number: &'a str,
    /// The place in the aggregate, from 0; 0 in a plain record. Together with `shard_id` and
    /// `sequence_number` this names a user record.
    pub sub_sequence_number: u64,
    /// The shard that it was read from.
    pub shard_id: &'a str,
    /// The stream's name.
    pub stream: &'a str,
    /// When Kinesis took it, in milliseconds since the epoch.
    pub approximate_arrival_timestamp: i64,
    /// Whether it was a member of a KPL aggregate.
    pub aggregated: bool,
}

/// Flink's `KinesisDeserializationSchema`: a record with its metadata becomes values.
pub trait KinesisDeserializationSchema: Clone + Send + Sync + 'static {
    /// What a record holds.
    type Item: Data;

    /// Appends what `record` holds to `out`: none, one or many values. After an `Err` nothing was appended.
    fn deserialize(&mut self, record: &KinesisRecord<'_>, out: &mut Vec<Self::Item>) -> Result<(), SchemaError>;
}

/// Reads the data alone, by a [`DeserializationSchema`].
#[derive(Debug, Clone)]
pub struct DataOnly<S>(pub S);

impl<S: DeserializationSchema> KinesisDeserializationSchema for DataOnly<S> {
    type Item = S::Item;

    fn deserialize(&mut self, record: &KinesisRecord<'_>, out: &mut Vec<S::Item>) -> Result<(), SchemaError> {
        self.0.deserialize(record.data, out)
    }
}

/// Reads by a function from record to value. A record for which it gives a reason goes to the dead letters.
#[derive(Clone)]
pub struct RecordFn<F>(pub F);

impl<T: Data, F> KinesisDeserializationSchema for RecordFn<F>
where
    F: Fn(&KinesisRecord<'_>) -> Result<T, String> + Clone + Send + Sync + 'static,
{
    type Item = T;

    fn deserialize(&mut self, record: &KinesisRecord<'_>, out: &mut Vec<T>) -> Result<(), SchemaError> {
        out.push((self.0)(record)?);
        Ok(())
    }
}
