//! Timers: a set of (time, key), popped in the order of time, then key group, then key bytes, the
//! same on both back ends and after every restore.
//!
//! The earliest timers (the head) are in memory; with RocksDB the rest is in the store, as
//! `[key group][time][key]`. `bound` divides the two: whatever lies before it is in the head,
//! everything else in the store or, not yet written, in `pending`. A timer that is set and fires
//! or is deleted between two barriers is never written. Timers that have fired leave no
//! tombstones: everything before the earliest live timer is garbage, which compaction drops.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::budget::Account;
use crate::core::Core;
use crate::encoding::{append_key_group, ordered_time, read, read_key_group, read_ordered_time};
use crate::run::{Op, Run};
use crate::snapshot::TimerMeta;
use crate::stats::BackendStats;
use crate::store::TableId;
use crate::{Key, Result};

/// What a timer in memory costs, with its share of the tree.
const TIMER_BYTES: usize = 112;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Timer {
    time: i64,
    /// `[key group][key]`.
    key: SmallVec<[u8; 24]>,
}

impl Timer {
    /// The first possible timer of a time.
    fn first_of(time: i64) -> Self {
        Self { time, key: SmallVec::new() }
    }

    /// The next possible timer.
    fn successor(&self) -> Self {
        let mut next = self.clone();
        next.key.push(0);
        next
    }

    fn append_stored(&self, width: usize, out: &mut Vec<u8>) {
        let (group, key) = self.key.split_at(width.min(self.key.len()));
        out.extend_from_slice(group);
        out.extend_from_slice(&ordered_time(self.time));
        out.extend_from_slice(key);
    }

    fn from_stored(stored: &[u8], width: usize) -> Option<Self> {
        let (group, rest) = stored.split_at_checked(width)?;
        let mut key = SmallVec::from_slice(group);
        key.extend_from_slice(rest.get(8..)?);
        Some(Self { time: read_ordered_time(rest)?, key })
    }

    /// The first stored key in `group` that is not before this timer.
    fn bound_in(&self, group: u16, width: usize) -> Vec<u8> {
        let mut out = Vec::new();
        append_key_group(group, width, &mut out);
        match read_key_group(&self.key, width) {
            // Of this time, the group's timers lie before this one: begin with the next time.
            Some(own) if group < own => match self.time.checked_add(1) {
                Some(next) => out.extend_from_slice(&ordered_time(next)),
                None => out.extend_from_slice(&[0xff; 16]),
            },
            Some(own) if group == own => {
                out.extend_from_slice(&ordered_time(self.time));
                out.extend_from_slice(self.key.get(width..).unwrap_or_default());
            }
            _ => out.extend_from_slice(&ordered_time(self.time)),
        }
        out
    }
}

/// The timers of one time domain.
pub(crate) struct TimerService {
    name: &'static str,
    table: TableId,
    /// The earliest timers, and whether the store has them.
    head: BTreeMap<Timer, bool>,
    /// How many of them the store has not.
    unsaved: usize,
    /// `None`: the head is everything.
    bound: Option<Timer>,
    /// Not yet written: timers set (true) or deleted (false).
    pending: HashMap<Timer, bool, foldhash::fast::FixedState>,
    /// The latest time popped.
    popped_to: i64,
    /// Whether any timer was popped that the store has, since the horizon was last moved.
    popped_stored: bool,
    /// What the store has before this is garbage.
    horizon: i64,
    account: Account,
}

