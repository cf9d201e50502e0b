//! The load of a stream that others write to, by reading along at its end.
//!
//! CloudWatch's `IncomingBytes` would be the usual figure, a minute late and by the stream. This one is by the
//! shard and at once, and costs: one `GetRecords` a second and shard (of five), and the shard's bytes
//! out of the 2 MB/s that all its polling readers share. It sees what was taken, not what was refused: a shard
//! at its limit shows 100 %, so an autoscaler goes up in steps of 1 / target.

use std::{sync::Arc, time::Duration};

use aws_sdk_kinesis::{Client, types::ShardIteratorType};
use futures::future::try_join_all;
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
    state: Option<StreamState>,
}

const TICK: Duration = Duration::from_secs(1);

impl SampledLoad {
    /// Every load is measured over `interval`, which asking for it takes; at least a second.
    pub fn new(client: Client, stream: impl Into<Arc<str>>, interval: Duration) -> Self {
        let stream = stream.into();
        let scaler = Scaler::new(client.clone(), stream.clone());
        let interval = interval.max(TICK);
        SampledLoad { client, scaler, stream, interval, state: None }
    }

    /// The stream as it was when the last load was measured.
    pub fn state(&self) -> Option<&StreamState> {
        self.state.as_ref()
    }

    /// The place behind a shard's newest record.
    async fn begin(&self, shard: &ShardInfo) -> Result<Watched, ScalingError> {
        let mut watched = Watched::default();
        self.take_iterator(shard, &mut watched).await?;
        Ok(watched)
    }

    async fn take_iterator(&self, shard: &ShardInfo, watched: &mut Watched) -> Result<(), ScalingError> {
        let (name, arn) = name_or_arn(&self.stream);
        let request = self.client.get_shard_iterator().set_stream_name(name).set_stream_arn(arn).shard_id(&*shard.id);
        let request = request.shard_iterator_type(ShardIteratorType::Latest).customize();
        let answer = request.config_override(once()).send().await.map_err(|e| self.scaler.refused(&e))?;
        watched.iterator = answer.shard_iterator().map(|iterator| (iterator.to_owned(), Instant::now()));
        Ok(())
    }

    /// Adds what has come to a shard since the last look.
    async fn look(&self, shard: &ShardInfo, mut watched: Watched) -> Result<Watched, ScalingError> {
        let Some((iterator, since)) = watched.iterator.take() else {
            self.take_iterator(shard, &mut watched).await?;
            return Ok(watched);
        };
        let (_, arn) = name_or_arn(&self.stream);
        let now = Instant::now();
        // Its own retries would use up the reads that its other readers wait for.
        let request = self.client.get_records().set_stream_arn(arn).shard_iterator(&iterator).customize();
        match request.config_override(once()).send().await {
            Ok(page) => {
                let size = |r: &aws_sdk_kinesis::types::Record| {
                    r.data().as_ref().len() + r.partition_key().map_or(0, str::len)
                };
                watched.bytes += page.records().iter().map(size).sum::<usize>();
                watched.records += page.records().len();
                watched.time += now - since;
                watched.iterator = page.next_shard_iterator().map(|next| (next.to_owned(), now));
            }
            // Its other readers have used up the reads: the next look sees these records too.
            Err(e) if e.as_service_error().is_some_and(|e| e.is_provisioned_throughput_exceeded_exception()) => {
                watched.iterator = Some((iterator, since));
            }
            Err(e) if e.as_service_error().is_some_and(|e| e.is_expired_iterator_exception()) => {}
            Err(e) => return Err(self.scaler.refused(&e)),
        }
        Ok(watched)
    }
}

/// A shard that is read along. Its time is its own: with many shards, or a service that is slow, some are begun
/// long after others.
#[derive(Debug, Default)]
struct Watched {
    /// Where to read on, and since when records behind it have come.
    iterator: Option<(String, Instant)>,
    bytes: usize,
    records: usize,
    time: Duration,
}

impl LoadSource for SampledLoad {
    async fn load(&mut self) -> Result<Vec<ShardLoad>, ScalingError> {
        let state = self.scaler.state().await?;
        let open = state.open();
        self.state = Some(state);
        // Anew every time: what came between two measurements is passed over, a backlog is no load.
        let mut watched = try_join_all(open.iter().map(|shard| self.begin(shard))).await?;
        let begin = Instant::now();
        for tick in 1.. {
            sleep_until(begin + TICK * tick).await;
            let last = begin.elapsed() >= self.interval;
            watched = try_join_all(open.iter().zip(watched).map(|(shard, w)| self.look(shard, w))).await?;
            if last {
                break;
            }
        }
        // Nothing seen is not nothing there: a busy stream's other readers leave no reads when it matters.
        if let Some((shard, _)) = open.iter().zip(&watched).find(|(_, w)| w.time.is_zero()) {
            let reason =
                format!("shard {} could not be read for {:?}: its readers leave no room", shard.id, self.interval);
            return Err(ScalingError::Service { stream: self.stream.to_string(), reason });
        }
        let load = |(shard, w): (ShardInfo, Watched)| {
            let seconds = w.time.as_secs_f64().max(1e-3);
            ShardLoad {
                id: shard.id,
                range: shard.range,
                bytes_per_second: w.bytes as f64 / seconds,
                records_per_second: w.records as f64 / seconds,
                throttled_per_second: 0.0,
            }
        };
        Ok(open.into_iter().zip(watched).map(load).collect())
    }
}
