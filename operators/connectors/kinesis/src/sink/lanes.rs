//! What may be sent when: the sink without its network.
//!
//! Kinesis takes the records of one request one by one and may refuse any of them, so order is
//! kept only among records that are not under way together. A **lane** is what must keep its
//! order, and has at most one unit under way, sent again until it is taken, before anything
//! behind it goes:
//!
//! - without aggregation a lane is one hash key, and a unit is one record;
//! - with aggregation a lane is one shard, and a unit is one aggregate. The records of a key are
//!   in order inside it.
//!
//! When the shards change, the lanes of aggregates are laid anew. A unit that is still under way
//! then holds up the lanes that share hash keys with it, so the order of a key holds across a
//! split or a merge.
//!
//! An aggregate that another shard took than was foreseen may hold members outside that shard's
//! range, which the KCL (and hurtig's source) drop: those are sent again, before what follows.
//!
//! `layout` says where a record waits, `sending` what goes next, `answers` what becomes of it then.
//!
//! Pure: the time is given, nothing is awaited. Milliseconds, on a clock that only goes forward.

mod answers;
mod layout;
mod sending;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

use foldhash::{HashMap, HashMapExt};
use rand::{SeedableRng, rngs::SmallRng};

use super::{
    heat::{Heat, HotShard},
    member::Member,
    rate::ShardRate,
    shard_map::ShardMap,
};
use crate::scaling::{HashRange, ShardLimits};

/// Bounds on what is sent.
#[derive(Debug, Clone, Copy)]
pub struct LaneOptions {
    /// Records, or aggregates, in a request.
    pub max_batch_size: usize,
    /// Bytes in a request, keys included.
    pub max_batch_size_in_bytes: usize,
    /// The largest aggregate, its partition key included; `None`: every record goes by itself.
    pub aggregate: Option<usize>,
    /// What a shard takes.
    pub limits: ShardLimits,
    /// The first wait after a refusal; it doubles with every other.
    pub backoff_min_ms: u64,
    /// The longest wait.
    pub backoff_max_ms: u64,
}

/// What is sent at once. Each unit becomes one entry of `PutRecords`.
#[derive(Debug, Clone)]
pub struct Request {
    /// To answer it by.
    pub id: u64,
    /// The units.
    pub units: Vec<Arc<[Member]>>,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The shard of this id has it.
    Taken(Arc<str>),
    /// The shard is at its limits.
    Throttled,
    /// It may be taken another time.
    Failed,
}

/// Cumulative figures of one shard.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShardTotals {
    /// Bytes it took.
    pub bytes: u64,
    /// Kinesis records it took; an aggregate is one.
    pub records: u64,
    /// Kinesis records it refused for its limits.
    pub throttled: u64,
}

/// An open shard, as the sink sees it.
#[derive(Debug)]
pub struct LaneShard {
    /// `ShardId`
    pub id: Arc<str>,
    /// Its hash keys.
    pub range: HashRange,
    /// How fast it is written.
    pub rate: ShardRate,
    /// What it took and refused.
    pub totals: ShardTotals,
    /// Lanes that have something to send, oldest first.
    ready: VecDeque<u128>,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Member>,
    bytes: usize,
    shard: usize,
    under_way: bool,
    /// It waits after a failure.
    parked: bool,
    listed: bool,
    failures: u32,
}

/// What is under way.
#[derive(Debug, Clone)]
struct Unit {
    lane: u128,
    layout: u64,
    shard: Arc<str>,
    range: HashRange,
    members: Arc<[Member]>,
    bytes: usize,
}

