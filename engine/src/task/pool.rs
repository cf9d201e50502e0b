//! Work off the worker threads: a bounded pool for encoding and files, and the waker that tells
//! a worker when something it waits for has come.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::Thread,
    time::Duration,
};

use crate::{
    error::{Error, Result},
    worker::panic_message,
};

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
            self.0.notified.swap(false, Ordering::AcqRel);
        }
    }
}

/// The pool for work beyond a millisecond: encoding, compression, fsync. Its threads are the
/// blocking threads of the job's runtime, whose number is set explicitly.
#[derive(Clone)]
pub struct Pool {
    runtime: tokio::runtime::Handle,
    waker: Waker,
    under_way: UnderWay,
}

impl Pool {
    /// A pool on `runtime` that wakes `waker` whenever something is done.
    pub fn new(runtime: tokio::runtime::Handle, waker: Waker) -> Self {
        Self::counted(runtime, waker, UnderWay::default())
    }

    /// A pool whose work is counted by `under_way`.
    pub(crate) fn counted(runtime: tokio::runtime::Handle, waker: Waker, under_way: UnderWay) -> Self {
        Pool { runtime, waker, under_way }
    }

    /// Starts `work`; its worker is woken when it is done, also if it panics.
    pub fn spawn<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Ticket<R> {
        let (tx, rx) = mpsc::sync_channel(1);
        let (waker, job) = (self.waker.clone(), self.under_way.begin());
        self.runtime.spawn_blocking(move || {
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_message(panic.as_ref()).to_owned());
            let _ = tx.send(result);
            drop(job);
            waker.wake();
        });
        Ticket(rx)
    }
}

/// A result that is on its way from the [`Pool`].
#[derive(Debug)]
pub struct Ticket<R>(mpsc::Receiver<Result<R, String>>);

impl<R> Ticket<R> {
    /// The result, if it is there. Take it once.
    pub fn poll(&mut self) -> Result<Option<R>> {
        match self.0.try_recv() {
            Ok(Ok(r)) => Ok(Some(r)),
            Ok(Err(panic)) => Err(Error::Config(format!("panic on the pool: {panic}"))),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => Err(Error::Config("the job's runtime has been shut down".into())),
        }
    }
}

/// Counts the work that an attempt has on the pool: the next attempt must not begin, and remove
/// what was left behind, while the last one still writes.
#[derive(Clone, Default)]
pub(crate) struct UnderWay(Arc<(Mutex<usize>, Condvar)>);

impl UnderWay {
    fn count(&self) -> MutexGuard<'_, usize> {
        self.0.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn begin(&self) -> Job {
        *self.count() += 1;
        Job(self.clone())
    }

    /// Waits until nothing is under way. `patience`: not longer than that.
    pub(crate) fn wait(&self, patience: Option<Duration>) {
        let busy = |count: &mut usize| *count > 0;
        let (count, changed) = (self.count(), &self.0.1);
        match patience {
            None => drop(changed.wait_while(count, busy)),
            Some(limit) => drop(changed.wait_timeout_while(count, limit, busy)),
        }
    }
}

/// One piece of work; done when dropped, also by a runtime that shuts down before it began.
struct Job(UnderWay);

impl Drop for Job {
    fn drop(&mut self) {
        *self.0.count() -= 1;
        self.0.0.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_handed_on_and_work_is_waited_for() -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
        let under_way = UnderWay::default();
        let pool = Pool::counted(runtime.handle().clone(), Waker::default(), under_way.clone());
        let (gate, waits) = mpsc::channel::<()>();
        let mut slow = pool.spawn(move || waits.recv().is_err());
        let mut broken = pool.spawn(|| -> u8 { panic!("no such code page") });
        assert!(matches!(slow.poll(), Ok(None)));
        drop(gate);
        under_way.wait(None);
        assert!(matches!(slow.poll(), Ok(Some(true))));
        let error = broken.poll().map_err(|e| e.to_string());
        assert_eq!(error, Err("panic on the pool: no such code page".into()));
        Ok(())
    }
}
