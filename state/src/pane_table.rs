//! The table behind [`PaneState`](crate::PaneState).

use hashbrown::HashTable;

use crate::announce::prefetch_entry;
use crate::core::{Core, Hasher};
use crate::encoding::{append, append_key_group, key_group_bound, ordered_time, read, read_ordered_time};
use crate::filter::Membership;
use crate::pane::{PaneCursor, Phase};
use crate::run::{Op, Run};
use crate::snapshot::{PaneMeta, StateMeta};
use crate::stats::BackendStats;
use crate::table::{Base, FIRST_CAPACITY, Flags, Table};
use crate::{Error, Key, Result, StateValue};

pub(crate) struct Entry<K, A> {
    pub(crate) key: K,
    pub(crate) accumulator: A,
    pub(crate) flags: Flags,
}

pub(crate) struct Pane<K, A> {
    pub(crate) start: i64,
    pub(crate) entries: HashTable<Entry<K, A>>,
    /// Whether the store may have entries of this pane.
    pub(crate) stored: bool,
    /// Which keys only the store has; `None`: none, memory has all.
    pub(crate) spilled: Option<Membership>,
    /// Being fired: must stay as it is.
    pub(crate) firing: bool,
    /// When it was last switched to.
    pub(crate) used: u64,
    /// Changes whenever an entry comes or goes.
    pub(crate) epoch: u64,
}

pub(crate) struct PaneTable<K, A> {
    pub(crate) base: Base,
    /// Ascending by start.
    pub(crate) panes: Vec<Pane<K, A>>,
    /// The pane used last.
    last: usize,
    tick: u64,
    /// The table of a purged pane, for the next one.
    pub(crate) spare: HashTable<Entry<K, A>>,
    /// Stored panes that start before this are garbage.
    horizon: i64,
    pub(crate) dirty_max: usize,
}

impl<K: Key, A: StateValue> PaneTable<K, A> {
    pub(crate) fn new(base: Base) -> Self {
        let restored = base.meta.panes.clone().unwrap_or_default();
        let panes = restored
            .live
            .iter()
            .map(|start| Pane {
                start: *start,
                entries: HashTable::new(),
                stored: true,
                spilled: Some(Membership::unknown(None)),
                firing: false,
                used: 0,
                epoch: 0,
            })
            .collect();
        Self {
            base,
            panes,
            last: 0,
            tick: 0,
            spare: HashTable::new(),
            horizon: restored.horizon.unwrap_or(i64::MIN),
            dirty_max: FIRST_CAPACITY,
        }
    }

    #[inline]
    pub(crate) fn entry(
        &mut self,
        core: &mut Core<K>,
        start: i64,
        key: &K,
        hash: u64,
        init: impl FnOnce() -> A,
    ) -> Result<&mut A> {
        debug_assert_eq!(hash, core.hasher.hash(key), "a key comes with its own hash");
        if self.base.pressure {
            self.relieve(core)?;
        }
        let at = match self.panes.get(self.last) {
            Some(pane) if pane.start == start => self.last,
            _ => self.switch_to(core, start)?,
        };
        let bucket = match self.panes[at].entries.find_bucket_index(hash, |entry| entry.key == *key) {
            Some(bucket) => bucket,
            None => self.insert(core, at, hash, key, init)?,
        };
        let Some(entry) = self.panes[at].entries.get_bucket_mut(bucket) else {
            return Err(core.damaged::<A>(&self.base.meta.name));
        };
        if entry.flags.set_dirty() {
            self.base.dirty += 1;
            self.base.pressure |= self.base.dirty >= self.dirty_max;
        } else {
            entry.flags.touch();
        }
        if self.base.sizer.due::<A>() {
            let mut bytes = Vec::new();
            let _ = append(&entry.accumulator, &mut bytes);
            self.base.sizer.sample(bytes.len(), size_of::<A>());
            self.base.pressure = true;
        }
        Ok(&mut entry.accumulator)
    }

    #[inline]
    pub(crate) fn prefetch_entry(&self, start: i64, hash: u64) {
        let pane = match self.panes.get(self.last) {
            Some(pane) if pane.start == start => Some(pane),
            _ => self.position(start).and_then(|at| self.panes.get(at)),
        };
        if let Some(pane) = pane {
            prefetch_entry(&pane.entries, hash);
        }
    }

