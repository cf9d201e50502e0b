//! The load of a stream that others write to, by reading along at its end.
//!
//! CloudWatch's `IncomingBytes` would be the usual figure, a minute late and by the stream. This one is by the
//! shard and at once, and costs: one `GetRecords` a second and shard (of five), and the shard's bytes
//! out of the 2 MB/s that all its polling readers share. It sees what was taken, not what was refused: a shard
//! at its limit shows 100 %, so an autoscaler goes up in steps of 1 / target.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_kinesis::{Client, types::ShardIteratorType};
use tokio::time::{Instant, sleep_until};

use super::{LoadSource, Scaler, ScalingError, ShardLoad, StreamState};
use crate::{
    service::name_or_arn,
    sink::{shard_map::ShardInfo, transport::once},
};

/// Reads along.
#[derive(Debug)]
pub struct SampledLoad {
    client: Client,
    scaler: Scaler,
    stream: Arc<str>,
    interval: Duration,
    iterators: HashMap<Arc<str>, String>,
    state: Option<StreamState>,
}

const TICK: Duration = Duration::from_secs(1);

impl SampledLoad {
    /// Every load is measured over `interval`, which asking for it takes; at least a second.
    pub fn new(client: Client, stream: impl Into<Arc<str>>, interval: Duration) -> Self {
        let stream = stream.into();
        let scaler = Scaler::new(client.clone(), stream.clone());
        let interval = interval.max(TICK);
        SampledLoad { client, scaler, stream, interval, iterators: HashMap::new(), state: None }
    }

    /// The stream as it was when the last load was measured.
    pub fn state(&self) -> Option<&StreamState> {
        self.state.as_ref()
    }

    /// Bytes and records that came to one shard since the last look.
    async fn look(&self, shard: &ShardInfo, iterator: Option<String>) -> Result<Look, ScalingError> {
        let (name, arn) = name_or_arn(&self.stream);
        let Some(iterator) = iterator else {
            let request =
                self.client.get_shard_iterator().set_stream_name(name).set_stream_arn(arn).shard_id(&*shard.id);
            let request = request.shard_iterator_type(ShardIteratorType::Latest).customize();
            let answer = request.config_override(once()).send().await;
            let answer = answer.map_err(|e| self.scaler.refused(&e))?;
            return Ok(Look { id: shard.id.clone(), next: answer.shard_iterator().map(str::to_owned), seen: (0, 0) });
        };
        // Its own retries would use up the reads that its other readers wait for.
        let request = self.client.get_records().set_stream_arn(arn).shard_iterator(&iterator).customize();
        match request.config_override(once()).send().await {
            Ok(page) => {
                let size = |r: &aws_sdk_kinesis::types::Record| {
                    r.data().as_ref().len() + r.partition_key().map_or(0, str::len)
                };
                let seen = (page.records().iter().map(size).sum(), page.records().len());
                Ok(Look { id: shard.id.clone(), next: page.next_shard_iterator().map(str::to_owned), seen })
            }
            // Its other readers have used up the reads: the next look sees these records too.
            Err(e) if e.as_service_error().is_some_and(|e| e.is_provisioned_throughput_exceeded_exception()) => {
                Ok(Look { id: shard.id.clone(), next: Some(iterator), seen: (0, 0) })
            }
            Err(e) if e.as_service_error().is_some_and(|e| e.is_expired_iterator_exception()) => {
                Ok(Look { id: shard.id.clone(), next: None, seen: (0, 0) })
            }
            Err(e) => Err(self.scaler.refused(&e)),
        }
    }
}

struct Look {
    id: Arc<str>,
    next: Option<String>,
    seen: (usize, usize),
}

impl LoadSource for SampledLoad {
    async fn load(&mut self) -> Result<Vec<ShardLoad>, ScalingError> {
        let state = self.scaler.state().await?;
        let open = state.open();
        self.state = Some(state);
        self.iterators.retain(|id, _| open.iter().any(|s| s.id == *id));
        let mut seen: HashMap<Arc<str>, (usize, usize)> = HashMap::new();
        // What came between two measurements is passed over: a backlog is no load.
        self.iterators.clear();
        // The first look only takes the place to read on from.
        let (begin, mut measured) = (Instant::now(), Duration::ZERO);
        let mut ticks = 0;
        while measured < self.interval {
            sleep_until(begin + TICK * ticks).await;
            ticks += 1;
            measured = begin.elapsed();
            let looks = open.iter().map(|shard| self.look(shard, self.iterators.get(&shard.id).cloned()));
            for look in futures::future::try_join_all(looks).await? {
                let total = seen.entry(look.id.clone()).or_default();
                *total = (total.0 + look.seen.0, total.1 + look.seen.1);
                match look.next {
                    Some(next) => drop(self.iterators.insert(look.id, next)),
                    None => drop(self.iterators.remove(&look.id)),
                }
            }
        }
        let seconds = measured.as_secs_f64().max(1e-3);
        let load = |s: ShardInfo| {
            let (bytes, records) = seen.get(&s.id).copied().unwrap_or_default();
            ShardLoad {
                id: s.id,
                range: s.range,
                bytes_per_second: bytes as f64 / seconds,
                records_per_second: records as f64 / seconds,
                throttled_per_second: 0.0,
            }
        };
        Ok(open.into_iter().map(load).collect())
    }
}
