//! The open part files of a writer, by partition.
//!
//! Records mostly come in runs of one partition, so the slot of the last one is remembered with
//! the times that belong to it; only a change of partition looks anything up.

use std::{collections::HashMap, ops::Range};

use super::{format::PartFormat, part::Part, partition::Place};

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Root,
    Time(i64),
    /// By a path, or by a name that stands for one.
    Name(String),
}

/// Open parts, each in its slot.
pub(super) struct Slots<T: 'static, F: PartFormat<T>> {
    slots: Vec<Option<Slot<T, F>>>,
    free: Vec<usize>,
    /// The partitions without a name …
    by_key: HashMap<Key, usize>,
    /// … and those with one, which are looked up without a copy of it.
    by_name: HashMap<String, usize>,
    /// The slot of the last record, and the times that belong to it.
    current: Option<(usize, Range<i64>)>,
    /// Changes of partition so far.
    turn: u64,
}

struct Slot<T: 'static, F: PartFormat<T>> {
    key: Key,
    part: Part<T, F>,
    /// The turn in which it was used last.
    last_used: u64,
}

impl<T: 'static, F: PartFormat<T>> Slots<T, F> {
    pub fn new() -> Self {
        Slots {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            by_name: HashMap::new(),
            current: None,
            turn: 0,
        }
    }

    /// How many parts are open.
    pub fn len(&self) -> usize {
        self.by_key.len() + self.by_name.len()
    }

    /// The last record's slot, if `place` is the same again.
    #[inline]
    pub fn same(&self, place: &Place<'_>) -> Option<usize> {
        let (slot, times) = self.current.as_ref()?;
        let same = match place {
            Place::Root => true,
            Place::Time(t) => times.contains(t),
            Place::Path(path) => self.is_named(*slot, path),
            Place::Name(name) => self.is_named(*slot, name),
        };
        same.then_some(*slot)
    }

    #[inline]
    fn is_named(&self, slot: usize, name: &str) -> bool {
        matches!(self.slots.get(slot), Some(Some(Slot { key: Key::Name(n), .. })) if n == name)
    }

    /// The slot of a partition without a name.
    pub fn of(&self, key: &Key) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// The slot of a partition with a name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Makes `slot` the current one: for all of these `times`, if it is a partition in time.
    pub fn turn_to(&mut self, slot: usize, times: Range<i64>) {
        self.turn += 1;
        if let Some(Some(s)) = self.slots.get_mut(slot) {
            s.last_used = self.turn;
        }
        self.current = Some((slot, times));
    }

    /// Takes a new part in.
    pub fn insert(&mut self, key: Key, part: Part<T, F>) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        match &key {
            Key::Name(name) => self.by_name.insert(name.clone(), slot),
            key => self.by_key.insert(key.clone(), slot),
        };
        self.slots[slot] = Some(Slot { key, part, last_used: self.turn });
        slot
    }

    /// Takes a part out.
    pub fn take(&mut self, slot: usize) -> Option<Part<T, F>> {
        let taken = self.slots.get_mut(slot)?.take()?;
        match &taken.key {
            Key::Name(name) => self.by_name.remove(name),
            key => self.by_key.remove(key),
        };
        self.free.push(slot);
        if self.current.as_ref().is_some_and(|(s, _)| *s == slot) {
            self.current = None;
        }
        Some(taken.part)
    }

    /// The slot that was not used for longest.
    pub fn oldest(&self) -> Option<usize> {
        let used = self.slots.iter().enumerate().filter_map(|(i, s)| Some((i, s.as_ref()?.last_used)));
        used.min_by_key(|(_, last_used)| *last_used).map(|(i, _)| i)
    }

    /// All slots there have ever been, some of them empty.
    pub fn all(&self) -> Range<usize> {
        0..self.slots.len()
    }

    #[inline]
    pub fn part(&self, slot: usize) -> Option<&Part<T, F>> {
        self.slots.get(slot)?.as_ref().map(|s| &s.part)
    }

    #[inline]
    pub fn part_mut(&mut self, slot: usize) -> Option<&mut Part<T, F>> {
        self.slots.get_mut(slot)?.as_mut().map(|s| &mut s.part)
    }

    /// The open parts.
    pub fn parts(&self) -> impl Iterator<Item = (usize, &Part<T, F>)> {
        self.slots.iter().enumerate().filter_map(|(i, s)| Some((i, &s.as_ref()?.part)))
    }
}
