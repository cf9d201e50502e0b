//! Scheduled queries: a query is run when its schedule says, and its rows become records of a table.
//!
//! What there is is kept in the store's manifest, so that it survives a restart. A time of the schedule counts as run when
//! its run has ended and that is on the disk: a run that a crash has cut off is begun again, and what was missed while no
//! server ran is made up for by one run, for the last time that was missed. Records have the moment of their run as
//! version, so that a later run replaces what an earlier one has written.

mod kept;
mod report;
mod run;
mod runner;
mod schedule;
mod target;

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, atomic::AtomicBool},
};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub use self::kept::Kept;
use self::{
    kept::{ErrorReportConfiguration, check_notification},
    schedule::Schedule,
    target::{Target, TargetConfiguration},
};
use super::{
    arn::{Arns, Resource},
    databases::with_token,
    engine::QueryEngine,
    fault::{Fault, Kind},
    ids::Ids,
    listing,
    query::query_string,
    request::{Text, in_range, length, parse, required},
    tags::{self, Tag},
};
use crate::{error::Error, store::Store, unload::UnloadPlace};

/// Of a list at most, and when nothing else is asked for.
const PAGE: usize = 1_000;
/// Scheduled queries of a store.
const QUERIES: usize = 10_000;
/// Runs that were asked for and have not begun.
const ASKED: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateScheduledQuery {
    name: Option<String>,
    query_string: Option<String>,
    schedule_configuration: Option<ScheduleConfiguration>,
    notification_configuration: Option<Value>,
    target_configuration: Option<TargetConfiguration>,
    client_token: Option<String>,
    scheduled_query_execution_role_arn: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    kms_key_id: Option<String>,
    error_report_configuration: Option<ErrorReportConfiguration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScheduleConfiguration {
    schedule_expression: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneScheduledQuery<'a> {
    #[serde(borrow)]
    scheduled_query_arn: Option<Text<'a>>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
    /// Seconds since 1970.
    invocation_time: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListScheduledQueries<'a> {
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    max_results: Option<i64>,
}

/// A run that was asked for: of which query, and of which time.
type Asked = (Arc<Entry>, i64);

/// All of them.
#[derive(Debug)]
pub struct ScheduledQueries {
    store: Store,
    engine: Arc<dyn QueryEngine>,
    arns: Arns,
    /// Where error reports may be written.
    reports: Option<UnloadPlace>,
    ids: Ids,
    /// By the last parts of their names (ARNs).
    all: Mutex<BTreeMap<String, Arc<Entry>>>,
    asked: mpsc::Sender<Asked>,
    /// Taken by who runs them.
    to_run: Mutex<Option<mpsc::Receiver<Asked>>>,
}

/// One of them.
#[derive(Debug)]
struct Entry {
    id: String,
    schedule: Schedule,
    kept: Mutex<Kept>,
    /// When it is next to be run, in milliseconds since 1970.
    next: Mutex<Option<i64>>,
    /// Whether the schedule has a run of it under way or waiting.
    is_due: AtomicBool,
    /// One run at a time.
    running: tokio::sync::Mutex<()>,
}

impl Entry {
    fn new(id: String, kept: Kept, schedule: Schedule) -> Arc<Self> {
        let next = Mutex::new(kept.next(&schedule));
        let (is_due, running) = (AtomicBool::new(false), tokio::sync::Mutex::default());
        Arc::new(Entry { id, schedule, kept: Mutex::new(kept), next, is_due, running })
    }
}

impl ScheduledQueries {
    /// Those that the store keeps.
    pub fn new(store: Store, engine: Arc<dyn QueryEngine>, arns: Arns, reports: Option<UnloadPlace>) -> Self {
        let mut all = BTreeMap::new();
        for (id, kept) in store.with_manifest(Kept::all) {
            let entry = kept.map_err(|e| e.to_string()).and_then(|kept| {
                let schedule = Schedule::parse(&kept.schedule, kept.created).map_err(|e| e.message().to_owned())?;
                Ok(Entry::new(id.clone(), kept, schedule))
            });
            match entry {
                Ok(entry) => drop(all.insert(id, entry)),
                Err(why) => tracing::error!(id, "a scheduled query that is kept cannot be run: {why}"),
            }
        }
        let (asked, to_run) = mpsc::channel(ASKED);
        let (ids, all, to_run) = (Ids::new(store.now_ms()), Mutex::new(all), Mutex::new(Some(to_run)));
        ScheduledQueries { store, engine, arns, reports, ids, all, asked, to_run }
    }

    /// `CreateScheduledQuery`
    pub async fn create(self: &Arc<Self>, body: &[u8]) -> Result<Value, Fault> {
        let request: CreateScheduledQuery = parse(body)?;
        let name = required(request.name, "name")?;
        check_name(&name)?;
        let query = query_string(request.query_string)?;
        let schedule = required(request.schedule_configuration, "scheduleConfiguration")?;
        let expression = required(schedule.schedule_expression, "scheduleConfiguration.scheduleExpression")?;
        length(&expression, "scheduleConfiguration.scheduleExpression", 1, 256)?;
        let notification = required(request.notification_configuration, "notificationConfiguration")?;
        check_notification(&notification)?;
        let role = required(request.scheduled_query_execution_role_arn, "scheduledQueryExecutionRoleArn")?;
        let error_report = required(request.error_report_configuration, "errorReportConfiguration")?;
        let target = required(request.target_configuration, "targetConfiguration")?;
        if let Some(token) = &request.client_token {
            length(token, "clientToken", 32, 128)?;
        }
        tags::check(&request.tags)?;

        let now = self.store.now_ms();
        let configuration = &target.timestream_configuration;
        self.store.table(&configuration.database_name, &configuration.table_name)?;
        let columns = self.engine.prepare_scheduled(&query, now).await?;
        Target::new(configuration, &columns)?;
        let kept = Kept {
            name,
            query,
            schedule: expression,
            created: now,
            is_enabled: true,
            handled: now,
            target,
            notification,
            role,
            kms_key: request.kms_key_id,
            error_report,
            client_token: request.client_token,
            previous: None,
            last_run: None,
            failed_runs: Vec::new(),
        };
        let queries = self.clone();
        // It waits for the disk, and a pattern may fit no time for thousands of years.
        let added = tokio::task::spawn_blocking(move || queries.add(kept, request.tags));
        added.await.map_err(|e| Fault::new(Kind::InternalServer, e.to_string()))?
    }

    fn add(&self, kept: Kept, tags: Vec<Tag>) -> Result<Value, Fault> {
        let schedule = Schedule::parse(&kept.schedule, kept.created)?;
        let mut all = self.all.lock();
        if let Some(other) = all.values().find(|other| other.kept.lock().name == kept.name) {
            let there = other.kept.lock();
            let is_same = there.client_token == kept.client_token && there.query == kept.query;
            if kept.client_token.is_some() && is_same {
                return Ok(json!({ "Arn": self.arns.scheduled_query(&other.id) }));
            }
            return Err(Fault::new(Kind::Conflict, format!("The scheduled query {} already exists.", kept.name)));
        }
        if all.len() >= QUERIES {
            let message = format!("The store has {QUERIES} scheduled queries already.");
            return Err(Fault::new(Kind::ServiceQuotaExceeded, message));
        }
        let id = format!("{}-{}", kept.name, self.ids.next().to_lowercase());
        let arn = self.arns.scheduled_query(&id);
        self.store.change(|manifest| {
            kept.put(manifest, &id);
            Ok(())
        })?;
        all.insert(id.clone(), Entry::new(id, kept, schedule));
        drop(all);
        tags::replace(&self.store, &arn, tags)?;
        Ok(json!({ "Arn": arn }))
    }

    /// `DescribeScheduledQuery`
    pub fn describe(&self, body: &[u8]) -> Result<Value, Fault> {
        let request: OneScheduledQuery<'_> = parse(body)?;
        let entry = self.entry(request.scheduled_query_arn)?;
        let kept = entry.kept.lock();
        Ok(json!({ "ScheduledQuery": kept.described(&self.arns.scheduled_query(&entry.id), &entry.schedule) }))
    }

    /// `ListScheduledQueries`
    pub fn list(&self, body: &[u8]) -> Result<Value, Fault> {
        let request: ListScheduledQueries<'_> = parse(body)?;
        let most = in_range(request.max_results, "maxResults", 1, PAGE, PAGE)?;
        let after = listing::after::<String>(request.next_token.as_deref())?;
        let all = self.all.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = all.range::<String, _>((from, Bound::Unbounded)).map(|(id, entry)| {
            let kept = entry.kept.lock();
            (id.clone(), kept.listed(&self.arns.scheduled_query(id), &entry.schedule))
        });
        let (page, token) = listing::page(rest, most);
        Ok(with_token(json!({ "ScheduledQueries": page }), token))
    }

    /// `UpdateScheduledQuery`: whether its schedule counts. What it misses while it is disabled is not made up for.
    pub fn update(&self, body: &[u8]) -> Result<Value, Fault> {
        let request: OneScheduledQuery<'_> = parse(body)?;
        let entry = self.entry(request.scheduled_query_arn)?;
        let state = required(request.state, "state")?;
        let is_enabled = match &*state {
            "ENABLED" => true,
            "DISABLED" => false,
            other => {
                let rule = "Member must satisfy enum value set: [ENABLED, DISABLED]";
                return Err(Fault::constraint(other, "state", rule));
            }
        };
        let now = self.store.now_ms();
        self.change(&entry, |kept| {
            if is_enabled && !kept.is_enabled {
                kept.handled = now;
            }
            kept.is_enabled = is_enabled;
        })?;
        Ok(Value::Null)
    }

    /// `DeleteScheduledQuery`: a run that is under way goes on.
    pub fn delete(&self, body: &[u8]) -> Result<Value, Fault> {
        let request: OneScheduledQuery<'_> = parse(body)?;
        let entry = self.entry(request.scheduled_query_arn)?;
        let mut all = self.all.lock();
        self.store.change(|manifest| {
            Kept::remove(manifest, &entry.id);
            Ok(())
        })?;
        all.remove(&entry.id);
        drop(all);
        tags::replace(&self.store, &self.arns.scheduled_query(&entry.id), Vec::new())?;
        Ok(Value::Null)
    }

    /// `ExecuteScheduledQuery`: a run is begun as soon as there is room; `DescribeScheduledQuery` tells how it went.
    pub fn execute(&self, body: &[u8]) -> Result<Value, Fault> {
        let request: OneScheduledQuery<'_> = parse(body)?;
        let entry = self.entry(request.scheduled_query_arn)?;
        let invocation = required(request.invocation_time, "invocationTime")?;
        let out_of_range = || Fault::validation(format!("InvocationTime {invocation} is no time."));
        let milliseconds = (invocation * 1_000.0).round();
        if !milliseconds.is_finite() || milliseconds.abs() > (i64::MAX / 1_000_000) as f64 {
            return Err(out_of_range());
        }
        let asked = self.asked.try_send((entry, milliseconds as i64));
        asked.map_err(|_| Fault::new(Kind::Throttling, format!("{ASKED} runs are waiting already.")))?;
        Ok(Value::Null)
    }

    fn entry(&self, arn: Option<Text<'_>>) -> Result<Arc<Entry>, Fault> {
        let arn = required(arn, "scheduledQueryArn")?;
        let found = match self.arns.resource(&arn)? {
            Resource::ScheduledQuery(id) => self.all.lock().get(&id).cloned(),
            _ => None,
        };
        found.ok_or_else(|| Fault::new(Kind::ResourceNotFound, format!("There is no scheduled query {}.", &*arn)))
    }

    /// Changes what is kept of one; it is on the disk when this returns. One that was deleted meanwhile stays so.
    fn change(&self, entry: &Arc<Entry>, change: impl FnOnce(&mut Kept)) -> Result<(), Error> {
        let mut kept = entry.kept.lock();
        let mut new = kept.clone();
        change(&mut new);
        self.store.change(|manifest| {
            if Kept::is_there(manifest, &entry.id) {
                new.put(manifest, &entry.id);
            }
            Ok(())
        })?;
        *entry.next.lock() = new.next(&entry.schedule);
        *kept = new;
        Ok(())
    }
}

/// `[a-zA-Z0-9|!\-_*'\(\)]([a-zA-Z0-9]|[!\-_*'\(\)\/.])+`, as the service's model has it.
fn check_name(name: &str) -> Result<(), Fault> {
    length(name, "name", 1, 64)?;
    let mark = |c: char| matches!(c, '!' | '-' | '_' | '*' | '\'' | '(' | ')');
    let first = |c: char| c.is_ascii_alphanumeric() || c == '|' || mark(c);
    let other = |c: char| c.is_ascii_alphanumeric() || mark(c) || matches!(c, '/' | '.');
    let mut chars = name.chars();
    if !chars.next().is_some_and(first) || chars.as_str().is_empty() || !chars.all(other) {
        let rule =
            r"Member must satisfy regular expression pattern: [a-zA-Z0-9|!\-_*'\(\)]([a-zA-Z0-9]|[!\-_*'\(\)\/.])+";
        return Err(Fault::constraint(name, "name", rule));
    }
    Ok(())
}
