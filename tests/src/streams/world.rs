//! What happens to a stream while the job reads it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Result, bail};

/// What world and job know of each other. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<State>);

#[derive(Debug, Default)]
struct State {
    kills: AtomicU64,
    all_sent: AtomicBool,
    outages: AtomicU64,
    is_out: AtomicBool,
    over: AtomicBool,
    notes: Mutex<Vec<String>>,
}

impl Shared {
    /// The job was killed once more.
    pub fn killed(&self) {
        self.0.kills.fetch_add(1, SeqCst);
    }

    /// How often it was killed.
    pub fn kills(&self) -> u64 {
        self.0.kills.load(SeqCst)
    }

    /// Whether nothing more comes.
    pub fn all_sent(&self) -> bool {
        self.0.all_sent.load(SeqCst)
    }

    /// Nothing more comes.
    pub fn set_all_sent(&self) {
        self.0.all_sent.store(true, SeqCst);
    }

    /// The servers are gone as long as this runs.
    pub fn outage<T>(&self, during: impl FnOnce() -> Result<T>) -> Result<T> {
        self.0.outages.fetch_add(1, SeqCst);
        self.0.is_out.store(true, SeqCst);
        let done = during();
        self.0.is_out.store(false, SeqCst);
        done
    }

    /// How often the servers have gone, and whether they are gone now.
    pub fn outages(&self) -> (u64, bool) {
        (self.0.outages.load(SeqCst), self.0.is_out.load(SeqCst))
    }

    /// Says what happens to the stream.
    pub fn note(&self, what: impl Into<String>) {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
    }

    /// What has happened since this was last asked.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nobody waits any more: something went wrong.
    pub fn give_up(&self) {
        self.0.over.store(true, SeqCst);
    }

    /// Waits until the job was killed once more: what comes next happens to another process.
    pub fn until_killed(&self) -> Result<()> {
        let before = self.kills();
        while self.kills() == before {
            if self.0.over.load(SeqCst) {
                bail!("the job has failed");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}
