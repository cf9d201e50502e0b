//! From parts of snapshots to the backend that owns some of their key groups.
//!
//! A RocksDB backend with one RocksDB part of the very same key groups opens (a hard-linked copy
//! of) that database. Otherwise it starts from the RocksDB part with the largest overlap, deletes
//! the key groups that are not its own as ranges, and imports the rest as sorted files. The heap
//! reads entries, which become typed when the job asks for their state.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use crate::encoding::{key_group_width, read_ordered_time};
use crate::heap_file::{RawTables, read_sections};
use crate::snapshot::{PaneMeta, StateKind, StateMeta, TimerMeta};
use crate::store::Store;
use crate::{BackendConfig, BackendKind, Error, KeyGroupRange, RestoredState, Result, StateSnapshot};

/// What was restored and not yet asked for.
#[derive(Default)]
pub(crate) struct Restored {
    pub(crate) states: Vec<StateMeta>,
    /// For the heap: entries by table.
    pub(crate) raw: RawTables,
    pub(crate) timers: [TimerMeta; 2],
}

impl Restored {
    /// A heap table's entries, as bytes.
    pub(crate) fn take_raw(&mut self, table: &str) -> Vec<u8> {
        self.raw.remove(table).unwrap_or_default()
    }
}

/// A part that has something for us.
pub(crate) struct Part {
    pub(crate) state: RestoredState,
    pub(crate) overlap: KeyGroupRange,
}

pub(crate) fn restore(
    config: &BackendConfig,
    parts: Vec<RestoredState>,
    now: &Arc<AtomicI64>,
) -> Result<(Store, Restored)> {
    let parts = relevant(config, parts)?;
    let mut restored = merge(&config.uid, &parts)?;
    let store = match config.kind {
        BackendKind::Heap => {
            for part in &parts {
                match part.state.snapshot.kind {
                    BackendKind::Heap => {
                        read_sections(&part.state.dir, &part.state.snapshot, part.overlap, &mut restored.raw)?;
                    }
                    BackendKind::RocksDb => export(config, part, &mut restored.raw)?,
                }
            }
            Store::Heap
        }
        BackendKind::RocksDb => open_rocks(config, &parts, &restored, now)?,
    };
    Ok((store, restored))
}

#[cfg(feature = "rocksdb")]
fn export(config: &BackendConfig, part: &Part, raw: &mut RawTables) -> Result<()> {
    crate::rocks_restore::export(config, part, |table, key, value| {
        crate::heap_file::append_raw(raw, table, key, value);
        Ok(())
    })
}

#[cfg(not(feature = "rocksdb"))]
fn export(config: &BackendConfig, _: &Part, _: &mut RawTables) -> Result<()> {
    Err(Error::RocksDbMissing { uid: config.uid.clone() })
}

#[cfg(feature = "rocksdb")]
fn open_rocks(config: &BackendConfig, parts: &[Part], restored: &Restored, now: &Arc<AtomicI64>) -> Result<Store> {
    Ok(Store::Rocks(Box::new(crate::rocks_restore::open(config, parts, restored, now)?)))
}

#[cfg(not(feature = "rocksdb"))]
fn open_rocks(config: &BackendConfig, _: &[Part], _: &Restored, _: &Arc<AtomicI64>) -> Result<Store> {
    Err(Error::RocksDbMissing { uid: config.uid.clone() })
}

/// The parts that overlap, ascending; they must leave no gap.
fn relevant(config: &BackendConfig, parts: Vec<RestoredState>) -> Result<Vec<Part>> {
    let mut relevant = Vec::new();
    let any = !parts.is_empty();
    for state in parts {
        if state.snapshot.max_parallelism != config.max_parallelism {
            return Err(Error::MaxParallelismMismatch {
                uid: config.uid.clone(),
                found: state.snapshot.max_parallelism,
                declared: config.max_parallelism,
            });
        }
        if let Some(overlap) = state.snapshot.key_groups.intersection(&config.key_groups) {
            relevant.push(Part { state, overlap });
        }
    }
    relevant.sort_by_key(|part| part.overlap.start);
    let mut next = u32::from(config.key_groups.start);
    for part in &relevant {
        if any && u32::from(part.overlap.start) != next {
            break;
        }
        next = u32::from(part.overlap.end) + 1;
    }
    if any && next != u32::from(config.key_groups.end) + 1 {
        return Err(Error::MissingKeyGroups {
            uid: config.uid.clone(),
            missing: format!("from {next}"),
            wanted: config.key_groups.to_string(),
        });
    }
    Ok(relevant)
}

