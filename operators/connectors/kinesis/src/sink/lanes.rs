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
//! Pure: the time is given, nothing is awaited. Milliseconds, on a clock that only goes forward.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    heat::{Heat, HotShard},
    member::Member,
    payload,
    rate::ShardRate,
    shard_map::{ShardInfo, ShardMap},
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

    /// The next request, if something may be sent.
    pub fn next_request(&mut self, now: u64) -> Option<Request> {
        self.unpark(now);
        let all = self.is_full();
        if now < self.pause_until || self.shards.is_empty() || !(all || self.waiting_due > 0) {
            return None;
        }
        let mut units = Vec::new();
        let mut bytes = 0;
        let shards = self.shards.len();
        for i in 0..shards {
            let s = (self.next_shard + i) % shards;
            let mut left = self.shards[s].ready.len();
            while left > 0 && units.len() < self.options.max_batch_size && self.shards[s].rate.may_send(now) {
                left -= 1;
                let Some(lane) = self.shards[s].ready.pop_front() else { break };
                if !self.may_go(lane, all) {
                    self.shards[s].ready.push_back(lane);
                    continue;
                }
                let room = self.options.max_batch_size_in_bytes - bytes;
                let Some(unit) = self.take_unit(lane, if bytes == 0 { usize::MAX } else { room }) else {
                    self.shards[s].ready.push_front(lane);
                    break;
                };
                self.shards[s].rate.sent(unit.bytes);
                bytes = (bytes + unit.bytes).min(self.options.max_batch_size_in_bytes);
                units.push(unit);
            }
        }
        self.next_shard = (self.next_shard + 1) % shards;
        if units.is_empty() {
            return None;
        }
        let id = self.next_request;
        self.next_request += 1;
        let request = Request { id, units: units.iter().map(|u| u.members.clone()).collect() };
        self.requests.insert(id, units);
        Some(request)
    }

    /// When [`next_request`](Self::next_request) may have something, if nothing is answered before.
    pub fn wake_at(&self, now: u64) -> Option<u64> {
        let parked = self.parked.peek().map(|Reverse((at, _))| *at);
        if self.waiting_due == 0 && !self.is_full() {
            return parked;
        }
        let shards = self.shards.iter().filter(|s| !s.ready.is_empty()).map(|s| s.rate.available_at(now));
        // What could go now and did not waits for an answer, not for the time.
        let at = shards.chain(parked).map(|at| at.max(self.pause_until)).filter(|at| *at > now);
        at.min()
    }

    /// What became of the entries of a request, in its order; `None`: it got no answer, all of it
    /// is sent again.
    pub fn answered(&mut self, id: u64, now: u64, answers: Option<&[Answer]>) {
        let Some(units) = self.requests.remove(&id) else { return };
        let Some(answers) = answers.filter(|a| a.len() == units.len()) else {
            self.pause_until = now + self.backoff(self.failures);
            self.failures = self.failures.saturating_add(1);
            units.into_iter().for_each(|unit| self.put_back(unit, 0));
            return;
        };
        self.failures = 0;
        for (unit, answer) in units.into_iter().zip(answers) {
            match answer {
                Answer::Taken(shard) => self.taken(unit, shard, now),
                Answer::Throttled => self.throttled(unit, now),
                Answer::Failed => {
                    let failures = self.lanes.get(&unit.lane).map_or(0, |l| l.failures);
                    let until = now + self.backoff(failures);
                    self.put_back(unit, until);
                }
            }
        }
    }

    /// The shards as they are now.
    pub fn set_shards(&mut self, map: ShardMap, now: u64) {
        self.stale = false;
        let same =
            self.shards.len() == map.open().len() && self.shards.iter().zip(map.open()).all(|(a, b)| a.id == b.id);
        self.map = map;
        if !same {
            self.lay_out(now);
        }
        for (unit, shard, listings) in std::mem::take(&mut self.unresolved) {
            self.resolve(unit, shard, listings + 1);
        }
    }

    fn taken(&mut self, unit: Unit, shard: &Arc<str>, now: u64) {
        if let Some(s) = self.shards.iter_mut().find(|s| s.id == *shard) {
            s.rate.succeeded(now);
            s.totals.bytes += unit.bytes as u64;
            s.totals.records += 1;
        }
        if *shard == unit.shard {
            return self.acknowledge(unit);
        }
        self.stale = true;
        if unit.members.len() == 1 && !payload::is_wrapped(&unit.members, self.options.aggregate.is_some()) {
            return self.acknowledge(unit);
        }
        self.resolve(unit, shard.clone(), 0);
    }

    /// Another shard took this aggregate. Its members inside that shard's range are read from
    /// there; the others nobody may see.
    fn resolve(&mut self, unit: Unit, shard: Arc<str>, listings: u8) {
        let Some(range) = self.map.range(&shard) else {
            if listings < 2 {
                self.stale = true;
                self.unresolved.push((unit, shard, listings));
            } else {
                // Nobody knows that shard (any more): rather twice than never.
                self.put_back(unit, 0);
            }
            return;
        };
        let (inside, outside): (Vec<_>, Vec<_>) = unit.members.iter().cloned().partition(|m| range.contains(m.hash()));
        let part = |members: Vec<Member>| Unit { members: members.into(), ..unit.clone() };
        self.settle(&inside);
        // Also with nothing outside: it frees the lane.
        self.put_back(part(outside), 0);
    }

    fn throttled(&mut self, unit: Unit, now: u64) {
        let (min, max) = (self.options.backoff_min_ms, self.options.backoff_max_ms);
        if let Some(s) = self.shards.iter_mut().find(|s| s.id == unit.shard) {
            s.totals.throttled += 1;
            let random = &mut self.random;
            let before = s.rate.share();
            s.rate.throttled(now, |n| jittered(random, min, max, n));
            // The first throttling after a quiet time may come from a change of the shards.
            self.stale |= before >= 1.0;
        }
        self.put_back(unit, 0);
    }

    fn acknowledge(&mut self, unit: Unit) {
        self.settle(&unit.members);
        let Some(lane) = self.lanes.get_mut(&unit.lane).filter(|_| unit.layout == self.layout) else { return };
        lane.under_way = false;
        lane.failures = 0;
        if lane.queue.is_empty() {
            self.lanes.remove(&unit.lane);
        } else {
            self.list(unit.lane, false);
        }
    }

    fn settle(&mut self, members: &[Member]) {
        self.acknowledged += members.len() as u64;
        self.buffered -= members.len();
        self.buffered_bytes -= members.iter().map(Member::size).sum::<usize>();
    }

    /// To the front of where it belongs now; until then (0: not at all) its lane rests.
    fn put_back(&mut self, unit: Unit, until: u64) {
        self.refused += unit.members.len() as u64;
        let current = unit.layout == self.layout;
        if current && let Some(lane) = self.lanes.get_mut(&unit.lane) {
            lane.under_way = false;
            if until > 0 {
                lane.failures = lane.failures.saturating_add(1);
                lane.parked = true;
                self.parked.push(Reverse((until, unit.lane)));
            }
        }
        for member in unit.members.iter().rev() {
            let member = Member { again: true, ..member.clone() };
            self.count_waiting(&member, 1);
            self.place(member, true);
        }
        if current && unit.members.is_empty() {
            match self.lanes.get(&unit.lane) {
                Some(lane) if lane.queue.is_empty() => drop(self.lanes.remove(&unit.lane)),
                _ => self.list(unit.lane, true),
            }
        }
    }

    /// Into its lane, which is listed if it can go.
    fn place(&mut self, member: Member, front: bool) {
        let shard = self.map.locate(member.hash());
        let key = match self.options.aggregate {
            Some(_) => self.shards[shard].range.start,
            None => member.hash(),
        };
        let lane = self.lanes.entry(key).or_default();
        lane.shard = shard;
        lane.bytes += member.size_in_aggregate();
        if front {
            lane.queue.push_front(member)
        } else {
            lane.queue.push_back(member)
        }
        self.list(key, front);
    }

    fn list(&mut self, key: u128, front: bool) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.listed || lane.under_way || lane.parked || lane.queue.is_empty() {
            return;
        }
        lane.listed = true;
        let ready = &mut self.shards[lane.shard].ready;
        if front { ready.push_front(key) } else { ready.push_back(key) }
    }

    fn unpark(&mut self, now: u64) {
        while let Some(Reverse((at, key))) = self.parked.peek().copied()
            && at <= now
        {
            self.parked.pop();
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.parked = false;
                self.list(key, true);
            }
        }
    }

    /// Whether the lane's next unit can be sent. `all`: also what could wait for more.
    fn may_go(&self, key: u128, all: bool) -> bool {
        let Some(lane) = self.lanes.get(&key) else { return false };
        let Some(head) = lane.queue.front() else { return false };
        let due = head.again || head.number < self.due_before;
        let Some(limit) = self.options.aggregate else { return all || due };
        if !due && lane.bytes < limit {
            return false;
        }
        let range = self.shards[lane.shard].range;
        !self.units_under_way().any(|u| u.layout != self.layout && u.range.overlaps(range))
    }

    fn units_under_way(&self) -> impl Iterator<Item = &Unit> {
        self.requests.values().flatten().chain(self.unresolved.iter().map(|(unit, ..)| unit))
    }

    /// The lane's next unit, under way; `None` if it is larger than `room`.
    fn take_unit(&mut self, key: u128, room: usize) -> Option<Unit> {
        let lane = self.lanes.get_mut(&key)?;
        let largest = self.options.aggregate.unwrap_or(0).min(room);
        let head = lane.queue.front()?;
        let around = head.size_around();
        if around + head.size_in_aggregate() > room {
            return None;
        }
        let (mut members, mut bytes) = (Vec::new(), around);
        while let Some(next) = lane.queue.front()
            && (members.is_empty() || bytes + next.size_in_aggregate() <= largest)
        {
            bytes += next.size_in_aggregate();
            members.extend(lane.queue.pop_front());
        }
        lane.bytes -= bytes - around;
        lane.listed = false;
        lane.under_way = true;
        let shard = &self.shards[lane.shard];
        let hashes = || members.iter().map(Member::hash);
        let range = HashRange { start: hashes().min()?, end: hashes().max()? };
        if let [alone] = members.as_slice() {
            bytes = payload::size_alone(alone, self.options.aggregate.is_some());
        }
        let unit =
            Unit { lane: key, layout: self.layout, shard: shard.id.clone(), range, members: members.into(), bytes };
        for member in unit.members.iter() {
            self.count_waiting(member, -1);
            self.heat.see(&unit.shard, member);
        }
        Some(unit)
    }

    fn count_waiting(&mut self, member: &Member, n: isize) {
        self.waiting = self.waiting.wrapping_add_signed(n);
        self.waiting_bytes = self.waiting_bytes.wrapping_add_signed(n * member.size_in_aggregate() as isize);
        if member.again || member.number < self.due_before {
            self.waiting_due = self.waiting_due.wrapping_add_signed(n);
        }
    }

    /// New shards: what waits goes to where it belongs now, in the order in which it came.
    fn lay_out(&mut self, now: u64) {
        let mut before: HashMap<Arc<str>, LaneShard> = self.shards.drain(..).map(|s| (s.id.clone(), s)).collect();
        let open = self.map.open().to_vec();
        self.shards.extend(open.into_iter().map(|ShardInfo { id, range, .. }| match before.remove(&id) {
            Some(shard) => LaneShard { ready: VecDeque::new(), ..shard },
            None => LaneShard {
                rate: ShardRate::new(self.options.limits, now),
                totals: ShardTotals::default(),
                ready: VecDeque::new(),
                id,
                range,
            },
        }));
        let mut members = std::mem::take(&mut self.unplaced);
        if self.options.aggregate.is_some() {
            self.layout += 1;
            self.parked.clear();
            members.extend(self.lanes.drain().flat_map(|(_, lane)| lane.queue));
        } else {
            let mut lanes: Vec<_> = self.lanes.iter_mut().collect();
            lanes.sort_unstable_by_key(|(_, lane)| lane.queue.front().map(|m| m.number));
            for (hash, lane) in lanes {
                lane.shard = self.map.locate(*hash);
                if lane.listed {
                    self.shards[lane.shard].ready.push_back(*hash);
                }
            }
        }
        members.sort_unstable_by_key(|m| m.number);
        members.into_iter().for_each(|member| self.place(member, false));
    }

    fn backoff(&mut self, failures: u32) -> u64 {
        jittered(&mut self.random, self.options.backoff_min_ms, self.options.backoff_max_ms, failures)
    }
}

/// Doubles with every failure up to `max`; between half of it and all.
fn jittered(random: &mut SmallRng, min: u64, max: u64, failures: u32) -> u64 {
    let whole = min.max(1).saturating_mul(1 << failures.min(20)).min(max.max(1));
    random.random_range(whole.div_ceil(2)..=whole)
}
