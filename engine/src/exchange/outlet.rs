//! The end of a chain: where records become batches and go into channels.
//!
//! An outlet never blocks. A batch that its channel cannot take waits in the outlet, which is
//! then *full*; the chain is not scheduled again before it is drained. Which channel a record
//! takes is decided statically: [`ForwardOutlet`] keeps to its own subtask, [`KeyedOutlet`]
//! goes by Flink's key groups.

use std::{collections::VecDeque, marker::PhantomData};

use hurtig_state::{Key, key_group, operator_index};

use super::channel::{AnyBatch, Control, Message, Sender};
use crate::record::{Data, Record};

/// Where a chain's records go.
pub trait Outlet<T>: 'static {
    /// Takes a record. Always possible; look at [`is_full`](Self::is_full) after.
    fn push(&mut self, record: Record<T>);

    /// Whether batches wait that no channel took.
    fn is_full(&self) -> bool;

    /// Sends what has been collected, however little it is.
    fn flush(&mut self);

    /// Sends a control event to everybody downstream, behind all records pushed so far.
    fn control(&mut self, control: Control);

    /// Tries again to send what waits. `true`: nothing waits any more.
    fn drain(&mut self) -> bool;
}

/// About as many bytes as a batch should have: it has to fit into a core's own cache.
const BATCH_BYTES: usize = 128 << 10;

/// One channel with the batch that is being filled for it.
pub struct Lane<T> {
    sender: Sender,
    batch: Vec<Record<T>>,
    capacity: usize,
    waiting: VecDeque<Message>,
}

impl<T: Data> Lane<T> {
    /// A lane into `sender`.
    pub fn new(sender: Sender) -> Self {
        let capacity = (BATCH_BYTES / size_of::<Record<T>>().max(1)).clamp(64, 2048);
        Lane { sender, batch: Vec::new(), capacity, waiting: VecDeque::new() }
    }

    /// Adds a record; `true` when the batch is complete and should be shipped.
    #[inline]
    fn push(&mut self, record: Record<T>) -> bool {
        if self.batch.capacity() == 0 {
            self.batch.reserve_exact(self.capacity);
        }
        self.batch.push(record);
        self.batch.len() >= self.capacity
    }

    /// What a batch weighs: its records as they lie in memory, or the bytes of its first record
    /// where those are more (long strings and nested data live elsewhere on the heap).
    fn weight(&self) -> usize {
        let inline = size_of::<Record<T>>();
        let encoded =
            self.batch.first().map_or(0, |r| postcard::experimental::serialized_size(&r.value).unwrap_or(inline));
        self.batch.len() * inline.max(encoded)
    }

    /// Sends the batch as it is. `true`: it went, nothing waits.
    fn ship(&mut self) -> bool {
        if !self.batch.is_empty() {
            let bytes = self.weight();
            let records = std::mem::take(&mut self.batch);
            self.send(Message::Batch(AnyBatch { records: Box::new(records), bytes }));
        }
        self.waiting.is_empty()
    }

    fn send(&mut self, message: Message) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(message);
            return;
        }
        match message {
            Message::Control(c) => self.sender.send_control(c),
            Message::Batch(b) => {
                if let Err(b) = self.sender.try_send(b) {
                    self.waiting.push_back(Message::Batch(b));
                }
            }
        }
    }

    fn control(&mut self, control: Control) -> bool {
        self.ship();
        self.send(Message::Control(control));
        self.waiting.is_empty()
    }

    fn drain(&mut self) -> bool {
        while let Some(message) = self.waiting.pop_front() {
            match message {
                Message::Control(c) => self.sender.send_control(c),
                Message::Batch(b) => {
                    if let Err(b) = self.sender.try_send(b) {
                        self.waiting.push_front(Message::Batch(b));
                        return false;
                    }
                }
            }
        }
        true
    }
}

/// A group of lanes of one edge and the flag that says whether one of them is stuck.
struct Lanes<T> {
    lanes: Vec<Lane<T>>,
    full: bool,
}

impl<T: Data> Lanes<T> {
    #[inline]
    fn push(&mut self, lane: usize, record: Record<T>) {
        if self.lanes[lane].push(record) && !self.lanes[lane].ship() {
            self.full = true;
        }
    }

    fn flush(&mut self) {
        for lane in &mut self.lanes {
            self.full |= !lane.ship();
        }
    }

    fn control(&mut self, control: Control) {
        for lane in &mut self.lanes {
            self.full |= !lane.control(control);
        }
    }

