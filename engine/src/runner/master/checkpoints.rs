//! How the master carries out what the checkpoint coordinator decides: triggers, uploads,
//! manifests, commits, and the books that a committed checkpoint holds.

use super::*;

impl Master {
    pub(super) fn uploaded(
        &mut self,
        id: CheckpointId,
        subtask: SubtaskKey,
        uploaded: Uploaded,
    ) -> Result<Option<End>> {
        let now = self.now();
        let done = match uploaded.result {
            Ok(done) => done,
            Err(e) => {
                tracing::warn!("checkpoint {id}: {e}");
                return self.feed(Event::Declined { id, reason: e.to_string() });
            }
        };
        let metrics = AckMetrics {
            full_bytes: done.full_bytes,
            uploaded_bytes: done.uploaded_bytes,
            start_delay_ms: 0,
            alignment_ms: done.snapshot.alignment_ms,
            sync_ms: done.snapshot.sync_ms,
            async_ms: uploaded.async_ms,
        };
        if let Some(pending) = self.attempt.pending.as_mut().filter(|p| p.barrier.id == id) {
            let vertex = self.shared.graph.vertices.iter().position(|v| *v.uid() == *subtask.vertex_uid);
            let of_task = vertex.and_then(|v| self.shared.metrics.get(v)?.get(usize::from(subtask.subtask)));
            if let Some(of_task) = of_task {
                of_task.state_bytes.store(done.full_bytes, std::sync::atomic::Ordering::Relaxed);
            }
            pending.full_bytes += done.full_bytes;
            pending.uploaded_bytes += done.uploaded_bytes;
            pending.subtasks.push(done.snapshot);
            pending.last_ack = now;
        }
        self.feed(Event::Acked { id, subtask, metrics })
    }

    /// Gives the coordinator an event and does what it says.
    pub(super) fn feed(&mut self, event: Event) -> Result<Option<End>> {
        let actions = self.coordinator.on_event(self.now(), event.clone());
        let news = !actions.is_empty() || event != Event::Tick;
        let mut end = None;
        for action in actions {
            if let Some(e) = self.act(action)? {
                end = Some(e);
            }
        }
        if news {
            let statistics = self.coordinator.statistics().clone();
            self.update(|s| s.checkpoints = statistics);
        }
        Ok(end)
    }

    fn act(&mut self, action: Action) -> Result<Option<End>> {
        match action {
            Action::Trigger { barrier } => self.trigger(barrier)?,
            Action::Abort { id, reason } => {
                tracing::warn!("checkpoint {id} was given up: {reason}");
                self.attempt.pending = None;
            }
            Action::WriteManifest { id, savepoint } => self.write_manifest(id, savepoint),
            Action::Commit { id } => self.commit(id),
            Action::Discard { id } => {
                if let Err(e) = self.runtime.block_on(self.writer.discard(id)) {
                    tracing::warn!("what checkpoint {id} left behind could not be removed: {e}");
                }
            }
            Action::Subsume { ids } => {
                let subsumed = self.runtime.block_on(self.retention.subsume(&self.writer, &ids));
                if let Err(e) = subsumed {
                    tracing::warn!("old checkpoints {ids:?} could not be removed: {e}");
                }
            }
            Action::FailJob { reason } => return Err(Error::Request(reason)),
            Action::AnswerRequest { request, answer } => {
                if let Some(sender) = self.requests.remove(&request) {
                    let _ = sender.send(answer.map(|a| a.path).map_err(Error::Request));
                }
            }
            Action::Finished => return Ok(Some(End::Finished)),
        }
        Ok(None)
    }

    /// Snapshots the enumerators and sends the barrier: what is assigned later queues behind it.
    fn trigger(&mut self, barrier: Barrier) -> Result<()> {
        let now = self.now();
        let mut enumerators = BTreeMap::new();
        for source in &self.attempt.sources {
            enumerators.insert(source.uid.clone(), source.enumerator.snapshot()?);
        }
        self.attempt.pending = Some(Pending {
            barrier,
            triggered_at: now,
            enumerators,
            subtasks: Vec::new(),
            full_bytes: 0,
            uploaded_bytes: 0,
            last_ack: now,
        });
        for source in &self.attempt.sources {
            for worker in &self.attempt.workers {
                worker.send(WorkerCommand::Task(source.vertex, TaskCommand::Trigger(barrier)));
            }
        }
        Ok(())
    }

