//! What was fetched and not yet emitted: a queue for each shard, a budget for each reader.
//!
//! A fetcher waits for room before it asks. There is room when the shard has nothing left, or
//! when it has little and the reader's budget is not used up. So a slow job stops the fetching,
//! and a shard that is held back (by watermark alignment) cannot starve the one it waits for.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use hurtig_engine::task::pool::Waker;
use tokio::sync::Notify;

use super::unpack::StreamRecord;
use crate::error::Error;

/// How many fetches a shard may have in its queue.
const FETCHES: usize = 4;

/// A call never asks for fewer bytes than this, however many shards share the budget.
const LEAST_FETCH: usize = 128 << 10;

/// Nor for more: 2 MB/s is what a shard gives.
const MOST_FETCH: usize = 1 << 20;

/// Why nothing more comes from a shard.
#[derive(Debug)]
pub enum End {
    /// It was read to its end, or to the bound.
    Read,
    /// It cannot be read.
    Failed(Error),
}

/// The bytes of all queues of a reader.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
    shards: AtomicUsize,
    freed: Notify,
}

impl Budget {
    /// So many bytes for all shards of a reader.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Budget { limit, used: AtomicUsize::new(0), shards: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// What one call should bring.
    pub fn target(&self) -> usize {
        (self.limit / self.shards.load(SeqCst).max(1) / 2).clamp(LEAST_FETCH, MOST_FETCH)
    }

    /// How many bytes are held.
    pub fn used(&self) -> usize {
        self.used.load(SeqCst)
    }
}

#[derive(Debug, Default)]
struct Inner {
    records: VecDeque<StreamRecord>,
    /// Records of each fetch that are left.
    fetches: VecDeque<usize>,
    end: Option<End>,
}

/// One shard's queue. The fetcher pushes, the reader pops.
#[derive(Debug)]
pub struct Queue {
    inner: Mutex<Inner>,
    budget: Arc<Budget>,
    emptied: Notify,
}

impl Queue {
    /// A queue that shares `budget`.
    pub fn new(budget: Arc<Budget>) -> Arc<Self> {
        budget.shards.fetch_add(1, SeqCst);
        Arc::new(Queue { inner: Mutex::default(), budget, emptied: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The reader's budget.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether a fetch may begin.
    pub fn has_room(&self) -> bool {
        let fetches = self.lock().fetches.len();
        fetches == 0 || (fetches < FETCHES && self.budget.used() < self.budget.limit)
    }

    /// Waits until a fetch may begin.
    pub async fn room(&self) {
        loop {
            // Registered before the look, so that what happens in between is not missed.
            let (emptied, freed) = (self.emptied.notified(), self.budget.freed.notified());
            tokio::pin!(emptied, freed);
            emptied.as_mut().enable();
            freed.as_mut().enable();
            if self.has_room() {
                return;
            }
            tokio::select! { () = emptied => (), () = freed => () }
        }
    }

    /// Adds a fetch's records.
    pub fn push(&self, records: Vec<StreamRecord>, waker: &Waker) {
        if records.is_empty() {
            return;
        }
        self.budget.used.fetch_add(records.iter().map(StreamRecord::bytes).sum(), SeqCst);
        let mut inner = self.lock();
        inner.fetches.push_back(records.len());
        inner.records.extend(records);
        drop(inner);
        waker.wake();
    }

    /// Nothing more comes.
    pub fn end(&self, end: End, waker: &Waker) {
        self.lock().end = Some(end);
        waker.wake();
    }

    /// Takes the next record.
    pub fn pop(&self) -> Option<StreamRecord> {
        let mut inner = self.lock();
        let record = inner.records.pop_front()?;
        let mut emptied = false;
        if let Some(left) = inner.fetches.front_mut() {
            *left -= 1;
            if *left == 0 {
                inner.fetches.pop_front();
                emptied = true;
            }
        }
        drop(inner);
        let before = self.budget.used.fetch_sub(record.bytes(), SeqCst);
        if emptied {
            self.emptied.notify_waiters();
        }
        if before >= self.budget.limit && before - record.bytes() < self.budget.limit {
            self.budget.freed.notify_waiters();
        }
        Some(record)
    }

    /// How many records wait.
    pub fn pending(&self) -> usize {
        self.lock().records.len()
    }

    /// Whether the reader has something to do here: a record, or the end.
    pub fn is_ready(&self) -> bool {
        let inner = self.lock();
        !inner.records.is_empty() || inner.end.is_some()
    }

    /// The end, once all records were popped.
    pub fn take_end(&self) -> Option<End> {
        let mut inner = self.lock();
        if inner.records.is_empty() { inner.end.take() } else { None }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.budget.shards.fetch_sub(1, SeqCst);
        let left: usize = self.lock().records.iter().map(StreamRecord::bytes).sum();
        self.budget.used.fetch_sub(left, SeqCst);
        self.budget.freed.notify_waiters();
    }
}
