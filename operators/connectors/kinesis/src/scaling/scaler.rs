//! Carries out a change of the shards on a real stream.

use std::{sync::Arc, time::Duration};

use aws_sdk_kinesis::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{ScalingType, StreamMode, StreamStatus},
};

use super::{HashRange, ScalingError, Step, plan, update_counts};
use crate::{
    service::{Failure, list_shards, name_or_arn},
    sink::shard_map::ShardInfo,
};

/// What a stream says of itself.
#[derive(Debug, Clone)]
pub struct StreamState {
    /// The stream's name.
    pub name: String,
    /// `StreamStatus`: ACTIVE, UPDATING, …
    pub status: String,
    /// `StreamMode`: PROVISIONED or ON_DEMAND.
    pub mode: String,
    /// `RetentionPeriodHours`
    pub retention_hours: i32,
    /// All shards, open and closed.
    pub shards: Vec<ShardInfo>,
}

impl StreamState {
    /// The open shards by their ranges.
    pub fn open(&self) -> Vec<ShardInfo> {
        let mut open: Vec<_> = self.shards.iter().filter(|s| s.open).cloned().collect();
        open.sort_unstable_by_key(|s| s.range);
        open
    }

    /// Their ranges.
    pub fn ranges(&self) -> Vec<HashRange> {
        self.open().iter().map(|s| s.range).collect()
    }
}

/// What is said while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// `UpdateShardCount` to so many was accepted.
    Updating(usize),
    /// The server has no `UpdateShardCount`: so many splits and merges follow.
    Steps(usize),
    /// One of them is done; so many are left.
    Step(Step, usize),
}

/// Scales one stream.
#[derive(Debug, Clone)]
pub struct Scaler {
    client: Client,
    stream: Arc<str>,
    poll: Duration,
    patience: Duration,
}

impl Scaler {
    /// Over this client, a stream by its name or its ARN.
    pub fn new(client: Client, stream: impl Into<Arc<str>>) -> Self {
        let (poll, patience) = (Duration::from_millis(500), Duration::from_secs(600));
        Scaler { client, stream: stream.into(), poll, patience }
    }

    /// How often the stream is asked whether a step is done, and for how long; twice a second for ten
    /// minutes by default. (`DescribeStreamSummary` may be called 20 times a second and account.)
    #[must_use]
    pub fn poll_every(mut self, poll: Duration, patience: Duration) -> Self {
        (self.poll, self.patience) = (poll, patience);
        self
    }

    fn error(&self, reason: impl Into<String>) -> ScalingError {
        ScalingError::Service { stream: self.stream.to_string(), reason: reason.into() }
    }

