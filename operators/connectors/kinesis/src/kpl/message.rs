//! The protobuf messages, as KPL's `messages.proto` has them.

use bytes::Bytes;

/// What stands between the magic number and the MD5.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AggregatedRecord {
    /// The members' partition keys, each once.
    #[prost(string, repeated, tag = "1")]
    pub partition_key_table: Vec<String>,
    /// The members' explicit hash keys, decimal, each once.
    #[prost(string, repeated, tag = "2")]
    pub explicit_hash_key_table: Vec<String>,
    /// The members, in the order in which they were added: a member's index is its
    /// sub-sequence number.
    #[prost(message, repeated, tag = "3")]
    pub records: Vec<Record>,
}

/// One member: its keys are indices into the tables.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Record {
    /// Into [`AggregatedRecord::partition_key_table`].
    #[prost(uint64, required, tag = "1")]
    pub partition_key_index: u64,
    /// Into [`AggregatedRecord::explicit_hash_key_table`].
    #[prost(uint64, optional, tag = "2")]
    pub explicit_hash_key_index: Option<u64>,
    /// The user's bytes.
    #[prost(bytes = "bytes", required, tag = "3")]
    pub data: Bytes,
    /// Part of the format; nobody writes or reads them.
    #[prost(message, repeated, tag = "4")]
    pub tags: Vec<Tag>,
}

/// A name and a value.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Tag {
    /// The name.
    #[prost(string, required, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

/// A member with its keys looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key that it was put with.
    pub partition_key: &'a str,
    /// The explicit hash key that it was put with.
    pub explicit_hash_key: Option<&'a str>,
    /// The user's bytes.
    pub data: &'a Bytes,
}

impl AggregatedRecord {
    /// Member number `index`; `None` when there is none, or when its key is not in the table.
    pub fn member(&self, index: usize) -> Option<Member<'_>> {
        let record = self.records.get(index)?;
        let look_up = |table: &'_ Vec<String>, i: u64| usize::try_from(i).ok().filter(|&i| i < table.len());
        let partition_key = &self.partition_key_table[look_up(&self.partition_key_table, record.partition_key_index)?];
        let explicit_hash_key = match record.explicit_hash_key_index {
            Some(i) => Some(&*self.explicit_hash_key_table[look_up(&self.explicit_hash_key_table, i)?]),
            None => None,
        };
        Some(Member { partition_key, explicit_hash_key, data: &record.data })
    }
}
