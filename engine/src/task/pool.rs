//! Work off the worker threads: a bounded pool for encoding and files, and the waker that tells
//! a worker when something it waits for has come.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::Thread,
    time::Duration,
};

use crate::error::{Error, Result};

/// Wakes one worker. Cheap to clone and to call; a wake-up is never lost.
#[derive(Clone, Default)]
pub struct Waker(Arc<WakerState>);

#[derive(Default)]
struct WakerState {
    notified: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Waker {
    /// Wakes the worker, now or when it next goes to sleep.
    pub fn wake(&self) {
        if !self.0.notified.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.0.thread.get()
        {
            thread.unpark();
        }
    }

    /// Ties the waker to the calling thread.
    pub(crate) fn bind(&self) {
        let _ = self.0.thread.set(std::thread::current());
    }

    /// Sleeps until woken or until `timeout` has passed.
    pub(crate) fn sleep(&self, timeout: Duration) {
        if !self.0.notified.swap(false, Ordering::AcqRel) {
            std::thread::park_timeout(timeout);
            self.0.notified.store(false, Ordering::Release);
        }
    }
}

/// The pool for work beyond a millisecond: encoding, compression, fsync. Its threads are the
/// blocking threads of the job's runtime, whose number is set explicitly.
#[derive(Clone)]
pub struct Pool {
    runtime: tokio::runtime::Handle,
    waker: Waker,
}

impl Pool {
    /// A pool on `runtime` that wakes `waker` whenever something is done.
    pub fn new(runtime: tokio::runtime::Handle, waker: Waker) -> Self {
        Pool { runtime, waker }
    }

    /// Starts `work`; its worker is woken when it is done.
    pub fn spawn<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Ticket<R> {
        let (tx, rx) = mpsc::sync_channel(1);
        let waker = self.waker.clone();
        self.runtime.spawn_blocking(move || {
            let _ = tx.send(work());
            waker.wake();
        });
        Ticket(rx)
    }
}

/// A result that is on its way from the [`Pool`].
#[derive(Debug)]
pub struct Ticket<R>(mpsc::Receiver<R>);

impl<R> Ticket<R> {
    /// The result, if it is there. Take it once.
    pub fn poll(&mut self) -> Result<Option<R>> {
        match self.0.try_recv() {
            Ok(r) => Ok(Some(r)),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => {
                Err(Error::Config("work on the pool panicked or the runtime has been shut down".into()))
            }
        }
    }
}
