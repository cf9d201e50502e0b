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
                // Another run's output may have been moved away since, as a savepoint's may.
                if *here && earlier.is_none() {
                    committer.commit(&committables)?;
                } else {
                    committer.commit_savepoint(&committables)?;
                }
            }
            committer.remove_orphans()?;
        }
        for (manifest, _) in open.iter().filter(|(_, here)| *here) {
            if let Err(e) = self.runtime.block_on(self.writer.mark_committed(manifest.id)) {
                tracing::warn!("checkpoint {} is committed, which cannot be noted: {e}", manifest.id);
            }
        }
        Ok(())
    }

    /// After a failure: waits and makes the next attempt ready. An error: it is over, and this is
    /// the last reason.
    pub(super) fn recover(&mut self, mut error: Error) -> Result<()> {
        self.note(&error);
        let _ = self.feed(Event::TaskFailed { reason: error.to_string() });
        loop {
            if !self.may_try_again(&error) {
                return Err(error);
            }
            let Some(delay) = self.restarts.next_delay(self.attempt.began, self.now()) else { return Err(error) };
            self.set_state(JobState::Restarting);
            tracing::info!("restarting in {delay:?}");
            if !self.wait(self.now() + millis(delay)) {
                return Err(error);
            }
            self.update(|s| s.restarts += 1);
            let _ = std::fs::remove_dir_all(self.attempt_dir());
            self.attempt.began = self.now();
            // Enumerators are user code.
            let prepare = AssertUnwindSafe(|| self.find_latest().and_then(|()| self.prepare()));
            match catch_unwind(prepare).unwrap_or_else(|panic| Err(user_panic("an enumerator", &*panic))) {
                Ok(()) => break,
                Err(e) => {
                    self.attempt.number += 1;
                    self.note(&e);
                    error = e;
                }
            }
        }
        let restored = self.point.as_ref().map(|p| restored(p, self.now()));
        self.feed(Event::Restarted { restored }).map(drop)
    }

    fn may_try_again(&self, error: &Error) -> bool {
        match error {
            // Another process has taken the job over: going on would only disturb it.
            Error::Checkpoint(CheckpointError::Fenced { .. }) => false,
            Error::Checkpoint(CheckpointError::Io { .. } | CheckpointError::Remote { .. }) => true,
            _ => self.has_run,
        }
    }

    /// Writes a failure down.
    fn note(&mut self, error: &Error) {
        self.set_state(JobState::Failing);
        tracing::error!("{error}");
        let task = match error {
            Error::User { vertex, .. } => Some(vertex.clone()),
            _ => None,
        };
        let timestamp = self.now();
        self.update(|s| s.exceptions.push(ExceptionInfo { timestamp, task, message: error.to_string() }));
    }

    /// Where the next attempt begins: at the latest checkpoint that this run has taken, else where
    /// the run itself began. What other runs have left in the storage is not this run's. If it
    /// cannot be read, nothing older will do: what was committed since would be written twice.
    fn find_latest(&mut self) -> Result<()> {
        let latest = self.runtime.block_on(self.writer.storage().latest())?;
        if let Some(latest) = latest.filter(|l| l.manifest.generation == self.writer.generation()) {
            self.point = Some(latest);
        }
        Ok(())
    }

    /// Waits until `until`, and until nothing is being written or committed. `false`: cancelled
    /// meanwhile.
    fn wait(&mut self, until: i64) -> bool {
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

    fn is_settled(&self) -> bool {
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