    pub(crate) fn get(&mut self, core: &mut Core<K>, start: i64, key: &K) -> Result<Option<&A>> {
        let Some(at) = self.position(start) else {
            return Ok(None);
        };
        let hash = core.hasher.hash(key);
        let bucket = match self.panes[at].entries.find_bucket_index(hash, |entry| entry.key == *key) {
            Some(bucket) => bucket,
            None => match self.fetch(core, at, hash, key)? {
                Some(accumulator) => self.place(core, at, hash, key, accumulator)?,
                None => return Ok(None),
            },
        };
        Ok(self.panes[at].entries.get_bucket(bucket).map(|entry| &entry.accumulator))
    }

    pub(crate) fn windows(&self) -> impl Iterator<Item = i64> {
        self.panes.iter().map(|pane| pane.start)
    }

    pub(crate) fn fire(
        &mut self,
        core: &mut Core<K>,
        start: i64,
        cursor: &mut PaneCursor,
        max: usize,
        mut visit: impl FnMut(&K, &A),
    ) -> Result<bool> {
        let Some(at) = self.position(start) else {
            return Ok(true);
        };
        let pane = &mut self.panes[at];
        if matches!(cursor.phase, Phase::Start) {
            pane.firing = true;
            cursor.epoch = pane.epoch;
            cursor.phase = Phase::Memory(0);
        }
        if cursor.epoch != pane.epoch {
            return Err(Error::PaneChanged {
                uid: core.uid.to_string(),
                state: self.base.meta.name.clone(),
                window: start,
            });
        }
        let mut visited = 0;
        if let Phase::Memory(bucket) = &mut cursor.phase {
            while *bucket < pane.entries.num_buckets() {
                if visited == max {
                    return Ok(false);
                }
                if let Some(entry) = pane.entries.get_bucket(*bucket) {
                    visit(&entry.key, &entry.accumulator);
                    visited += 1;
                }
                *bucket += 1;
            }
            if pane.spilled.is_none() {
                return Ok(self.fired(at, cursor));
            }
            cursor.phase = Phase::Store(key_group_bound(u32::from(core.key_groups.start), core.width));
        }
        if let Phase::Store(from) = &mut cursor.phase
            && !self.fire_stored(core, at, from, max - visited, visit)?
        {
            return Ok(false);
        }
        Ok(self.fired(at, cursor))
    }

    fn fired(&mut self, at: usize, cursor: &mut PaneCursor) -> bool {
        if let Some(pane) = self.panes.get_mut(at) {
            pane.firing = false;
        }
        cursor.phase = Phase::Start;
        true
    }

    /// Visits what the store has of the pane and memory has not; true when through.
    fn fire_stored(
        &self,
        core: &Core<K>,
        at: usize,
        from: &mut Vec<u8>,
        max: usize,
        mut visit: impl FnMut(&K, &A),
    ) -> Result<bool> {
        let pane = &self.panes[at];
        let name = &self.base.meta.name;
        let (first, _) = core.split_group(from).unwrap_or((core.key_groups.start, &[]));
        let mut visited = 0;
        for group in first..=core.key_groups.end {
            let (lower, upper) = pane_bounds(core, group, pane.start);
            let lower = if *from > lower { std::mem::take(from) } else { lower };
            let mut stopped = false;
            core.store.scan(self.base.table, &lower, upper.as_deref(), |stored, value| {
                if visited == max {
                    stopped = true;
                    *from = stored.to_vec();
                    return Ok(false);
                }
                let key = stored.get(core.width + 8..).unwrap_or_default();
                let key: K = read(key).map_err(|source| core.decode_error::<K>(name, source))?;
                let hash = core.hasher.hash(&key);
                if pane.entries.find(hash, |entry| entry.key == key).is_none() {
                    let accumulator: A = read(value).map_err(|source| core.decode_error::<A>(name, source))?;
                    visit(&key, &accumulator);
                    visited += 1;
                }
                Ok(true)
            })?;
            if stopped {
                return Ok(false);
            }
            from.clear();
        }
        Ok(true)
    }

