//! A scheduled query as the store keeps it over a restart: what it is, and how its runs went.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{run::RunSummary, schedule::Schedule, target::TargetConfiguration};
use crate::{
    manifest::Manifest,
    wire::request::{required, seconds},
};

/// Failed runs that are remembered.
const FAILED_RUNS: usize = 5;
/// Under which names the store keeps them.
const PREFIX: &str = "scheduled-query/";

/// A scheduled query. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its text.
    pub query: String,
    /// `ScheduleExpression`
    pub schedule: String,
    /// When it was made.
    pub created: i64,
    /// Whether its schedule counts.
    pub is_enabled: bool,
    /// Up to here the schedule has been run, or has not to be.
    pub handled: i64,
    /// Where its rows go.
    pub target: TargetConfiguration,
    /// `NotificationConfiguration`: kept and shown, nobody is notified.
    pub notification: Value,
    /// `ScheduledQueryExecutionRoleArn`: kept and shown.
    pub role: String,
    /// `KmsKeyId`: kept and shown.
    pub kms_key: Option<String>,
    /// `ErrorReportConfiguration`
    pub error_report: ErrorReportConfiguration,
    /// What its maker has sent with it.
    pub client_token: Option<String>,
    /// The time that its last run was of.
    pub previous: Option<i64>,
    /// The last run.
    pub last_run: Option<RunSummary>,
    /// The last ones that have failed, the newest first.
    pub failed_runs: Vec<RunSummary>,
}

/// `ErrorReportConfiguration`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorReportConfiguration {
    /// Where reports go.
    pub s3_configuration: S3Configuration,
}

/// `S3Configuration`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct S3Configuration {
    /// The bucket.
    pub bucket_name: String,
    /// What keys begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_key_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encryption_option: Option<String>,
}

impl Kept {
    /// All that a store keeps, by the last parts of their names (ARNs), and the names of those that cannot be read.
    pub fn all(manifest: &Manifest) -> Vec<(String, Result<Self, serde_json::Error>)> {
        let all =
            manifest.others.range(PREFIX.to_owned()..).map_while(|(key, text)| Some((key.strip_prefix(PREFIX)?, text)));
        all.map(|(id, text)| (id.to_owned(), serde_json::from_str(text))).collect()
    }

    /// Whether a store keeps one of this name.
    pub fn is_there(manifest: &Manifest, id: &str) -> bool {
        manifest.others.contains_key(&format!("{PREFIX}{id}"))
    }

    /// Puts it into the manifest.
    pub fn put(&self, manifest: &mut Manifest, id: &str) {
        manifest.others.insert(format!("{PREFIX}{id}"), json!(self).to_string());
    }

    /// Takes it out of the manifest.
    pub fn remove(manifest: &mut Manifest, id: &str) {
        manifest.others.remove(&format!("{PREFIX}{id}"));
    }

    /// Takes down how a run went.
    pub fn record(&mut self, run: RunSummary) {
        self.previous = Some(run.invocation);
        if run.failure.is_some() {
            self.failed_runs.insert(0, run.clone());
            self.failed_runs.truncate(FAILED_RUNS);
        }
        self.last_run = Some(run);
    }

    /// When its schedule is next to be run.
    pub fn next(&self, schedule: &Schedule) -> Option<i64> {
        if self.is_enabled { schedule.next(self.handled) } else { None }
    }

    /// `ScheduledQuery`, as lists have it.
    pub fn listed(&self, arn: &str, schedule: &Schedule) -> Value {
        let target = &self.target.timestream_configuration;
        let mut out = json!({
            "Arn": arn,
            "Name": self.name,
            "CreationTime": seconds(self.created),
            "State": self.state(),
            "ErrorReportConfiguration": self.error_report,
            "TargetDestination": {
                "TimestreamDestination": { "DatabaseName": target.database_name, "TableName": target.table_name }
            },
        });
        self.add_times(&mut out, schedule);
        if let Some(run) = &self.last_run {
            out["LastRunStatus"] = run.status().into();
        }
        out
    }

    /// `ScheduledQueryDescription`
    pub fn described(&self, arn: &str, schedule: &Schedule) -> Value {
        let mut out = json!({
            "Arn": arn,
            "Name": self.name,
            "QueryString": self.query,
            "CreationTime": seconds(self.created),
            "State": self.state(),
            "ScheduleConfiguration": { "ScheduleExpression": self.schedule },
            "NotificationConfiguration": self.notification,
            "TargetConfiguration": self.target,
            "ScheduledQueryExecutionRoleArn": self.role,
            "ErrorReportConfiguration": self.error_report,
            "RecentlyFailedRuns": self.failed_runs.iter().map(RunSummary::described).collect::<Vec<_>>(),
        });
        self.add_times(&mut out, schedule);
        if let Some(key) = &self.kms_key {
            out["KmsKeyId"] = key.as_str().into();
        }
        if let Some(run) = &self.last_run {
            out["LastRunSummary"] = run.described();
        }
        out
    }

    fn add_times(&self, out: &mut Value, schedule: &Schedule) {
        if let Some(previous) = self.previous {
            out["PreviousInvocationTime"] = seconds(previous).into();
        }
        if let Some(next) = self.next(schedule) {
            out["NextInvocationTime"] = seconds(next).into();
        }
    }

    fn state(&self) -> &'static str {
        if self.is_enabled { "ENABLED" } else { "DISABLED" }
    }
}

/// `NotificationConfiguration`, which must name a topic.
pub fn check_notification(notification: &Value) -> Result<(), crate::wire::fault::Fault> {
    let topic = notification.pointer("/SnsConfiguration/TopicArn").and_then(Value::as_str);
    required(topic, "notificationConfiguration.snsConfiguration.topicArn").map(|_| ())
}
