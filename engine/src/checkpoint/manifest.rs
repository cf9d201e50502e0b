//! The manifest: one JSON file that says everything about one completed checkpoint.
//!
//! It is written last and create-only, so a checkpoint exists exactly if its manifest does. Blobs
//! (operator state, committables, splits, enumerators) are inside as base64; keyed state is a list
//! of files, found by [`FilesAt`].
//!
//! Invariants:
//! - A manifest never changes after it was written.
//! - Every object it names was durable before it was written.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::{CheckpointError, Result};
use super::snapshot::{CheckpointId, CheckpointKind, OperatorSnapshot, StoredFile, StoredKeyedState, SubtaskSnapshot};

pub(crate) mod blob;

/// The format this version writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// One completed checkpoint or savepoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the version that wrote it.
    pub format: u32,
    /// The job's name: a restore into another job is refused.
    pub job_name: String,
    /// The run that wrote it: 32 hex digits.
    pub job_id: String,
    /// The checkpoint's number.
    pub id: CheckpointId,
    /// Why it was taken.
    pub kind: CheckpointKind,
    /// The input had ended: a restore commits what is open, and the job is done.
    pub finished: bool,
    /// The generation that wrote it (filled in when it is written).
    pub generation: u64,
    /// When it was triggered, in epoch milliseconds.
    pub created_at: i64,
    /// The job's parallelism.
    pub parallelism: u16,
    /// The number of key groups.
    pub max_parallelism: u16,
    /// Where the files of keyed state are.
    pub files_at: FilesAt,
    /// Sizes and duration.
    pub totals: Totals,
    /// Every subtask of every vertex.
    pub subtasks: Vec<SubtaskSnapshot<StoredKeyedState>>,
    /// Source uid → its enumerator's state.
    #[serde(with = "blob::map", default)]
    pub enumerators: BTreeMap<String, Vec<u8>>,
    /// Split number of an origin → the split's name.
    #[serde(default)]
    pub split_names: BTreeMap<u32, String>,
}

/// Where the objects of a manifest are, relative to the manifest itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilesAt {
    /// In the job's `shared` folder, beside `manifests`: a checkpoint.
    #[default]
    Shared,
    /// In the manifest's own directory: a savepoint, which can be moved as a whole.
    Beside,
}

/// A checkpoint in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// All state this checkpoint refers to.
    pub full_bytes: u64,
    /// What this checkpoint wrote itself.
    pub uploaded_bytes: u64,
    /// From the trigger to the last acknowledgement.
    pub duration_ms: i64,
}

/// One operator of one subtask, with the subtask it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct OperatorView<'a> {
    /// The subtask.
    pub subtask: &'a SubtaskSnapshot<StoredKeyedState>,
    /// The operator in it.
    pub operator: &'a OperatorSnapshot<StoredKeyedState>,
}

