//! What a writer and its task share.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

pub(crate) struct Shared<Q, R, I> {
    core: Mutex<Core<Q, R, I>>,
    /// There may be something to send.
    pub work: Notify,
}

pub(crate) struct Core<Q, R, I> {
    pub queue: Q,
    /// What the destination has told of itself, when it is connected.
    pub opened: Option<I>,
    /// Of every item that has its answer: the number of its value, and why it is not written.
    pub answers: Vec<(u64, Option<R>)>,
    /// Why nothing can be sent any more.
    pub failed: Option<String>,
}

impl<Q, R, I> Shared<Q, R, I> {
    pub fn new(queue: Q) -> Arc<Self> {
        let core = Core { queue, opened: None, answers: Vec::new(), failed: None };
        Arc::new(Shared { core: Mutex::new(core), work: Notify::new() })
    }

    pub fn lock(&self) -> MutexGuard<'_, Core<Q, R, I>> {
        self.core.lock().unwrap_or_else(|e| e.into_inner())
    }
}
