//! What goes next.

use std::{cmp::Reverse, sync::Arc};

use super::{
    super::{member::Member, payload},
    Lanes, Request, Unit,
};
use crate::scaling::HashRange;

impl Lanes {
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
        let (mut count, mut bytes) = (0, around);
        for next in &lane.queue {
            if count > 0 && bytes + next.size_in_aggregate() > largest {
                break;
            }
            bytes += next.size_in_aggregate();
            count += 1;
        }
        let members: Arc<[Member]> = match count {
            // The usual case without aggregation, at one allocation.
            1 => Arc::new([lane.queue.pop_front()?]),
            _ => lane.queue.drain(..count).collect(),
        };
        lane.bytes -= bytes - around;
        lane.listed = false;
        lane.under_way = true;
        let shard = &self.shards[lane.shard];
        let hashes = || members.iter().map(Member::hash);
        let range = HashRange { start: hashes().min()?, end: hashes().max()? };
        if let [alone] = &*members {
            bytes = payload::size_alone(alone, self.options.aggregate.is_some());
        }
        let unit = Unit { lane: key, layout: self.layout, shard: shard.id.clone(), range, members, bytes };
        for member in unit.members.iter() {
            self.count_waiting(member, -1);
            self.heat.see(&unit.shard, member);
        }
        Some(unit)
    }
}
