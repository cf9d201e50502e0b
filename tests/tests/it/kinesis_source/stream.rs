//! A stream on a local server, and what is put into it.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_kinesis::{
    Client,
    primitives::Blob,
    types::{PutRecordsRequestEntry, Shard},
};
use hurtig_kinesis::kpl::{AggregatedRecord, Record, encode, hash_key};
use hurtig_tests::servers::aws_config;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

pub const STREAM: &str = "meters";

/// What a job makes of a reading: whether it came right after the one before of its meter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reading {
    pub meter: String,
    pub n: u32,
    pub in_order: bool,
}

/// A stream, and how many readings of each meter were put into it.
pub struct Stream {
    pub runtime: Runtime,
    pub client: Client,
    pub put: BTreeMap<String, u32>,
}

impl Stream {
    pub fn create(endpoint: &str, shards: i32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client =
            runtime.block_on(async { Client::new(&aws_config(endpoint).load().await.expect("a configuration")) });
        let stream = Stream { runtime, client, put: BTreeMap::new() };
        let create = stream.client.create_stream().stream_name(STREAM).shard_count(shards);
        stream.runtime.block_on(create.send()).expect("a stream");
        stream.until_active();
        stream
    }

    fn until_active(&self) {
        loop {
            let described = self.client.describe_stream_summary().stream_name(STREAM);
            let described = self.runtime.block_on(described.send()).expect("a description");
            if described.stream_description_summary().expect("a summary").stream_status().as_str() == "ACTIVE" {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn open_shards(&self) -> Vec<Shard> {
        let listed = self.runtime.block_on(self.client.list_shards().stream_name(STREAM).send()).expect("shards");
        let open = |s: &&Shard| s.sequence_number_range().is_some_and(|r| r.ending_sequence_number().is_none());
        let mut open: Vec<_> = listed.shards().iter().filter(open).cloned().collect();
        open.sort_by_key(|s| range(s).0);
        open
    }

    pub fn arn(&self) -> String {
        let described = self.client.describe_stream_summary().stream_name(STREAM);
        let described = self.runtime.block_on(described.send()).expect("a description");
        described.stream_description_summary().expect("a summary").stream_arn().to_owned()
    }

    /// Splits the `n`th open shard in the middle.
    pub fn split(&self, n: usize) {
        let shard = &self.open_shards()[n];
        let (first, last) = range(shard);
        let middle = first + (last - first) / 2;
        let split = self.client.split_shard().stream_name(STREAM).shard_to_split(shard.shard_id());
        self.runtime.block_on(split.new_starting_hash_key(middle.to_string()).send()).expect("a split");
        self.until_active();
    }

    /// Merges the `n`th open shard with the next.
    pub fn merge(&self, n: usize) {
        let open = self.open_shards();
        let merge = self.client.merge_shards().stream_name(STREAM).shard_to_merge(open[n].shard_id());
        self.runtime.block_on(merge.adjacent_shard_to_merge(open[n + 1].shard_id()).send()).expect("a merge");
        self.until_active();
    }

    /// Puts the next `each` readings of every meter: aggregates whose members lie in one shard, and
    /// every meter's first as a record of its own.
    pub fn put(&mut self, meters: usize, each: u32) {
        let open = self.open_shards();
        let mut entries = Vec::new();
        let mut packed: BTreeMap<usize, AggregatedRecord> = BTreeMap::new();
        for meter in (0..meters).map(|m| format!("meter-{m}")) {
            let key = hash_key(&meter, None);
            let shard = open.iter().position(|s| (range(s).0..=range(s).1).contains(&key)).expect("a shard");
            let count = self.put.entry(meter.clone()).or_insert(0);
            entries.push(entry(&meter, None, format!("{meter} {count}").into_bytes()));
            let aggregate = packed.entry(shard).or_default();
            aggregate.partition_key_table.push(meter.clone());
            let partition_key_index = aggregate.partition_key_table.len() as u64 - 1;
            aggregate.records.extend((1..each).map(|i| Record {
                partition_key_index,
                explicit_hash_key_index: None,
                data: format!("{meter} {}", *count + i).into(),
                tags: Vec::new(),
            }));
            *count += each;
        }
        for (shard, aggregate) in packed {
            entries.push(entry("aggregate", Some(range(&open[shard]).0), encode(&aggregate)));
        }
        self.put_entries(&entries);
    }

    /// Puts these as they are.
    pub fn put_entries(&self, entries: &[PutRecordsRequestEntry]) {
        for entries in entries.chunks(400) {
            let put = self.client.put_records().stream_name(STREAM).set_records(Some(entries.to_vec()));
            let put = self.runtime.block_on(put.send()).expect("an answer");
            assert_eq!(put.failed_record_count(), Some(0));
        }
    }

    pub fn readings(&self) -> u64 {
        self.put.values().map(|&n| u64::from(n)).sum()
    }

    /// Everything once, in each meter's order.
    pub fn expected(&self) -> Vec<Reading> {
        let readings = |(meter, &count): (&String, &u32)| {
            (0..count).map(|n| Reading { meter: meter.clone(), n, in_order: true }).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.put.iter().flat_map(readings).collect();
        all.sort();
        all
    }
}

fn range(shard: &Shard) -> (u128, u128) {
    let range = shard.hash_key_range().expect("a range");
    (range.starting_hash_key().parse().expect("a key"), range.ending_hash_key().parse().expect("a key"))
}

pub fn entry(key: &str, hash_key: Option<u128>, data: Vec<u8>) -> PutRecordsRequestEntry {
    let entry = PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data));
    entry.set_explicit_hash_key(hash_key.map(|k| k.to_string())).build().expect("all of it")
}