/// All lanes of one writer.
pub struct Lanes {
    options: LaneOptions,
    map: ShardMap,
    shards: Vec<LaneShard>,
    /// Counts the layouts: an old unit's lane is not there any more.
    layout: u64,
    lanes: HashMap<u128, Lane>,
    /// Of lanes that have ended: without aggregation one begins and ends with nearly every record.
    spare: Vec<VecDeque<Member>>,
    /// Before the shards are known.
    unplaced: Vec<Member>,
    requests: HashMap<u64, Vec<Unit>>,
    /// Taken by another shard than foreseen, and that shard's range is not known yet.
    unresolved: Vec<(Unit, Arc<str>, u8)>,
    parked: BinaryHeap<Reverse<(u64, u128)>>,
    next_number: u64,
    next_request: u64,
    next_shard: usize,
    /// Records before this one wait no longer for others to go with them.
    due_before: u64,
    waiting: usize,
    waiting_due: usize,
    waiting_bytes: usize,
    /// Records that were pushed and are not acknowledged.
    buffered: usize,
    buffered_bytes: usize,
    acknowledged: u64,
    refused: u64,
    pause_until: u64,
    failures: u32,
    stale: bool,
    heat: Heat,
    random: SmallRng,
}

impl Lanes {
    /// None yet: nothing is sent before [`set_shards`](Self::set_shards).
    pub fn new(options: LaneOptions, seed: u64) -> Self {
        Lanes {
            options,
            map: ShardMap::default(),
            shards: Vec::new(),
            layout: 0,
            lanes: HashMap::new(),
            spare: Vec::new(),
            unplaced: Vec::new(),
            requests: HashMap::new(),
            unresolved: Vec::new(),
            parked: BinaryHeap::new(),
            next_number: 0,
            next_request: 0,
            next_shard: 0,
            due_before: 0,
            waiting: 0,
            waiting_due: 0,
            waiting_bytes: 0,
            buffered: 0,
            buffered_bytes: 0,
            acknowledged: 0,
            refused: 0,
            pause_until: 0,
            failures: 0,
            stale: true,
            heat: Heat::default(),
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// Takes a record.
    pub fn push(&mut self, mut member: Member) {
        member.number = self.next_number;
        member.again = false;
        self.next_number += 1;
        self.buffered += 1;
        self.buffered_bytes += member.size();
        self.count_waiting(&member, 1);
        if self.shards.is_empty() { self.unplaced.push(member) } else { self.place(member, false) }
    }

    /// What has come so far is to be sent without waiting for more.
    pub fn force(&mut self) {
        self.due_before = self.next_number;
        self.waiting_due = self.waiting;
    }

    /// Records that were pushed and are not acknowledged.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// Their bytes.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    /// Records acknowledged since the last call.
    pub fn take_acknowledged(&mut self) -> u64 {
        std::mem::take(&mut self.acknowledged)
    }

    /// How often a record was refused and has to be sent again, in all.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The open shards, by their ranges.
    pub fn shards(&self) -> &[LaneShard] {
        &self.shards
    }

    /// Whether the shards have become known.
    pub fn has_shards(&self) -> bool {
        !self.shards.is_empty()
    }

    /// Whether the shards are to be listed again now: they are not those that were foreseen.
    pub fn wants_shards(&self) -> bool {
        self.stale
    }

    /// Whether there is enough for a request without waiting for more.
    pub fn is_full(&self) -> bool {
        let unit = self.options.aggregate.unwrap_or(usize::MAX);
        self.waiting_bytes >= unit.min(self.options.max_batch_size_in_bytes)
            || (self.options.aggregate.is_none() && self.waiting >= self.options.max_batch_size)
    }

    /// The shards that stood out since the last call.
    pub fn take_hot(&mut self) -> Vec<HotShard> {
        self.heat.close_window(&self.shards, self.options.limits)
    }

    /// How many shards stand out, as of the last [`take_hot`](Self::take_hot).
    pub fn hot_shards(&self) -> usize {
        self.heat.hot()
    }

    fn count_waiting(&mut self, member: &Member, n: isize) {
        self.waiting = self.waiting.wrapping_add_signed(n);
        self.waiting_bytes = self.waiting_bytes.wrapping_add_signed(n * member.size_in_aggregate() as isize);
        if member.again || member.number < self.due_before {
            self.waiting_due = self.waiting_due.wrapping_add_signed(n);
        }
    }
}
