//! Deals out what a checkpoint held among the subtasks of a new attempt.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use hurtig_state::{KeyGroupRange, RestoredState, StateSnapshot};

use crate::{
    checkpoint::{Manifest, RestorePoint},
    error::{Result, from_bytes},
    graph::JobGraph,
    task::{RestoredOperator, runtime_context::file_name, source_task::SplitSnapshot},
};

/// (vertex, subtask) → operator uid → its share.
pub(super) type Shares = HashMap<(usize, usize), HashMap<String, RestoredOperator>>;

/// Brings keyed state below `dir` and computes every subtask's share.
pub(super) async fn shares(graph: &JobGraph, point: &RestorePoint, dir: &Path) -> Result<Shares> {
    let mut shares = Shares::new();
    let by_uid = point.manifest.operators_by_uid();
    for (v, vertex) in graph.vertices.iter().enumerate() {
        for meta in &vertex.operators {
            let Some(views) = by_uid.get(meta.uid.as_str()) else { continue };
            let mut parts = vec![RestoredOperator::default(); vertex.parallelism];
            let watermark = views.iter().map(|view| view.operator.watermark).min();
            let mut counters = BTreeMap::<String, u64>::new();
            let mut next = 0;
            for view in views {
                for (name, count) in &view.operator.counters {
                    *counters.entry(name.clone()).or_default() += count;
                }
                for item in &view.operator.state {
                    parts[next % vertex.parallelism].state.push(item.clone());
                    next += 1;
                }
                let Some(keyed) = &view.operator.keyed else { continue };
                let snapshot: StateSnapshot = from_bytes("keyed state's description", &keyed.meta)?;
                let here = dir.join(format!("{}-{}", file_name(&meta.uid), view.subtask.subtask));
                let mut wanted = false;
                for (s, part) in parts.iter_mut().enumerate() {
                    let mine = KeyGroupRange::of(graph.max_parallelism, vertex.parallelism as u16, s as u16);
                    if mine.intersection(&snapshot.key_groups).is_some() {
                        wanted = true;
                        part.keyed.push(RestoredState { dir: here.clone(), snapshot: snapshot.clone() });
                    }
                }
                if wanted {
                    point.materialize(keyed, &here).await?;
                }
            }
            for (s, mut part) in parts.into_iter().enumerate() {
                part.watermark = watermark;
                if s == 0 {
                    part.counters = std::mem::take(&mut counters);
                }
                shares.entry((v, s)).or_default().insert(meta.uid.clone(), part);
            }
        }
    }
    Ok(shares)
}

/// The unfinished splits of one source at their positions.
pub(super) fn splits(manifest: &Manifest, uid: &str) -> Result<Vec<SplitSnapshot>> {
    let splits = manifest.operator(uid).flat_map(|view| &view.operator.splits);
    splits.map(|bytes| from_bytes("a split", bytes)).collect()
}

/// What a sink's committer has to see to.
pub(super) fn committables(manifest: &Manifest, uid: &str) -> Vec<Vec<u8>> {
    manifest.operator(uid).flat_map(|view| view.operator.committables.iter().cloned()).collect()
}
