//! One run of a scheduled query: its rows become records of the target table, and what became of them is told.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    report::Errors,
    target::{Target, TargetConfiguration},
};
use crate::{
    limits,
    record::Record,
    store::Store,
    wire::{engine::QueryEngine, fault::Fault, request::seconds, write},
};

/// Records that are written at a time.
const RECORDS: usize = 1_000;
/// What Timestream counts for a query at least.
const BYTES_METERED: u64 = 10_000_000;
/// How long a run may take, as any query.
pub const LONGEST: Duration = Duration::from_secs(3_600);

/// Who has begun a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// The schedule.
    Auto,
    /// `ExecuteScheduledQuery`.
    Manual,
}

impl Trigger {
    /// As error reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Trigger::Auto => "Auto",
            Trigger::Manual => "Manual",
        }
    }

    fn status(self, is_success: bool) -> &'static str {
        match (self, is_success) {
            (Trigger::Auto, true) => "AUTO_TRIGGER_SUCCESS",
            (Trigger::Auto, false) => "AUTO_TRIGGER_FAILURE",
            (Trigger::Manual, true) => "MANUAL_TRIGGER_SUCCESS",
            (Trigger::Manual, false) => "MANUAL_TRIGGER_FAILURE",
        }
    }
}

/// `ScheduledQueryRunSummary`. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The time that the run is of.
    pub invocation: i64,
    /// When it began.
    pub triggered: i64,
    /// Who has begun it.
    pub trigger: Trigger,
    /// What it has done.
    pub stats: Stats,
    /// Bucket and key of its error report.
    pub report: Option<(String, String)>,
    /// Why it has failed, if it has.
    pub failure: Option<String>,
}

/// `ExecutionStats`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Stats {
    /// How long it took.
    pub execution_time_in_millis: i64,
    /// Bytes of the records that were written.
    pub data_writes: u64,
    /// Bytes that Timestream would charge.
    pub bytes_metered: u64,
    /// Bytes that were read.
    pub cumulative_bytes_scanned: u64,
    /// Records that were written.
    pub records_ingested: u64,
    /// Rows of the query's result.
    pub query_result_rows: u64,
}

impl RunSummary {
    /// How it has ended.
    pub fn status(&self) -> &'static str {
        self.trigger.status(self.failure.is_none())
    }

    /// As the wire has it.
    pub fn described(&self) -> Value {
        let mut out = json!({
            "InvocationTime": seconds(self.invocation),
            "TriggerTime": seconds(self.triggered),
            "RunStatus": self.status(),
            "ExecutionStats": self.stats,
        });
        if let Some((bucket, key)) = &self.report {
            out["ErrorReportLocation"] = json!({ "S3ReportLocation": { "BucketName": bucket, "ObjectKey": key } });
        }
        if let Some(failure) = &self.failure {
            out["FailureReason"] = failure.as_str().into();
        }
        out
    }
}

/// What a run does.
pub struct Run<'a> {
    /// Where it writes.
    pub store: &'a Store,
    /// What asks.
    pub engine: &'a dyn QueryEngine,
    /// What is asked.
    pub query: &'a str,
    /// Where the rows go.
    pub target: &'a TargetConfiguration,
    /// `@scheduled_runtime`, in milliseconds since 1970.
    pub invocation: i64,
    /// The records' version: a later run writes over what an earlier one has computed.
    pub version: u64,
}

impl Run<'_> {
    /// Asks, and writes what comes. What went wrong is in `errors`, and, when it ends the run, the result.
    pub async fn carry_out(&self, stats: &mut Stats, errors: &mut Errors) -> Result<(), Fault> {
        let mut running = self.engine.start_scheduled(self.query, self.invocation).await?;
        let configuration = &self.target.timestream_configuration;
        let target = Target::new(configuration, &running.columns)?;
        let mut seen = 0;
        while let Some(batch) = running.batches.next().await {
            let batch = batch?;
            stats.query_result_rows += batch.num_rows() as u64;
            seen += batch.get_array_memory_size() as u64;
            let scanned = running.bytes_scanned.as_ref().map_or(seen, |scanned| scanned.load(Relaxed));
            stats.cumulative_bytes_scanned = scanned;
            stats.bytes_metered = scanned.max(BYTES_METERED);
            let mapped = target.records(&batch, self.version);
            let mapped = mapped.map_err(|e| Fault::validation(format!("A row cannot be a record: {e}")))?;
            for (row, reason) in mapped.refused {
                errors.row(reason, &batch.slice(row, 1));
            }
            for records in mapped.records.chunks(RECORDS) {
                self.write(records, stats, errors).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, records: &[Record], stats: &mut Stats, errors: &mut Errors) -> Result<(), Fault> {
        let configuration = &self.target.timestream_configuration;
        let (database, table) = (&configuration.database_name, &configuration.table_name);
        let outcome = write::store_records(self.store, database, table, records.to_vec()).await?;
        let mut rejected = outcome.rejected.into_iter().peekable();
        for (index, record) in records.iter().enumerate() {
            match rejected.next_if(|rejected| rejected.index == index) {
                Some(rejected) => errors.record(rejected.reason, record),
                None => {
                    stats.records_ingested += 1;
                    stats.data_writes += limits::size(record) as u64;
                }
            }
        }
        Ok(())
    }
}