    fn drain(&mut self) -> bool {
        if self.full {
            let mut drained = true;
            for lane in &mut self.lanes {
                drained &= lane.drain();
            }
            self.full = !drained;
        }
        !self.full
    }
}

/// The downstream ends of one edge, as one upstream subtask sees them.
pub struct EdgeSenders {
    /// One for every downstream subtask that this subtask may send to.
    pub senders: Vec<Sender>,
}

/// Keeps records on their worker (Flink's FORWARD), and serves every consumer of a stream: the
/// last one gets the record, the others a copy. Where a consumer has another parallelism, its
/// share of channels is used in turn (REBALANCE).
pub struct ForwardOutlet<T> {
    edges: Vec<Lanes<T>>,
    /// Which lane of each edge is being filled.
    turn: Vec<usize>,
}

impl<T: Data> ForwardOutlet<T> {
    /// An outlet to all consumers.
    pub fn new(edges: Vec<EdgeSenders>) -> Self {
        let edges: Vec<_> = edges
            .into_iter()
            .map(|e| Lanes { lanes: e.senders.into_iter().map(Lane::new).collect(), full: false })
            .collect();
        ForwardOutlet { turn: vec![0; edges.len()], edges }
    }

    /// Whether anybody gets what is pushed.
    pub fn has_readers(&self) -> bool {
        !self.edges.is_empty()
    }

    #[inline]
    fn push_to(edge: &mut Lanes<T>, turn: &mut usize, record: Record<T>) {
        let lane = *turn;
        if edge.lanes[lane].push(record) {
            if !edge.lanes[lane].ship() {
                edge.full = true;
            }
            *turn = if lane + 1 == edge.lanes.len() { 0 } else { lane + 1 };
        }
    }
}

impl<T: Data> Outlet<T> for ForwardOutlet<T> {
    #[inline]
    fn push(&mut self, record: Record<T>) {
        let Some(last) = self.edges.len().checked_sub(1) else { return };
        for i in 0..last {
            Self::push_to(&mut self.edges[i], &mut self.turn[i], record.clone());
        }
        Self::push_to(&mut self.edges[last], &mut self.turn[last], record);
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.edges.iter().any(|e| e.full)
    }

    fn flush(&mut self) {
        for e in &mut self.edges {
            e.flush();
        }
    }

    fn control(&mut self, control: Control) {
        for e in &mut self.edges {
            e.control(control);
        }
    }

    fn drain(&mut self) -> bool {
        let mut drained = true;
        for e in &mut self.edges {
            drained &= e.drain();
        }
        drained
    }
}

/// Sends every record to the worker that owns its key's group (Flink's HASH).
pub struct KeyedOutlet<T, K, F> {
    lanes: Lanes<T>,
    key: F,
    max_parallelism: u16,
    /// Key group → lane.
    routes: Vec<u16>,
    _key: PhantomData<fn() -> K>,
}

impl<T: Data, K: Key, F: Fn(&T) -> K + 'static> KeyedOutlet<T, K, F> {
    /// An outlet over one lane per downstream subtask.
    pub fn new(edge: EdgeSenders, key: F, max_parallelism: u16) -> Self {
        let parallelism = edge.senders.len() as u16;
        let routes = (0..max_parallelism).map(|group| operator_index(max_parallelism, parallelism, group)).collect();
        let lanes = edge.senders.into_iter().map(Lane::new).collect();
        KeyedOutlet { lanes: Lanes { lanes, full: false }, key, max_parallelism, routes, _key: PhantomData }
    }
}

impl<T: Data, K: Key, F: Fn(&T) -> K + 'static> Outlet<T> for KeyedOutlet<T, K, F> {
    #[inline]
    fn push(&mut self, record: Record<T>) {
        let hash = (self.key)(&record.value).java_hash();
        let group = key_group(hash, self.max_parallelism);
        let lane = self.routes[usize::from(group)];
        self.lanes.push(usize::from(lane), record);
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.lanes.full
    }

    fn flush(&mut self) {
        self.lanes.flush();
    }

    fn control(&mut self, control: Control) {
        self.lanes.control(control);
    }

    fn drain(&mut self) -> bool {
        self.lanes.drain()
    }
}

/// The end of a chain that emits nothing.
#[derive(Debug, Default)]
pub struct NoOutlet;

impl<T> Outlet<T> for NoOutlet {
    #[inline]
    fn push(&mut self, _record: Record<T>) {}

    #[inline]
    fn is_full(&self) -> bool {
        false
    }

    fn flush(&mut self) {}

    fn control(&mut self, _control: Control) {}

    fn drain(&mut self) -> bool {
        true
    }
}