    fn write_manifest(&mut self, id: CheckpointId, savepoint: Option<String>) {
        let Some(pending) = self.attempt.pending.take().filter(|p| p.barrier.id == id) else { return };
        let graph = &self.shared.graph;
        let parallelism = graph.vertices.iter().map(|v| v.parallelism).max().unwrap_or(1);
        let mut manifest = Manifest {
            format: 0,
            job_name: graph.name.clone(),
            job_id: self.shared.id.clone(),
            id,
            kind: pending.barrier.kind,
            finished: pending.barrier.kind == crate::checkpoint::CheckpointKind::Final,
            generation: self.writer.generation(),
            created_at: pending.triggered_at,
            parallelism: parallelism as u16,
            max_parallelism: graph.max_parallelism,
            files_at: Default::default(),
            totals: Totals {
                full_bytes: pending.full_bytes,
                uploaded_bytes: pending.uploaded_bytes,
                duration_ms: pending.last_ack - pending.triggered_at,
            },
            subtasks: pending.subtasks,
            enumerators: pending.enumerators,
            split_names: BTreeMap::new(),
        };
        let (writer, mailbox) = (self.writer.clone(), self.mailbox.clone());
        let token = format!("{:012x}", (self.now() as u64) << 8 | (id & 0xff));
        self.runtime.spawn(async move {
            let result = async {
                let exported = match &savepoint {
                    Some(directory) => Some(writer.export_savepoint(&manifest, directory, &token).await?),
                    None => None,
                };
                let path = writer.write_manifest(&mut manifest).await?;
                Ok(exported.unwrap_or(path))
            };
            let result = result.await;
            let _ = mailbox.send(MasterEvent::ManifestWritten(id, Box::new(manifest), result));
        });
    }

    fn commit(&mut self, id: CheckpointId) {
        let (committers, mailbox) = (self.committers.clone(), self.mailbox.clone());
        let (manifest, writer) = (self.confirmed.clone(), self.writer.clone());
        let runtime = self.runtime.handle().clone();
        self.committing = true;
        self.runtime.spawn_blocking(move || {
            let commit = AssertUnwindSafe(|| {
                for (uid, committer) in lock(&committers).iter_mut() {
                    let committables = manifest.as_ref().map(|m| restore::committables(m, uid)).unwrap_or_default();
                    if !committables.is_empty() {
                        committer.commit(&committables)?;
                    }
                }
                // The mark spares a restore the commit; without it the commit is made again.
                if let Err(e) = runtime.block_on(writer.mark_committed(id)) {
                    tracing::warn!("checkpoint {id} is committed, which cannot be noted: {e}");
                }
                Ok(())
            });
            let result = catch_unwind(commit).unwrap_or_else(|panic| Err(user_panic("a committer", &*panic)));
            let _ = mailbox.send(MasterEvent::Committed(id, result));
        });
    }

    /// The books are those of the checkpoint that has just been committed.
    pub(super) fn committed_books(&self) {
        if let Some(manifest) = self.confirmed.clone() {
            let books = self.books(&manifest);
            self.update(|s| s.books = books);
        }
    }

    pub(super) fn books(&self, manifest: &Manifest) -> Vec<SinkBooks> {
        let counters = manifest.counters();
        let vertices = self.shared.graph.vertices.iter();
        let sinks = vertices.flat_map(|v| v.committers.iter().filter_map(|c| v.operators.get(c.operator)));
        let books = sinks.map(|sink| {
            let of_sink = counters.get(sink.uid.as_str());
            let count = |name| of_sink.and_then(|c| c.get(name)).copied().unwrap_or(0);
            SinkBooks {
                uid: sink.uid.clone(),
                name: sink.name.clone(),
                books: Books {
                    read: count("read"),
                    written: count("written"),
                    rejected: count("rejected"),
                    dead_lettered: count("dead_lettered"),
                },
            }
        });
        books.collect()
    }
}
