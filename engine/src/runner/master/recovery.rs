//! From a failure to the next attempt, and a job's end: what is waited for, where the next attempt
//! begins, and what it commits before its sources start.

use super::*;

impl Master {
    pub(super) fn commit_restored(&mut self) -> Result<()> {
        let earlier = self.earlier.take();
        let mut open = Vec::new();
        for point in [&self.point, &earlier].into_iter().flatten() {
            let here = self.writer.storage().base_of(point).is_some();
            if !here || !self.runtime.block_on(self.writer.storage().is_committed(point.manifest.id))? {
                open.push((&point.manifest, here));
            }
        }
        let mut committers = lock(&self.committers);
        for (uid, committer) in committers.iter_mut() {
            for (manifest, here) in &open {
                let committables = restore::committables(manifest, uid);
                if committables.is_empty() {
                    continue;
                }
                if *here {
                    committer.commit(&committables)?;
                } else {
                    committer.commit_savepoint(&committables)?;
                }
            }
            committer.remove_orphans()?;
        }
        Ok(())
    }

    /// After a failure: waits and makes the next attempt ready. `false`: it is over.
    pub(super) fn recover(&mut self, error: &Error) -> bool {
        let mut failed = self.note(error);
        let _ = self.feed(Event::TaskFailed { reason: error.to_string() });
        loop {
            if failed || !self.has_run {
                return false;
            }
            let Some(delay) = self.restarts.next_delay(self.attempt.began, self.now()) else { return false };
            self.set_state(JobState::Restarting);
            tracing::info!("restarting in {delay:?}");
            if !self.wait(self.now() + millis(delay)) {
                return false;
            }
            self.update(|s| s.restarts += 1);
            let _ = std::fs::remove_dir_all(self.attempt_dir());
            self.attempt.began = self.now();
            match self.find_latest().and_then(|()| self.prepare()) {
                Ok(()) => break,
                Err(e) => {
                    self.attempt.number += 1;
                    failed = self.note(&e);
                }
            }
        }
        let restored = self.point.as_ref().map(|p| restored(p, self.now()));
        self.feed(Event::Restarted { restored }).is_ok()
    }

    /// Writes a failure down. `true`: another process has taken the job over, and going on would
    /// only disturb it.
    pub(super) fn note(&mut self, error: &Error) -> bool {
        self.set_state(JobState::Failing);
        tracing::error!("{error}");
        let task = match error {
            Error::User { vertex, .. } => Some(vertex.clone()),
            _ => None,
        };
        let timestamp = self.now();
        self.update(|s| s.exceptions.push(ExceptionInfo { timestamp, task, message: error.to_string() }));
        matches!(error, Error::Checkpoint(CheckpointError::Fenced { .. }))
    }

    /// Where the next attempt begins: at the latest checkpoint that this run has taken, else where
    /// the run itself began. What other runs have left in the storage is not this run's. If it
    /// cannot be read, nothing older will do: what was committed since would be written twice.
    pub(super) fn find_latest(&mut self) -> Result<()> {
        let latest = self.runtime.block_on(self.writer.storage().latest())?;
        if let Some(latest) = latest.filter(|l| l.manifest.generation == self.writer.generation()) {
            self.point = Some(latest);
        }
        Ok(())
    }

    /// Waits until `until`, and until nothing is being written or committed. `false`: cancelled
    /// meanwhile.
    pub(super) fn wait(&mut self, until: i64) -> bool {
        loop {
            let now = self.now();
            if now >= until && self.is_settled() {
                return true;
            }
            let wait = u64::try_from(until - now).unwrap_or(0).clamp(1, 100);
            let Ok(event) = self.events.recv_timeout(Duration::from_millis(wait)) else { continue };
            match event {
                MasterEvent::Request(Request::Cancel) => {
                    self.set_state(JobState::Cancelling);
                    return false;
                }
                MasterEvent::ManifestWritten(id, manifest, Ok(path)) => {
                    self.retention.completed(&manifest);
                    let _ = self.feed(Event::ManifestWritten { id, path });
                }
                MasterEvent::ManifestWritten(id, _, Err(e)) => {
                    let _ = self.feed(Event::ManifestFailed { id, reason: e.to_string() });
                }
                MasterEvent::Request(request) => {
                    let _ = self.request(request);
                }
                MasterEvent::Committed(id, result) => {
                    self.committing = false;
                    match result {
                        Ok(()) => self.committed_books(),
                        Err(e) => tracing::warn!("checkpoint {id} is complete, and will be committed anew: {e}"),
                    }
                }
                MasterEvent::Uploaded(id, subtask, uploaded) => {
                    let _ = self.uploaded(id, subtask, uploaded);
                }
                _ => {}
            }
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.coordinator.is_settled() && !self.committing
    }

    pub(super) fn end(mut self, state: JobState) {
        let canceled = lock(&self.shared.status).state == JobState::Cancelling;
        let state = if canceled && state == JobState::Failed { JobState::Canceled } else { state };
        // Late events of the last attempt are not waited for, but a manifest that is being
        // written decides what `--from latest` finds, and one that is being committed what a query
        // finds: they are.
        let _ = self.feed(Event::TaskFailed { reason: "the job has ended".into() });
        if !self.is_settled() {
            let _ = self.wait(self.now());
        }
        *lock(&self.shared.mailbox) = None;
        for (_, answer) in self.requests.drain() {
            let _ = answer.send(Err(Error::Request(format!("the job has ended: it is {state}"))));
        }
        let _ = std::fs::remove_dir_all(&self.work);
        let now = self.now();
        drop(self._lock);
        let mut status = lock(&self.shared.status);
        status.end_time = Some(now);
        status.state = state;
        status.timestamps.push((state, now));
        self.shared.changed.notify_all();
    }
}
