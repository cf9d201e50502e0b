//! The stream itself, past the proxy.

use std::{collections::HashSet, time::Duration};

use anyhow::{Result, bail};
use aws_sdk_kinesis::{Client, types::ShardIteratorType};
use hurtig_kinesis::{
    scaling::{Scaler, covers_everything},
    sink::dedup_key_of,
};
use tokio::runtime::Runtime;

use super::writers::{Written, meter};
use crate::servers::aws_config;

/// What it is called.
pub const NAME: &str = "readings";

/// A stream on a local server.
pub struct Stream {
    runtime: Runtime,
    client: Client,
    scaler: Scaler,
}

/// What is on it.
pub struct Read {
    /// Records that were there before.
    pub twice: u64,
}

impl Stream {
    /// A new one.
    pub fn create(endpoint: &str, shards: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let client = Client::new(&runtime.block_on(aws_config(endpoint).load())?);
        let scaler = Scaler::new(client.clone(), NAME);
        runtime.block_on(async {
            client.create_stream().stream_name(NAME).shard_count(i32::try_from(shards)?).send().await?;
            while scaler.state().await?.status != "ACTIVE" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        })?;
        Ok(Stream { runtime, client, scaler })
    }

    /// How many shards are open.
    pub fn shards(&self) -> Result<usize> {
        Ok(self.runtime.block_on(self.scaler.state())?.open().len())
    }

    /// Reads all of it: what was written, each record once after its deduplication key.
    pub fn read(&self, written: &Written) -> Result<Read> {
        // The command may have been interrupted in the middle of a change.
        let mut state = self.runtime.block_on(self.scaler.state())?;
        while state.status != "ACTIVE" {
            std::thread::sleep(Duration::from_millis(50));
            state = self.runtime.block_on(self.scaler.state())?;
        }
        if !covers_everything(&state.ranges()) {
            bail!("the open shards do not cover all hash keys");
        }
        let (mut seen, mut twice) = (HashSet::new(), 0);
        for shard in &state.shards {
            self.runtime.block_on(self.read_shard(&shard.id, |partition_key, data| {
                let text = std::str::from_utf8(data)?.trim_end();
                let n: u64 = text.parse()?;
                if dedup_key_of(partition_key) != (&*meter(n), Some(text)) {
                    bail!("record {n} has the key '{partition_key}'");
                }
                if !written.has(n) {
                    bail!("nobody has written {n}");
                }
                twice += u64::from(!seen.insert(n));
                Ok(())
            }))?;
        }
        match written.count() - seen.len() as u64 {
            0 => Ok(Read { twice }),
            missing => bail!("{missing} of {} records are not on the stream", written.count()),
        }
    }

    async fn read_shard(&self, shard: &str, mut see: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        let iterator = self.client.get_shard_iterator().stream_name(NAME).shard_id(shard);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?;
        let (mut next, mut empty) = (iterator.shard_iterator, 0);
        // Nobody writes any more; the local servers give all there is.
        while let Some(iterator) = next
            && empty < 3
        {
            let page = self.client.get_records().shard_iterator(iterator).send().await?;
            empty = if page.records().is_empty() { empty + 1 } else { 0 };
            for record in page.records() {
                see(record.partition_key().unwrap_or_default(), record.data().as_ref())?;
            }
            next = page.next_shard_iterator;
        }
        Ok(())
    }
}