impl TimerService {
    pub(crate) fn new(name: &'static str, table: TableId, account: Account, restored: TimerMeta) -> Self {
        Self {
            name,
            table,
            head: BTreeMap::new(),
            unsaved: 0,
            bound: restored.any.then(|| Timer::first_of(restored.horizon.unwrap_or(i64::MIN))),
            pending: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(7)),
            popped_to: i64::MIN,
            popped_stored: false,
            horizon: restored.horizon.unwrap_or(i64::MIN),
            account,
        }
    }

    /// Sets a timer for the current key.
    pub(crate) fn register<K: Key>(&mut self, core: &mut Core<K>, time: i64) -> Result<()> {
        let timer = self.timer(core, time)?;
        self.register_timer(core, timer)
    }

    fn register_timer<K: Key>(&mut self, core: &mut Core<K>, timer: Timer) -> Result<()> {
        if self.bound.as_ref().is_none_or(|bound| timer < *bound) {
            // Deleted, but the store still has it: then it is simply there again.
            let stored = !self.pending.is_empty() && self.pending.remove(&timer).is_some();
            if let std::collections::btree_map::Entry::Vacant(vacant) = self.head.entry(timer) {
                vacant.insert(stored);
                self.unsaved += usize::from(!stored);
                if self.head.len() > self.head_limit(core) {
                    self.spill(core)?;
                }
            }
        } else {
            self.pending.insert(timer, true);
            self.limit_pending(core)?;
        }
        Ok(())
    }

    /// Deletes a timer of the current key, if there is one.
    pub(crate) fn delete<K: Key>(&mut self, core: &mut Core<K>, time: i64) -> Result<()> {
        let timer = self.timer(core, time)?;
        if self.bound.as_ref().is_none_or(|bound| timer < *bound) {
            match self.head.remove(&timer) {
                Some(true) => {
                    self.pending.insert(timer, false);
                    self.limit_pending(core)?;
                }
                Some(false) => self.unsaved -= 1,
                None => {}
            }
        } else {
            self.pending.insert(timer, false);
            self.limit_pending(core)?;
        }
        Ok(())
    }

    /// Takes the first timer that is not after `up_to`.
    pub(crate) fn pop<K: Key>(&mut self, core: &mut Core<K>, up_to: i64) -> Result<Option<(i64, K)>> {
        if self.head.is_empty() && self.bound.as_ref().is_some_and(|bound| bound.time <= up_to) {
            self.refill(core)?;
        }
        let Some(first) = self.head.first_entry() else {
            return Ok(None);
        };
        if first.key().time > up_to {
            return Ok(None);
        }
        let (timer, stored) = first.remove_entry();
        self.unsaved -= usize::from(!stored);
        self.popped_stored |= stored;
        self.popped_to = self.popped_to.max(timer.time);
        let key = timer.key.get(core.width..).unwrap_or_default();
        let key = read(key).map_err(|source| core.decode_error::<K>(self.name, source))?;
        Ok(Some((timer.time, key)))
    }

    /// The first timer's time.
    pub(crate) fn next<K: Key>(&mut self, core: &mut Core<K>) -> Result<Option<i64>> {
        if self.head.is_empty() && self.bound.is_some() {
            self.refill(core)?;
        }
        Ok(self.head.first_key_value().map(|(timer, _)| timer.time))
    }

    fn timer<K: Key>(&self, core: &Core<K>, time: i64) -> Result<Timer> {
        let key = core.key()?;
        let mut bytes: SmallVec<[u8; 24]> = SmallVec::new();
        let group = core.group_of(key)?;
        if core.width == 1 {
            bytes.push(group as u8);
        } else {
            bytes.extend_from_slice(&group.to_be_bytes());
        }
        let mut appended = Appended(bytes);
        postcard::serialize_with_flavor(key, &mut appended).map_err(|source| core.encode_error(self.name, source))?;
        Ok(Timer { time, key: appended.0 })
    }

    /// How many timers the head may hold.
    fn head_limit<K: Key>(&self, core: &Core<K>) -> usize {
        if core.store.is_heap() {
            return usize::MAX;
        }
        (core.budget.fair_share() / 2 / TIMER_BYTES).clamp(64, 1 << 20)
    }

    fn limit_pending<K: Key>(&mut self, core: &mut Core<K>) -> Result<()> {
        if self.pending.len() > self.head_limit(core) / 2 { self.flush(core) } else { Ok(()) }
    }

    /// The head is too long: its later half goes to the store.
    fn spill<K: Key>(&mut self, core: &mut Core<K>) -> Result<()> {
        let Some(middle) = self.head.keys().nth(self.head.len() / 2).cloned() else {
            return Ok(());
        };
        self.spill_from(core, middle)
    }

    fn spill_from<K: Key>(&mut self, core: &mut Core<K>, from: Timer) -> Result<()> {
        // Before the bound moves: beyond it, everything in the store counts as live.
        self.move_horizon(core)?;
        let tail = self.head.split_off(&from);
        for (timer, stored) in tail {
            if !stored {
                self.unsaved -= 1;
                self.pending.insert(timer, true);
            }
        }
        self.bound = Some(from);
        self.flush(core)
    }

    /// Writes everything and empties the head.
    pub(crate) fn evict<K: Key>(&mut self, core: &mut Core<K>) -> Result<()> {
        match self.head.first_key_value().map(|(timer, _)| timer.clone()) {
            Some(first) if !core.store.is_heap() => self.spill_from(core, first),
            _ => self.flush(core),
        }
    }

    /// Reads the next timers from the store. The head is empty and there is a bound.
    #[cold]
    fn refill<K: Key>(&mut self, core: &mut Core<K>) -> Result<()> {
        if !self.pending.is_empty() {
            self.flush(core)?;
        }
        let Some(bound) = self.bound.take() else {
            return Ok(());
        };
        let width = core.width;
        let each = (self.head_limit(core) / 2 / core.key_groups.len()).clamp(16, 4096);
        // Timers after this may be missing some of a key group that had more than were read.
        let mut cut: Option<Timer> = None;
        let mut page: Vec<Timer> = Vec::new();
        for group in core.key_groups.iter() {
            let from = bound.bound_in(group, width);
            let mut to = Vec::new();
            append_key_group(group, width, &mut to);
            let to = crate::encoding::prefix_end(&to);
            let mut count = 0;
            let mut last = None;
            core.store.scan(self.table, &from, to.as_deref(), |stored, _| {
                let timer = Timer::from_stored(stored, width).ok_or_else(|| core.damaged::<K>(self.name))?;
                // Beyond the cut nothing can be used.
                if cut.as_ref().is_some_and(|cut| timer > *cut) {
                    return Ok(false);
                }
                count += 1;
                if count == each {
                    last = Some(timer.clone());
                }
                page.push(timer);
                Ok(count < each)
            })?;
            if let Some(last) = last
                && cut.as_ref().is_none_or(|cut| last < *cut)
            {
                cut = Some(last);
            }
        }
        match cut {
            Some(cut) => {
                self.bound = Some(cut.successor());
                self.head = page.into_iter().filter(|timer| *timer <= cut).map(|timer| (timer, true)).collect();
            }
            None => self.head = page.into_iter().map(|timer| (timer, true)).collect(),
        }
        self.settle();
        Ok(())
    }

    /// Writes what the store has not, and moves the horizon on.
    pub(crate) fn flush<K: Key>(&mut self, core: &mut Core<K>) -> Result<()> {
        if core.store.is_heap() {
            self.settle();
            return Ok(());
        }
        self.move_horizon(core)?;
        let mut run = std::mem::take(&mut core.run);
        run.clear();
        if self.unsaved > 0 {
            for (timer, stored) in &mut self.head {
                if !*stored {
                    *stored = true;
                    timer.append_stored(core.width, run.buffer());
                    let key = run.key_len();
                    run.push(Op::Put, key);
                }
            }
            self.unsaved = 0;
        }
        for (timer, set) in self.pending.drain() {
            // Before the horizon it is garbage already.
            if set || timer.time >= self.horizon {
                timer.append_stored(core.width, run.buffer());
                let key = run.key_len();
                run.push(if set { Op::Put } else { Op::Delete }, key);
            }
        }
        core.write_run(self.table, &mut run)?;
        run.shrink(1 << 20);
        core.run = run;
        self.settle();
        Ok(())
    }

    /// Everything stored before the earliest live timer is garbage. Where a timer was set for a
    /// time before others that have fired, what these left in the store must be deleted instead.
    fn move_horizon<K: Key>(&mut self, core: &mut Core<K>) -> Result<()> {
        let head = self.head.first_key_value().map(|(timer, _)| timer.time);
        let earliest = match (head, &self.bound) {
            (Some(head), Some(bound)) => head.min(bound.time),
            (Some(head), None) => head,
            (None, Some(bound)) => bound.time,
            (None, None) => i64::MAX,
        };
        let fired = if self.popped_stored { self.popped_to.saturating_add(1) } else { i64::MIN };
        let garbage = self.horizon.max(fired);
        if earliest < garbage {
            self.delete_fired(core, earliest, garbage)?;
            self.horizon = earliest;
        } else {
            self.horizon = garbage;
        }
        self.popped_stored = false;
        core.store.set_horizon(self.table, self.horizon);
        Ok(())
    }

    /// Deletes what the store has of `[from, to)` before the bound; what is live of it is in the
    /// head and will be written again.
    fn delete_fired<K: Key>(&mut self, core: &mut Core<K>, from: i64, to: i64) -> Result<()> {
        let (from, to) = (Timer::first_of(from), Timer::first_of(to));
        let ranges: Vec<_> = core
            .key_groups
            .iter()
            .map(|group| {
                let upper = to.bound_in(group, core.width);
                let upper = match &self.bound {
                    Some(bound) => upper.min(bound.bound_in(group, core.width)),
                    None => upper,
                };
                (from.bound_in(group, core.width), upper)
            })
            .filter(|(from, to)| from < to)
            .collect();
        core.store.delete_ranges(self.table, &ranges)?;
        for (_, stored) in self.head.range_mut(from..to) {
            self.unsaved += usize::from(*stored);
            *stored = false;
        }
        Ok(())
    }

    fn settle(&mut self) {
        self.account.force((self.head.len() + self.pending.len()) * TIMER_BYTES);
    }

    /// What a snapshot records; after a flush.
    pub(crate) fn meta(&self) -> TimerMeta {
        TimerMeta {
            any: !self.head.is_empty() || self.bound.is_some(),
            horizon: (self.horizon != i64::MIN).then_some(self.horizon),
        }
    }

    /// Appends every timer: the heap's snapshot.
    pub(crate) fn dump(&self, width: usize, run: &mut Run) {
        for timer in self.head.keys() {
            timer.append_stored(width, run.buffer());
            let key = run.key_len();
            run.push(Op::Put, key);
        }
    }

    /// Takes one restored timer over: the heap's restore.
    pub(crate) fn load<K: Key>(&mut self, core: &mut Core<K>, stored: &[u8]) -> Result<()> {
        let timer = Timer::from_stored(stored, core.width).ok_or_else(|| core.damaged::<K>(self.name))?;
        self.bound = None;
        if timer.time >= self.horizon {
            self.register_timer(core, timer)?;
        }
        Ok(())
    }

    /// The heap has everything in memory.
    pub(crate) fn loaded(&mut self) {
        self.bound = None;
        self.horizon = i64::MIN;
    }

    pub(crate) fn stats(&self, stats: &mut BackendStats) {
        stats.timers_in_memory += (self.head.len() + self.pending.len()) as u64;
        stats.bytes += ((self.head.len() + self.pending.len()) * TIMER_BYTES) as u64;
    }
}

/// Serializes behind what a small vector holds.
struct Appended(SmallVec<[u8; 24]>);

impl postcard::ser_flavors::Flavor for &mut Appended {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