impl Manifest {
    /// The manifest as bytes: JSON for people too.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|error| CheckpointError::Unreadable {
            location: format!("checkpoint {}", self.id),
            reason: error.to_string(),
        })
    }

    /// Reads what [`Manifest::to_json`] wrote. `location` is for the error's text.
    pub fn from_json(json: &[u8], location: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let unreadable = |reason: String| CheckpointError::Unreadable { location: location.to_owned(), reason };
        // The version first: a newer format may lack fields this one needs.
        let Version { format } = serde_json::from_slice(json).map_err(|e| unreadable(e.to_string()))?;
        if format > FORMAT {
            return Err(unreadable(format!(
                "its format is {format}, this version knows up to {FORMAT}: use a newer hurtig"
            )));
        }
        serde_json::from_slice(json).map_err(|e| unreadable(e.to_string()))
    }

    /// All operators with their subtasks.
    pub fn operators(&self) -> impl Iterator<Item = OperatorView<'_>> {
        self.subtasks
            .iter()
            .flat_map(|subtask| subtask.operators.iter().map(move |operator| OperatorView { subtask, operator }))
    }

    /// One operator over all subtasks, in their order.
    pub fn operator<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = OperatorView<'a>> {
        self.operators().filter(move |view| view.operator.uid == uid)
    }

    /// All operators by uid, each over all subtasks.
    pub fn operators_by_uid(&self) -> BTreeMap<&str, Vec<OperatorView<'_>>> {
        let mut by_uid = BTreeMap::<_, Vec<_>>::new();
        for view in self.operators() {
            by_uid.entry(view.operator.uid.as_str()).or_default().push(view);
        }
        by_uid
    }

    /// All files of keyed state.
    pub fn files(&self) -> impl Iterator<Item = &StoredFile> {
        self.operators().filter_map(|view| view.operator.keyed.as_ref()).flat_map(|keyed| &keyed.files)
    }

    /// All files of keyed state, to be moved to other objects.
    pub(crate) fn files_mut(&mut self) -> impl Iterator<Item = &mut StoredFile> {
        self.subtasks
            .iter_mut()
            .flat_map(|subtask| &mut subtask.operators)
            .filter_map(|operator| operator.keyed.as_mut())
            .flat_map(|keyed| &mut keyed.files)
    }

    /// The books of all subtasks, summed by operator uid.
    pub fn counters(&self) -> BTreeMap<&str, BTreeMap<&str, u64>> {
        let mut sums = BTreeMap::<_, BTreeMap<_, u64>>::new();
        for OperatorView { operator, .. } in self.operators() {
            let sum = sums.entry(operator.uid.as_str()).or_default();
            for (name, count) in &operator.counters {
                *sum.entry(name.as_str()).or_default() += count;
            }
        }
        sums
    }

    /// Whether the job `job_name` with the operators `known_uids` can take this state.
    ///
    /// An operator that has no state may go without a word.
    pub fn check_compatible(
        &self,
        job_name: &str,
        known_uids: &BTreeSet<String>,
        max_parallelism: u16,
        allow_non_restored_state: bool,
    ) -> Result<()> {
        if self.job_name != job_name {
            return Err(CheckpointError::OtherJob { found: self.job_name.clone(), expected: job_name.to_owned() });
        }
        if self.max_parallelism != max_parallelism {
            return Err(CheckpointError::MaxParallelism { found: self.max_parallelism, expected: max_parallelism });
        }
        let left_over = self.left_over(known_uids);
        if left_over.is_empty() || allow_non_restored_state {
            return Ok(());
        }
        let operators = left_over.iter().map(|(uid, name)| format!("{uid} ({name})")).collect::<Vec<_>>().join(", ");
        Err(CheckpointError::NonRestoredState { operators })
    }

    /// Uid → name of the operators that have state here and are not in `known_uids`.
    pub fn left_over(&self, known_uids: &BTreeSet<String>) -> BTreeMap<&str, &str> {
        let mut left_over: BTreeMap<&str, &str> = self
            .operators()
            .filter(|view| view.operator.has_state())
            .map(|view| (view.operator.uid.as_str(), view.operator.name.as_str()))
            .collect();
        for uid in self.enumerators.keys() {
            left_over.entry(uid).or_insert("source");
        }
        left_over.retain(|uid, _| !known_uids.contains(*uid));
        left_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest(state: Vec<Vec<u8>>, meta: Vec<u8>) -> Manifest {
        let operator = |uid: &str, state: Vec<Vec<u8>>| OperatorSnapshot {
            uid: uid.to_owned(),
            name: format!("Name of {uid}"),
            watermark: i64::MIN,
            state,
            keyed: None,
            committables: vec![],
            splits: vec![],
            counters: BTreeMap::from([("read".to_owned(), 5)]),
        };
        let mut keyed = operator("window", vec![]);
        keyed.keyed = Some(StoredKeyedState { files: vec![], meta, key_groups: (0, 63) });
        let subtask = |subtask| SubtaskSnapshot {
            vertex_uid: "v".to_owned(),
            vertex_name: "V".to_owned(),
            parallelism: 2,
            subtask,
            operators: vec![operator("map", vec![]), operator("source", state.clone()), keyed.clone()],
            alignment_ms: 1,
            sync_ms: 2,
        };
        Manifest {
            format: FORMAT,
            job_name: "talk".to_owned(),
            job_id: "0".repeat(32),
            id: 7,
            kind: CheckpointKind::StopWithSavepoint { drain: true },
            finished: false,
            generation: 3,
            created_at: 1_700_000_000_000,
            parallelism: 2,
            max_parallelism: 128,
            files_at: FilesAt::Shared,
            totals: Totals::default(),
            subtasks: vec![subtask(0), subtask(1)],
            enumerators: BTreeMap::from([("source".to_owned(), vec![0, 255, 10])]),
            split_names: BTreeMap::from([(0, "a.csv".to_owned())]),
        }
    }

    fn uids(uids: &[&str]) -> BTreeSet<String> {
        uids.iter().map(|uid| (*uid).to_owned()).collect()
    }

    proptest! {
        #[test]
        fn any_bytes_survive_the_json(state in any::<Vec<Vec<u8>>>(), meta in any::<Vec<u8>>()) {
            let written = manifest(state, meta);
            let read = Manifest::from_json(&written.to_json().unwrap(), "x").unwrap();
            prop_assert_eq!(read, written);
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_its_number() {
        let error = Manifest::from_json(br#"{"format": 9, "new": true}"#, "/c/1").unwrap_err().to_string();
        assert!(error.contains("/c/1") && error.contains("format is 9"), "{error}");
        let error = Manifest::from_json(b"torn", "/c/1").unwrap_err().to_string();
        assert!(error.contains("/c/1"), "{error}");
    }

    #[test]
    fn views_go_over_all_subtasks() {
        let manifest = manifest(vec![vec![1]], vec![]);
        assert_eq!(manifest.operators_by_uid()["window"].len(), 2);
        assert_eq!(manifest.operator("window").map(|v| v.subtask.subtask).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(manifest.counters()["map"]["read"], 10);
    }

    #[test]
    fn another_jobs_state_is_refused() {
        let manifest = manifest(vec![vec![1]], vec![]);
        let all = uids(&["map", "source", "window"]);
        manifest.check_compatible("talk", &all, 128, false).unwrap();

        let error = manifest.check_compatible("other", &all, 128, true).unwrap_err().to_string();
        assert!(error.contains("'talk'") && error.contains("'other'"), "{error}");

        let error = manifest.check_compatible("talk", &all, 256, true).unwrap_err().to_string();
        assert!(error.contains("128") && error.contains("256"), "{error}");
    }

    #[test]
    fn left_over_state_is_refused_unless_allowed() {
        let manifest = manifest(vec![vec![1]], vec![]);
        let some = uids(&["source"]);
        let error = manifest.check_compatible("talk", &some, 128, false).unwrap_err().to_string();
        assert!(error.contains("window (Name of window)"), "{error}");
        assert!(error.contains("--allow-non-restored-state") && !error.contains("map"), "{error}");
        assert_eq!(error.lines().count(), 1);
        manifest.check_compatible("talk", &some, 128, true).unwrap();
        // The enumerator alone is state too.
        assert!(manifest.left_over(&uids(&["window"])).contains_key("source"));
    }
}