    pub(crate) fn purge(&mut self, core: &mut Core<K>, start: i64) -> Result<()> {
        let Some(at) = self.position(start) else {
            return Ok(());
        };
        let mut pane = self.panes.remove(at);
        self.last = 0;
        let dirty = pane.entries.iter().filter(|entry| entry.flags.dirty()).count();
        self.base.dirty = self.base.dirty.saturating_sub(dirty);
        if pane.stored {
            if at == 0 {
                self.set_horizon(core, self.horizon.max(start.saturating_add(1)));
            } else {
                // Not the oldest: the horizon cannot say it.
                let ranges = core.key_groups.iter().map(|group| {
                    let (from, to) = pane_bounds(core, group, start);
                    (from, to.unwrap_or_else(|| vec![0xff; 64]))
                });
                let ranges: Vec<_> = ranges.collect();
                core.store.delete_ranges(self.base.table, &ranges)?;
            }
        }
        if pane.entries.allocation_size() > self.spare.allocation_size() {
            pane.entries.clear();
            self.spare = pane.entries;
        }
        self.settle(core);
        Ok(())
    }

    fn set_horizon(&mut self, core: &Core<K>, horizon: i64) {
        self.horizon = horizon;
        core.store.set_horizon(self.base.table, horizon);
    }

    fn position(&self, start: i64) -> Option<usize> {
        self.panes.binary_search_by_key(&start, |pane| pane.start).ok()
    }

    /// Makes the pane the last one used, creating it if need be.
    #[cold]
    fn switch_to(&mut self, core: &mut Core<K>, start: i64) -> Result<usize> {
        let at = match self.panes.binary_search_by_key(&start, |pane| pane.start) {
            Ok(at) => at,
            Err(at) => {
                if start < self.horizon {
                    self.lower_horizon(core, start)?;
                }
                self.panes.insert(
                    at,
                    Pane {
                        start,
                        entries: std::mem::take(&mut self.spare),
                        stored: false,
                        spilled: None,
                        firing: false,
                        used: 0,
                        epoch: 0,
                    },
                );
                at
            }
        };
        self.tick += 1;
        self.panes[at].used = self.tick;
        self.last = at;
        Ok(at)
    }

    /// A window comes back that was purged: what the store still has of it and of all later purged
    /// ones must really go before the horizon can be taken back.
    #[cold]
    fn lower_horizon(&mut self, core: &mut Core<K>, start: i64) -> Result<()> {
        let bound = |group: u16, time: i64| {
            let mut key = Vec::new();
            append_key_group(group, core.width, &mut key);
            key.extend_from_slice(&ordered_time(time));
            key
        };
        let ranges: Vec<_> =
            core.key_groups.iter().map(|group| (bound(group, start), bound(group, self.horizon))).collect();
        core.store.delete_ranges(self.base.table, &ranges)?;
        self.set_horizon(core, start);
        Ok(())
    }

    #[inline(never)]
    fn insert(&mut self, core: &mut Core<K>, at: usize, hash: u64, key: &K, init: impl FnOnce() -> A) -> Result<usize> {
        let accumulator = match self.fetch(core, at, hash, key)? {
            Some(accumulator) => accumulator,
            None => init(),
        };
        self.place(core, at, hash, key, accumulator)
    }

    fn place(&mut self, core: &mut Core<K>, at: usize, hash: u64, key: &K, accumulator: A) -> Result<usize> {
        if self.panes[at].entries.len() == self.panes[at].entries.capacity() {
            self.make_room(core, at)?;
        }
        let hasher = core.hasher;
        let pane = &mut self.panes[at];
        pane.epoch += 1;
        let entry = Entry { key: key.clone(), accumulator, flags: Flags::default() };
        Ok(pane.entries.insert_unique(hash, entry, |entry| hasher.hash(&entry.key)).bucket_index())
    }

    /// Reads a spilled entry.
    fn fetch(&mut self, core: &mut Core<K>, at: usize, hash: u64, key: &K) -> Result<Option<A>> {
        let pane = &self.panes[at];
        let Some(spilled) = &pane.spilled else {
            return Ok(None);
        };
        if core.store.is_heap() || !spilled.may_contain(Hasher::combine(hash, pane.start as u64)) {
            return Ok(None);
        }
        let mut stored = std::mem::take(&mut core.scratch);
        stored.clear();
        append_stored_key(core, &self.base.meta.name, pane.start, key, &mut stored)?;
        let (name, uid) = (&self.base.meta.name, core.uid.clone());
        let found = core.read_store(self.base.table, &stored, |bytes| {
            read::<A>(bytes).map_err(|source| crate::value_table::decode_error::<A>(&uid, name, source))
        });
        core.scratch = stored;
        found
    }
}