    pub(super) fn refused<E>(&self, error: &SdkError<E>) -> ScalingError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        self.of_failure(Failure::of(error))
    }

    fn of_failure(&self, failure: Failure) -> ScalingError {
        match failure.of_a_stream() {
            (reason, true) => ScalingError::Refused { stream: self.stream.to_string(), reason },
            (reason, false) => self.error(reason),
        }
    }

    /// Status, mode and shards.
    pub async fn state(&self) -> Result<StreamState, ScalingError> {
        let (name, arn) = name_or_arn(&self.stream);
        let answer = self.client.describe_stream_summary().set_stream_name(name).set_stream_arn(arn).send().await;
        let answer = answer.map_err(|e| self.refused(&e))?;
        let summary = answer.stream_description_summary().ok_or_else(|| self.error("it was described by nothing"))?;
        let shards = list_shards(&self.client, &self.stream).await.map_err(|failure| self.of_failure(failure))?;
        Ok(StreamState {
            name: self.stream.to_string(),
            status: summary.stream_status().as_str().to_owned(),
            // A server without modes has provisioned streams.
            mode: summary
                .stream_mode_details()
                .map_or(StreamMode::Provisioned, |m| m.stream_mode().clone())
                .to_string(),
            retention_hours: summary.retention_period_hours(),
            shards: shards.into_iter().map(ShardInfo::from).collect(),
        })
    }

    /// Brings the stream to `count` shards of even ranges, and waits until it has them. By
    /// `UpdateShardCount`, in steps of at most twice and at least half, where the server has it; else
    /// shard by shard. Interrupted, it can be called again: it goes on from what there is.
    pub async fn scale_to(&self, count: usize, mut progress: impl FnMut(Progress)) -> Result<(), ScalingError> {
        let state = self.wait_until_active().await?;
        if state.mode == StreamMode::OnDemand.as_str() {
            let reason = "it is on-demand and scales itself; switch it to PROVISIONED to scale it by hand".to_owned();
            return Err(ScalingError::Refused { stream: self.stream.to_string(), reason });
        }
        let steps = plan(&state.ranges(), count)?;
        if steps.is_empty() || are_even(&state.ranges(), count) {
            return Ok(());
        }
        let mut counts = update_counts(state.open().len(), count);
        if counts.is_empty() {
            // As many, but uneven.
            counts.push(count);
        }
        for (i, step) in counts.into_iter().enumerate() {
            let target = i32::try_from(step).map_err(|_| self.error(format!("{step} shards are too many")))?;
            let request = self.client.update_shard_count().target_shard_count(target);
            let (name, arn) = name_or_arn(&self.stream);
            let request = request.set_stream_name(name).set_stream_arn(arn);
            match request.scaling_type(ScalingType::UniformScaling).send().await {
                Ok(_) => {
                    progress(Progress::Updating(step));
                    self.wait_for(step).await?;
                }
                Err(e) if i == 0 && is_unknown_operation(&e) => return self.carry_out(steps, progress).await,
                Err(e) if e.code() == Some("LimitExceededException") => {
                    let said = hurtig_aws::describe(&e);
                    let what = "a stream is scaled ten times in 24 hours at most, and within the account's shard limit";
                    return Err(self.error(format!("{said}: {what}")));
                }
                Err(e) => return Err(self.refused(&e)),
            }
        }
        Ok(())
    }

    /// Carries out steps one after the other; each waits until the stream is ACTIVE again.
    pub async fn carry_out(&self, steps: Vec<Step>, mut progress: impl FnMut(Progress)) -> Result<(), ScalingError> {
        progress(Progress::Steps(steps.len()));
        let mut left = steps.len();
        for step in steps {
            let open = self.wait_until_active().await?.open();
            let id = |range: HashRange| {
                let found = open.iter().find(|s| s.range == range).map(|s| s.id.to_string());
                found.ok_or_else(|| {
                    self.error(format!("cannot {step}: somebody else has changed its shards; try again"))
                })
            };
            let (name, arn) = name_or_arn(&self.stream);
            match step {
                Step::Split { shard, at } => {
                    let request = self.client.split_shard().set_stream_name(name).set_stream_arn(arn);
                    let request = request.shard_to_split(id(shard)?).new_starting_hash_key(at.to_string());
                    request.send().await.map_err(|e| self.refused(&e))?;
                }
                Step::Merge { lower, upper } => {
                    let request = self.client.merge_shards().set_stream_name(name).set_stream_arn(arn);
                    let request = request.shard_to_merge(id(lower)?).adjacent_shard_to_merge(id(upper)?);
                    request.send().await.map_err(|e| self.refused(&e))?;
                }
            }
            self.wait_until_active().await?;
            left -= 1;
            progress(Progress::Step(step, left));
        }
        Ok(())
    }

    async fn wait_for(&self, shards: usize) -> Result<StreamState, ScalingError> {
        self.wait(|state| state.open().len() == shards).await
    }

    async fn wait_until_active(&self) -> Result<StreamState, ScalingError> {
        self.wait(|state| super::covers_everything(&state.ranges())).await
    }

    async fn wait(&self, done: impl Fn(&StreamState) -> bool) -> Result<StreamState, ScalingError> {
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            let state = self.state().await?;
            if state.status == StreamStatus::Active.as_str() && done(&state) {
                return Ok(state);
            }
            if tokio::time::Instant::now() > deadline {
                let waited = self.patience.as_secs();
                let (status, open) = (&state.status, state.open().len());
                return Err(
                    self.error(format!("it is {status} with {open} open shards after {waited} s; try again later"))
                );
            }
            tokio::time::sleep(self.poll).await;
        }
    }
}

/// Servers round the bounds of even ranges as they like: that is no reason to reshard.
fn are_even(ranges: &[HashRange], count: usize) -> bool {
    let even = 1.0 / count.max(1) as f64;
    ranges.len() == count && ranges.iter().all(|r| (r.share() / even - 1.0).abs() < 1e-6)
}

fn is_unknown_operation<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("UnknownOperationException") || error.code() == Some("InvalidAction")
}
