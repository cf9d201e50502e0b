//! What may be deleted: counts how many completed checkpoints name each object.
//!
//! The counts are rebuilt from the manifests at every start, so they cannot drift. The coordinator
//! says which checkpoints are subsumed; this says which objects go with them.
//!
//! Invariants:
//! - An object goes only when no remaining manifest names it.
//! - Manifests go before objects: a kill in between leaves orphans, never a broken checkpoint.
//! - Savepoints are elsewhere and the user's own; nothing here sees them.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Result;
use super::manifest::Manifest;
use super::snapshot::CheckpointId;
use super::storage::CheckpointWriter;

/// Counts references to objects. See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    objects: BTreeMap<CheckpointId, BTreeSet<String>>,
    references: BTreeMap<String, u32>,
}

impl Retention {
    /// Reads all manifests and deletes the objects that none of them names: what uploads of
    /// aborted checkpoints and killed runs have left. To be called before this run uploads.
    pub async fn open(writer: &CheckpointWriter) -> Result<Self> {
        let mut retention = Retention::default();
        for id in writer.storage().list_manifests().await? {
            retention.completed(&writer.storage().read_manifest(id).await?.manifest);
        }
        let mut orphans = writer.list_objects().await?;
        orphans.retain(|object| !retention.references.contains_key(object));
        writer.delete_objects(orphans).await?;
        Ok(retention)
    }

    /// The checkpoints that are there, ascending.
    pub fn stored(&self) -> impl Iterator<Item = CheckpointId> {
        self.objects.keys().copied()
    }

    /// A checkpoint's manifest is written.
    pub fn completed(&mut self, manifest: &Manifest) {
        let objects: BTreeSet<String> = manifest.files().map(|file| file.object.clone()).collect();
        for object in &objects {
            *self.references.entry(object.clone()).or_default() += 1;
        }
        self.objects.insert(manifest.id, objects);
    }

    /// Deletes the checkpoints `ids` and what only they name. Returns how many objects went.
    pub async fn subsume(&mut self, writer: &CheckpointWriter, ids: &[CheckpointId]) -> Result<usize> {
        for id in ids {
            writer.delete_manifest(*id).await?;
        }
        writer.sync_manifests().await?;
        let objects = self.release(ids);
        let count = objects.len();
        writer.delete_objects(objects).await?;
        Ok(count)
    }

    /// Forgets checkpoints; the objects that nobody names any more.
    fn release(&mut self, ids: &[CheckpointId]) -> Vec<String> {
        let mut free = Vec::new();
        for object in ids.iter().filter_map(|id| self.objects.remove(id)).flatten() {
            let Some(count) = self.references.get_mut(&object) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.references.remove(&object);
                free.push(object);
            }
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn retention(objects: &[BTreeSet<u8>]) -> Retention {
        let mut retention = Retention::default();
        for (id, objects) in (1..).zip(objects) {
            let objects: BTreeSet<String> = objects.iter().map(u8::to_string).collect();
            for object in &objects {
                *retention.references.entry(object.clone()).or_default() += 1;
            }
            retention.objects.insert(id, objects);
        }
        retention
    }

    proptest! {
        /// Model: after each release, exactly the objects named by no remaining checkpoint are gone.
        #[test]
        fn an_object_goes_with_its_last_reference(
            named in prop::collection::vec(prop::collection::btree_set(0u8..12, 0..6), 1..8),
            order in Just((1u64..8).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut retention = retention(&named);
            let mut left: BTreeMap<u64, BTreeSet<String>> = retention.objects.clone();
            let mut present: BTreeSet<String> = left.values().flatten().cloned().collect();
            for id in order {
                for object in retention.release(&[id]) {
                    prop_assert!(present.remove(&object), "deleted twice");
                }
                left.remove(&id);
                let expected: BTreeSet<String> = left.values().flatten().cloned().collect();
                prop_assert_eq!(&present, &expected);
            }
            prop_assert_eq!(retention, Retention::default());
        }
    }
}
