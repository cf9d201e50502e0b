//! Where a record waits: which lane, which shard, and what becomes of that when the shards change.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{
    super::{
        member::Member,
        rate::ShardRate,
        shard_map::{ShardInfo, ShardMap},
    },
    Lane, LaneShard, Lanes, ShardTotals,
};

impl Lanes {
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

    /// Into its lane, which is listed if it can go.
    pub(super) fn place(&mut self, member: Member, front: bool) {
        let shard = self.map.locate(member.hash());
        let key = match self.options.aggregate {
            Some(_) => self.shards[shard].range.start,
            None => member.hash(),
        };
        let spare = &mut self.spare;
        let new = || Lane { queue: spare.pop().unwrap_or_default(), ..Lane::default() };
        let lane = self.lanes.entry(key).or_insert_with(new);
        lane.shard = shard;
        lane.bytes += member.size_in_aggregate();
        if front {
            lane.queue.push_front(member)
        } else {
            lane.queue.push_back(member)
        }
        self.list(key, front);
    }

    pub(super) fn list(&mut self, key: u128, front: bool) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.listed || lane.under_way || lane.parked || lane.queue.is_empty() {
            return;
        }
        lane.listed = true;
        let ready = &mut self.shards[lane.shard].ready;
        if front { ready.push_front(key) } else { ready.push_back(key) }
    }

    pub(super) fn unpark(&mut self, now: u64) {
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
}
