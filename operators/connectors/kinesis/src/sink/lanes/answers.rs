//! What became of what was sent: it is acknowledged, or waits again in front of what came after it.

use std::{cmp::Reverse, sync::Arc};

use rand::{Rng, rngs::SmallRng};

use super::{
    super::{member::Member, payload},
    Answer, Lanes, Unit,
};

/// So many queues of ended lanes are kept, none larger than this.
const SPARES: usize = 1_000;
const SPARE_CAPACITY: usize = 4;

impl Lanes {
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
    pub(super) fn resolve(&mut self, unit: Unit, shard: Arc<str>, listings: u8) {
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
            self.end_lane(unit.lane);
        } else {
            self.list(unit.lane, false);
        }
    }

    /// Nothing waits in it and nothing of it is under way.
    fn end_lane(&mut self, key: u128) {
        let Some(lane) = self.lanes.remove(&key) else { return };
        // One that was long once keeps its memory no longer.
        if lane.queue.capacity() <= SPARE_CAPACITY && self.spare.len() < SPARES {
            self.spare.push(lane.queue);
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
                Some(lane) if lane.queue.is_empty() => self.end_lane(unit.lane),
                _ => self.list(unit.lane, true),
            }
        }
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
