//! A file that is written and not yet visible, and the names of such files.

use std::path::{Path, PathBuf};

use hurtig_engine::error::{Result, from_bytes, to_bytes};
use serde::{Deserialize, Serialize};

/// What tells one sink's files from another's: the beginning of its uid, and a hash of job and
/// uid, because one directory may be shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileToken(String);

impl FileToken {
    /// The token of the sink `uid` of `job`.
    pub fn new(job: &str, uid: &str) -> Self {
        // FNV-1a: small, and the same for ever.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for b in job.bytes().chain([0]).chain(uid.bytes()) {
            hash = (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
        let short: String = uid.chars().take(16).map(harmless).collect();
        FileToken(format!("{short}.{:08x}", (hash ^ (hash >> 32)) as u32))
    }

    /// What the names of all its files begin with.
    fn prefix(&self) -> String {
        format!("part-{}-", self.0)
    }

    /// A file's final name.
    pub(super) fn name(&self, subtask: usize, attempt: &str, number: u64, extension: &str) -> String {
        let attempt: String = attempt.chars().map(harmless).collect();
        format!("{}{subtask}-{attempt}-{number}.{extension}", self.prefix())
    }

    /// Whether a file of this name is a pending file of this sink.
    pub(super) fn is_pending(&self, file_name: &str) -> bool {
        file_name
            .strip_prefix('.')
            .and_then(|n| n.strip_suffix(".pending"))
            .is_some_and(|n| n.starts_with(&self.prefix()))
    }
}

/// What a file's name may hold on every system.
fn harmless(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '_' }
}

/// A committable: a closed, durable, invisible file. Paths are relative to the sink's
/// directory, so that it may move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingFile {
    /// The partition's directory, empty for none.
    pub partition: String,
    /// The final name.
    pub name: String,
    /// The file's length.
    pub bytes: u64,
    /// How many records it holds.
    pub rows: u64,
}

impl PendingFile {
    /// Where it will be visible.
    pub fn final_path(&self, root: &Path) -> PathBuf {
        root.join(&self.partition).join(&self.name)
    }

    /// Where it is until then.
    pub fn pending_path(&self, root: &Path) -> PathBuf {
        root.join(&self.partition).join(format!(".{}.pending", self.name))
    }

    /// As it is stored in a checkpoint.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        to_bytes("a pending file", self)
    }

    /// Back from a checkpoint.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        from_bytes("a pending file", bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_sinks_and_jobs_apart() {
        let token = FileToken::new("job", "lake/über");
        let name = token.name(3, "g1:2", 7, "jsonl");
        assert!(name.starts_with("part-lake__ber.") && name.ends_with("-3-g1_2-7.jsonl"), "{name}");
        assert!(token.is_pending(&format!(".{name}.pending")));
        assert!(!token.is_pending(&name));
        for (job, uid) in [("job", "lake"), ("other", "lake/über"), ("job", "lake/über2")] {
            assert!(!FileToken::new(job, uid).is_pending(&format!(".{name}.pending")), "{job} {uid}");
        }
    }
}
