//! Looks for files and cuts them, beside the job: once, or again and again while it runs.

use std::{collections::BTreeMap, sync::Arc};

use hurtig_engine::{error::Result, source::EnumeratorWaker};
use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    enumerator::Shared,
    events::Queue,
    options::RangeOptions,
    plan::plan,
    split::file_name,
    store::{FileStore, Found},
};

/// How files are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// What is there at the beginning, and then no more.
    Once,
    /// By listing every [`discovery_interval`](RangeOptions::discovery_interval); of a directory also
    /// as soon as the operating system says that something has changed.
    Watch,
    /// By the events that S3 sends to this SQS queue (S3's own notifications or EventBridge's, also
    /// through SNS). An event is deleted when a completed checkpoint knows that its file was read to
    /// the end, and kept invisible until then; one that comes twice does no harm. What is there
    /// already is listed once.
    Events {
        /// The queue's URL.
        queue_url: String,
    },
}

/// The search for files.
pub(crate) struct Search {
    pub store: FileStore,
    pub options: Arc<RangeOptions>,
    pub shared: Arc<Shared>,
    pub waker: EnumeratorWaker,
    /// Which enumerator it works for.
    pub generation: u64,
    /// How many workers a file is shared by.
    pub workers: usize,
    /// The version of each file that was cut.
    pub known: BTreeMap<String, String>,
}

impl Search {
    /// Cuts what was found already, then looks on as `discovery` says.
    pub async fn run(mut self, first: Vec<Found>, discovery: Discovery, queue: Option<Queue>) {
        let result = self.search(first, discovery, queue).await;
        self.shared.end(self.generation, result);
        self.waker.wake();
    }

    async fn search(&mut self, first: Vec<Found>, discovery: Discovery, queue: Option<Queue>) -> Result<()> {
        let watching = discovery != Discovery::Once;
        self.take(first, watching).await?;
        match queue {
            Some(queue) => queue.serve(self).await,
            None if watching => self.watch().await,
            None => Ok(()),
        }
    }

    /// Cuts those files that are new.
    pub async fn take(&mut self, found: Vec<Found>, watching: bool) -> Result<()> {
        for file in found {
            if self.known.get(&file.path) == Some(&file.etag) {
                continue;
            }
            self.shared.room().await;
            match plan(&self.store, &file, self.workers, &self.options).await {
                Ok(ranges) => {
                    self.known.insert(file.path.clone(), file.etag.clone());
                    self.shared.planned(self.generation, file, ranges);
                    self.waker.wake();
                }
                // It has changed or gone between listing and looking: the next listing says more.
                Err(e) if watching => tracing::warn!("{e}; it is looked for again"),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Whether this version was cut, and what it is called.
    pub fn known_as(&self, file: &Found) -> Option<String> {
        (self.known.get(&file.path) == Some(&file.etag)).then(|| file_name(&file.path, &file.etag))
    }

    async fn watch(&mut self) -> Result<()> {
        let mut changes = self.store.directory().and_then(Changes::of);
        loop {
            Changes::wait(changes.as_mut(), self.options.discovery_interval).await;
            match self.store.list().await {
                Ok(found) => self.take(found, true).await?,
                Err(e) => tracing::warn!("{e}; it is tried again"),
            }
        }
    }
}

/// What the operating system says about a directory.
struct Changes {
    /// It tells as long as it lives.
    _watcher: notify::RecommendedWatcher,
    events: UnboundedReceiver<()>,
}

impl Changes {
    /// `None`: it cannot say (too many watches, a network file system): listing remains.
    fn of(directory: &str) -> Option<Changes> {
        let (sender, events) = unbounded_channel();
        let told = move |event: notify::Result<notify::Event>| {
            if !matches!(event.map(|e| e.kind), Ok(EventKind::Access(_))) {
                // Nobody listens any more when the job ends.
                let _ = sender.send(());
            }
        };
        let mut watcher = notify::recommended_watcher(told).ok()?;
        watcher.watch(directory.as_ref(), RecursiveMode::Recursive).ok()?;
        Some(Changes { _watcher: watcher, events })
    }

    async fn wait(changes: Option<&mut Changes>, interval: std::time::Duration) {
        let Some(changes) = changes else { return tokio::time::sleep(interval).await };
        // It is over when something came or the time is up; what came with it is one change.
        let _ = tokio::time::timeout(interval, changes.events.recv()).await;
        while changes.events.try_recv().is_ok() {}
    }
}
