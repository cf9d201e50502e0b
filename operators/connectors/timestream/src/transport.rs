//! The calls the sink makes.

use std::{future::Future, sync::Arc, time::Duration};

use aws_sdk_timestreamwrite::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
};
use hurtig_aws::SdkConfig;
use tokio::{sync::Notify, task::AbortHandle, time::timeout};

use crate::{common::factor_out, error::Error, failure::Failure, queue::Item, table::TableName};

/// `WriteRecords` of one table.
pub trait Transport: Send + Sync + 'static {
    /// Sends these in one request.
    fn write(&self, items: &[Item]) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The real one.
#[derive(Debug)]
pub struct TimestreamTransport {
    client: Client,
    table: TableName,
    discovery: Option<Discovery>,
}

/// A request that is not answered in this time is taken for lost.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The service says that an endpoint is good for a day; it is asked for earlier, as the SDKs do.
const REDISCOVER: Duration = Duration::from_secs(3_600);

impl TimestreamTransport {
    /// To this table. With `discovery` the endpoint is asked for first (`DescribeEndpoints`) and again every hour, or as
    /// soon as it is refused; it is always HTTPS then.
    pub async fn connect(sdk: &SdkConfig, table: TableName, discovery: bool) -> Result<Self, Error> {
        let config = aws_sdk_timestreamwrite::config::Builder::from(sdk)
            // The caller sees to them.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(REQUEST_TIMEOUT).build())
            .build();
        let client = Client::from_conf(config);
        if !discovery {
            return Ok(TimestreamTransport { client, table, discovery: None });
        }
        let failed = |reason: String| Error::Discovery { table: table.to_string(), reason };
        let discovered = timeout(REQUEST_TIMEOUT, client.with_endpoint_discovery_enabled()).await;
        let discovered = discovered.map_err(|_| failed(format!("no answer for {} s", REQUEST_TIMEOUT.as_secs())))?;
        let (client, reload) = discovered.map_err(|e| failed(words(&*e)))?;
        let again = Arc::new(Notify::new());
        let asked = again.clone();
        // The SDK's own loop looks once a minute whether the endpoint has expired, and cannot be told that it is refused.
        let task = tokio::spawn(async move {
            loop {
                let _ = timeout(REDISCOVER, asked.notified()).await;
                reload.reload_once().await;
            }
        });
        let discovery = Discovery { again, task: task.abort_handle() };
        Ok(TimestreamTransport { client, table, discovery: Some(discovery) })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

impl Transport for TimestreamTransport {
    async fn write(&self, items: &[Item]) -> Result<(), Failure> {
        let common = factor_out(items.iter().map(|item| &item.record));
        let request = self.client.write_records().database_name(&*self.table.database).table_name(&*self.table.table);
        let records = items.iter().map(|item| common.rest_of(&item.record)).collect();
        let request = request.set_common_attributes(common.to_sdk()).set_records(Some(records));
        let failure = match request.send().await {
            Ok(_) => return Ok(()),
            Err(e) => Failure::of_write(&e),
        };
        if let (Failure::Endpoint(_), Some(discovery)) = (&failure, &self.discovery) {
            discovery.again.notify_one();
        }
        Err(match failure {
            Failure::NotFound(reason) => {
                Failure::Final(Error::NoTable { table: self.table.to_string(), reason }.to_string())
            }
            Failure::Final(reason) => {
                let (table, operation) = (self.table.to_string(), "WriteRecords");
                Failure::Final(Error::Refused { table, operation, reason }.to_string())
            }
            other => other,
        })
    }
}

/// Ends with the transport.
#[derive(Debug)]
struct Discovery {
    again: Arc<Notify>,
    task: AbortHandle,
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An error and its causes in one line.
fn words(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let words = e.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = e.source();
    }
    text.replace(['\r', '\n'], " ")
}
