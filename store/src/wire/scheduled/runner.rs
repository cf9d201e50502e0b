//! Who runs scheduled queries: those whose time has come by the store's clock, and those that were asked for.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{AcqRel, Release},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Entry, ScheduledQueries,
    report::Errors,
    run::{LONGEST, Run, RunSummary, Stats, Trigger},
};

/// How often is looked at what is due; a schedule's finest step is a minute.
const LOOK: Duration = Duration::from_millis(200);
/// Runs at a time; each may take the memory of a query.
const AT_A_TIME: usize = 2;

/// A run that the schedule has begun is over, however it ends.
struct Due(Arc<Entry>);

impl Drop for Due {
    fn drop(&mut self) {
        self.0.is_due.store(false, Release);
    }
}

impl ScheduledQueries {
    /// Runs them until it is dropped; runs that are under way go with it, and are begun again by the next server.
    pub async fn run(self: Arc<Self>) {
        let Some(mut asked) = self.to_run.lock().take() else { return };
        let permits = Arc::new(Semaphore::new(AT_A_TIME));
        let mut runs = JoinSet::new();
        loop {
            for entry in self.due() {
                runs.spawn(self.clone().scheduled_run(entry, permits.clone()));
            }
            tokio::select! {
                Some((entry, invocation)) = asked.recv(), if runs.len() < super::ASKED => {
                    let (queries, permits) = (self.clone(), permits.clone());
                    runs.spawn(async move {
                        let _one = entry.running.lock().await;
                        let Ok(_permit) = permits.acquire().await else { return };
                        queries.carry_out(&entry, invocation, Trigger::Manual).await;
                    });
                }
                Some(ended) = runs.join_next() => {
                    if let Err(e) = ended {
                        tracing::error!("a run of a scheduled query has panicked: {e}");
                    }
                }
                () = tokio::time::sleep(LOOK) => (),
            }
        }
    }

    /// Those whose time has come and that are not under way.
    fn due(&self) -> Vec<Arc<Entry>> {
        let now = self.store.now_ms();
        let all = self.all.lock();
        let is_due = |entry: &&Arc<Entry>| entry.next.lock().is_some_and(|next| next <= now);
        all.values().filter(is_due).filter(|entry| !entry.is_due.swap(true, AcqRel)).cloned().collect()
    }

    async fn scheduled_run(self: Arc<Self>, entry: Arc<Entry>, permits: Arc<Semaphore>) {
        let due = Due(entry);
        let entry = &due.0;
        let _one = entry.running.lock().await;
        let Ok(_permit) = permits.acquire().await else { return };
        // It may have been disabled while it waited.
        let Some(next) = *entry.next.lock() else { return };
        // What was missed is run once: for the last time.
        let invocation = entry.schedule.latest(self.store.now_ms()).unwrap_or(next).max(next);
        self.carry_out(entry, invocation, Trigger::Auto).await;
    }

    async fn carry_out(self: &Arc<Self>, entry: &Arc<Entry>, invocation: i64, trigger: Trigger) {
        let triggered = self.store.now_ms();
        let (query, target, report_to) = {
            let kept = entry.kept.lock();
            (kept.query.clone(), kept.target.clone(), kept.error_report.s3_configuration.clone())
        };
        let (mut stats, mut errors) = (Stats::default(), Errors::default());
        let run = Run {
            store: &self.store,
            engine: &*self.engine,
            query: &query,
            target: &target,
            invocation,
            version: u64::try_from(triggered).unwrap_or_default().max(1),
        };
        let ended = tokio::time::timeout(LONGEST, run.carry_out(&mut stats, &mut errors)).await;
        let failure = match ended {
            Ok(Ok(())) => errors.summary(),
            Ok(Err(fault)) => Some(fault.message().to_owned()),
            Err(_) => Some(format!("The run has not ended in {} s.", LONGEST.as_secs())),
        };
        stats.execution_time_in_millis = self.store.now_ms() - triggered;
        let report = match (errors.summary(), &self.reports) {
            (Some(_), Some(place)) => {
                let (bucket, prefix) = (report_to.bucket_name, report_to.object_key_prefix.unwrap_or_default());
                let name = format!("{}/{invocation}/{}/{triggered}", entry.id, trigger.name());
                match errors.write(place, &bucket, &prefix, &name, &self.ids.next()).await {
                    Ok(key) => Some((bucket, key)),
                    Err(e) => {
                        tracing::warn!(id = entry.id, "the error report of a scheduled query is not written: {e}");
                        None
                    }
                }
            }
            _ => None,
        };
        if let Some(failure) = &failure {
            tracing::warn!(id = entry.id, "a run of a scheduled query has failed: {failure}");
        }
        let summary = RunSummary { invocation, triggered, trigger, stats, report, failure };
        let record = move |kept: &mut super::Kept| {
            if trigger == Trigger::Auto {
                kept.handled = kept.handled.max(invocation);
            }
            kept.record(summary);
        };
        let (queries, changed) = (self.clone(), entry.clone());
        let kept = tokio::task::spawn_blocking(move || queries.change(&changed, record)).await;
        let kept = kept.map_err(|e| e.to_string()).and_then(|kept| kept.map_err(|e| e.to_string()));
        if let Err(why) = kept {
            tracing::error!(id = entry.id, "how a run of a scheduled query went could not be kept: {why}");
            // Not at once again; another server may have to.
            *entry.next.lock() = entry.schedule.next(self.store.now_ms());
        }
    }
}
