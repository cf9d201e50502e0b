//! One FIFO between two subtasks: batches by pointer, control events in band.
//!
//! There is a queue for every (edge, from, to), so that a blocked edge never hides another
//! edge's barrier. What lies in all queues of a job together is bounded by one [`ByteBudget`];
//! an empty queue may always take one batch, so nobody starves and nothing deadlocks.

use std::{
    any::Any,
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{checkpoint::Barrier, task::pool::Waker};

/// What travels in band.
pub enum Message {
    /// Records: a `Vec<Record<T>>` whose type the two ends know.
    Batch(AnyBatch),
    /// Everything else.
    Control(Control),
}

/// A batch without its type.
pub struct AnyBatch {
    /// The `Vec<Record<T>>`.
    pub records: Box<dyn Any + Send>,
    /// Its weight against the budget.
    pub bytes: usize,
}

/// Control events travel between batches, in order with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Event time has come to here.
    Watermark(i64),
    /// Nothing is to be expected for now: this channel does not hold the watermark back.
    Idle,
    /// A checkpoint's barrier.
    Barrier(Barrier),
    /// No record and no watermark will follow; barriers still do.
    EndOfInput,
}

/// The bytes that may lie in all queues of a job.
#[derive(Debug)]
pub struct ByteBudget {
    limit: usize,
    used: AtomicUsize,
}

impl ByteBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(ByteBudget { limit, used: AtomicUsize::new(0) })
    }

    /// Bytes that lie in queues now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize, even_if_over: bool) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= self.limit || even_if_over {
            return true;
        }
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

struct Queue {
    messages: Mutex<VecDeque<Message>>,
    /// How many messages there are: read without the lock.
    len: AtomicUsize,
    /// How many of them are batches.
    batches: AtomicUsize,
    budget: Arc<ByteBudget>,
    sender: Waker,
    receiver: Waker,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.messages.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn push(&self, message: Message) {
        self.lock().push_back(message);
        self.len.fetch_add(1, Ordering::Release);
        self.receiver.wake();
    }
}

/// A queue's writing end.
pub struct Sender(Arc<Queue>);

/// A queue's reading end.
pub struct Receiver(Arc<Queue>);

/// A queue between two workers; the wakers are the workers'.
pub fn channel(budget: Arc<ByteBudget>, sender: Waker, receiver: Waker) -> (Sender, Receiver) {
    let queue = Arc::new(Queue {
        messages: Mutex::new(VecDeque::new()),
        len: AtomicUsize::new(0),
        batches: AtomicUsize::new(0),
        budget,
        sender,
        receiver,
    });
    (Sender(queue.clone()), Receiver(queue))
}

impl Sender {
    /// Sends a batch, or gives it back when there is no room.
    pub fn try_send(&self, batch: AnyBatch) -> Result<(), AnyBatch> {
        let empty = self.0.batches.load(Ordering::Acquire) == 0;
        if !self.0.budget.take(batch.bytes, empty) {
            return Err(batch);
        }
        self.0.batches.fetch_add(1, Ordering::AcqRel);
        self.0.push(Message::Batch(batch));
        Ok(())
    }

    /// Sends a control event: always possible, they are few and small.
    pub fn send_control(&self, control: Control) {
        self.0.push(Message::Control(control));
    }
}

impl Receiver {
    /// The next message, if there is one.
    pub fn try_recv(&self) -> Option<Message> {
        if self.0.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let message = self.0.lock().pop_front()?;
        self.0.len.fetch_sub(1, Ordering::AcqRel);
        if let Message::Batch(batch) = &message {
            self.0.batches.fetch_sub(1, Ordering::AcqRel);
            self.0.budget.give_back(batch.bytes);
            self.0.sender.wake();
        }
        Some(message)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.len.load(Ordering::Acquire) == 0
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.0.len.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(bytes: usize) -> AnyBatch {
        AnyBatch { records: Box::new(Vec::<u8>::new()), bytes }
    }

    #[test]
    fn every_queue_may_hold_one_batch_and_the_budget_bounds_the_rest() {
        let budget = ByteBudget::new(100);
        let (a, a_end) = channel(budget.clone(), Waker::default(), Waker::default());
        let (b, b_end) = channel(budget.clone(), Waker::default(), Waker::default());
        assert!(a.try_send(batch(90)).is_ok());
        assert!(a.try_send(batch(20)).is_err(), "over the budget");
        assert!(b.try_send(batch(500)).is_ok(), "an empty queue always takes one");
        assert!(b.try_send(batch(1)).is_err());
        assert!(b_end.try_recv().is_some());
        assert!(a.try_send(batch(10)).is_ok());
        assert_eq!((a_end.len(), budget.used()), (2, 100));
    }

    #[test]
    fn control_events_keep_their_place() {
        let (tx, rx) = channel(ByteBudget::new(1), Waker::default(), Waker::default());
        assert!(tx.try_send(batch(1)).is_ok());
        tx.send_control(Control::Watermark(7));
        assert!(matches!(rx.try_recv(), Some(Message::Batch(_))));
        assert!(matches!(rx.try_recv(), Some(Message::Control(Control::Watermark(7)))));
        assert!(rx.try_recv().is_none());
    }
}