/// Where the entries of a pane in a key group begin and end.
fn pane_bounds<K: Key>(core: &Core<K>, group: u16, start: i64) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut from = Vec::new();
    append_key_group(group, core.width, &mut from);
    from.extend_from_slice(&ordered_time(start));
    let to = crate::encoding::prefix_end(&from);
    (from, to)
}

fn append_stored_key<K: Key>(core: &Core<K>, state: &str, start: i64, key: &K, out: &mut Vec<u8>) -> Result<()> {
    append_key_group(core.group_of(key)?, core.width, out);
    out.extend_from_slice(&ordered_time(start));
    append(key, out).map_err(|source| core.encode_error(state, source))
}

fn append_entry<K: Key, A: StateValue>(
    core: &Core<K>,
    name: &str,
    run: &mut Run,
    start: i64,
    entry: &Entry<K, A>,
) -> Result<()> {
    append_stored_key(core, name, start, &entry.key, run.buffer())?;
    let key = run.key_len();
    append(&entry.accumulator, run.buffer()).map_err(|source| core.encode_error(name, source))?;
    run.push(Op::Put, key);
    Ok(())
}

impl<K: Key, A: StateValue> Table<K> for PaneTable<K, A> {
    fn meta(&self) -> StateMeta {
        let mut meta = self.base.meta.clone();
        meta.panes = Some(PaneMeta {
            horizon: (self.horizon != i64::MIN).then_some(self.horizon),
            live: self.windows().collect(),
        });
        meta
    }

    fn flush(&mut self, core: &mut Core<K>) -> Result<()> {
        if core.store.is_heap() || self.base.dirty == 0 {
            self.base.dirty = 0;
            return Ok(());
        }
        let limit = core.run_limit();
        let mut run = std::mem::take(&mut core.run);
        run.clear();
        for pane in &mut self.panes {
            for entry in pane.entries.iter_mut().filter(|entry| entry.flags.dirty()) {
                entry.flags.clean();
                append_entry(core, &self.base.meta.name, &mut run, pane.start, entry)?;
                pane.stored = true;
                if run.size() > limit {
                    core.write_run(self.base.table, &mut run)?;
                }
            }
        }
        core.write_run(self.base.table, &mut run)?;
        run.shrink(1 << 20);
        core.run = run;
        self.base.dirty = 0;
        self.settle(core);
        Ok(())
    }

    fn evict(&mut self, core: &mut Core<K>) -> Result<()> {
        if core.store.is_heap() {
            return Ok(());
        }
        self.flush(core)?;
        while self.evict_coldest(core, None) {}
        self.spare = HashTable::new();
        self.settle(core);
        Ok(())
    }

    fn dump(&self, core: &Core<K>, run: &mut Run) -> Result<()> {
        for pane in &self.panes {
            for entry in &pane.entries {
                append_entry(core, &self.base.meta.name, run, pane.start, entry)?;
            }
        }
        Ok(())
    }

    fn load(&mut self, core: &mut Core<K>, key: &[u8], value: &[u8]) -> Result<()> {
        let name = &self.base.meta.name;
        let (Some(start), Some(key)) = (read_ordered_time(key), key.get(8..)) else {
            return Err(core.damaged::<K>(name));
        };
        if self.position(start).is_none() {
            // Garbage of a purged pane.
            return Ok(());
        }
        let key: K = read(key).map_err(|source| core.decode_error::<K>(name, source))?;
        let accumulator: A = read(value).map_err(|source| core.decode_error::<A>(name, source))?;
        let at = self.switch_to(core, start)?;
        let hash = core.hasher.hash(&key);
        self.place(core, at, hash, &key, accumulator)?;
        Ok(())
    }

    fn loaded(&mut self) {
        for pane in &mut self.panes {
            (pane.stored, pane.spilled) = (false, None);
        }
    }

    fn stats(&self, stats: &mut BackendStats) {
        stats.cached += self.panes.iter().map(|pane| pane.entries.len() as u64).sum::<u64>();
        stats.dirty += self.base.dirty as u64;
        stats.bytes += self.base.account.held() as u64;
        stats.filter_bytes += self
            .panes
            .iter()
            .filter_map(|pane| pane.spilled.as_ref())
            .map(|spilled| spilled.memory() as u64)
            .sum::<u64>();
    }
}
