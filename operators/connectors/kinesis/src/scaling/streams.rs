//! The streams of a region.

use std::sync::Arc;

use aws_sdk_kinesis::Client;
use hurtig_aws::AwsConfig;

use super::{SampledLoad, Scaler, ScalingError};

/// Where a region's streams are reached.
#[derive(Debug, Clone)]
pub struct Streams {
    client: Client,
}

impl Streams {
    /// With this region, endpoint and these credentials.
    pub async fn connect(aws: &AwsConfig) -> Result<Self, ScalingError> {
        let sdk = aws.load().await.map_err(|e| ScalingError::Config(e.to_string()))?;
        Ok(Streams { client: Client::new(&sdk) })
    }

    /// The names of all streams.
    pub async fn names(&self) -> Result<Vec<String>, ScalingError> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let request = self.client.list_streams().set_exclusive_start_stream_name(names.last().cloned());
            let page = request.send().await.map_err(|e| ScalingError::Config(hurtig_aws::describe(&e)))?;
            let before = names.len();
            names.extend(page.stream_names().iter().cloned());
            if !page.has_more_streams() || names.len() == before {
                return Ok(names);
            }
        }
    }

    /// What scales a stream.
    pub fn scaler(&self, stream: impl Into<Arc<str>>) -> Scaler {
        Scaler::new(self.client.clone(), stream)
    }

    /// What measures a stream's load, over this interval.
    pub fn sampled_load(&self, stream: impl Into<Arc<str>>, interval: std::time::Duration) -> SampledLoad {
        SampledLoad::new(self.client.clone(), stream, interval)
    }
}