/// One description of what the parts hold together.
fn merge(uid: &str, parts: &[Part]) -> Result<Restored> {
    let mut restored = Restored::default();
    for (nth, part) in parts.iter().enumerate() {
        let snapshot = &part.state.snapshot;
        for meta in &snapshot.states {
            let Some(known) = restored.states.iter_mut().find(|known| known.name == meta.name) else {
                restored.states.push(meta.clone());
                continue;
            };
            let fits = (known.kind, &known.key_type, &known.value_type, known.version, known.ttl)
                == (meta.kind, &meta.key_type, &meta.value_type, meta.version, meta.ttl);
            if !fits {
                return Err(Error::IncompatibleState {
                    uid: uid.to_owned(),
                    state: meta.name.clone(),
                    found: meta.to_string(),
                    declared: known.to_string(),
                    advice: "the parts of one snapshot must agree: restore from one checkpoint only".to_owned(),
                });
            }
            known.panes = merge_panes(known.panes.take(), meta.panes.as_ref());
        }
        for (known, timers) in restored.timers.iter_mut().zip(&snapshot.timers) {
            known.any |= timers.any;
            known.horizon = if nth == 0 { timers.horizon } else { lower(known.horizon, timers.horizon) };
        }
    }
    Ok(restored)
}

fn merge_panes(known: Option<PaneMeta>, other: Option<&PaneMeta>) -> Option<PaneMeta> {
    let (Some(mut known), Some(other)) = (known, other) else {
        return other.cloned();
    };
    known.horizon = lower(known.horizon, other.horizon);
    known.live.extend(&other.live);
    known.live.sort_unstable();
    known.live.dedup();
    Some(known)
}

/// The lower horizon; none is lowest.
fn lower(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    Some(a?.min(b?))
}

/// Which of a snapshot's stored entries are garbage, by table.
pub(crate) struct GarbageOf<'a> {
    snapshot: &'a StateSnapshot,
    width: usize,
}

impl<'a> GarbageOf<'a> {
    pub(crate) fn new(snapshot: &'a StateSnapshot) -> Self {
        Self { snapshot, width: key_group_width(snapshot.max_parallelism) }
    }

    /// Before this time a table's entries are garbage; `None` where time is not part of the key.
    pub(crate) fn horizon(&self, table: &str) -> Option<i64> {
        if let Some(domain) = crate::backend::TIMER_TABLES.iter().position(|name| *name == table) {
            return Some(self.snapshot.timers.get(domain)?.horizon.unwrap_or(i64::MIN));
        }
        let panes = self.panes(table)?;
        Some(panes.horizon.unwrap_or(i64::MIN))
    }

    fn panes(&self, table: &str) -> Option<&PaneMeta> {
        let name = table.strip_prefix("state/")?;
        let meta = self.snapshot.states.iter().find(|meta| meta.name == name)?;
        if meta.kind == StateKind::Pane { meta.panes.as_ref() } else { None }
    }

    /// A test for the entries of a table.
    pub(crate) fn test(&self, table: &str) -> impl Fn(&[u8]) -> bool + use<> {
        let (horizon, width) = (self.horizon(table), self.width);
        let live = self.panes(table).map(|panes| panes.live.clone());
        move |key: &[u8]| {
            let Some(horizon) = horizon else { return false };
            let Some(time) = key.get(width..).and_then(read_ordered_time) else {
                return false;
            };
            time < horizon || live.as_ref().is_some_and(|live| live.binary_search(&time).is_err())
        }
    }
}
