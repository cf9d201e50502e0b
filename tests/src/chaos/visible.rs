//! The files that everybody can see. What was seen once stays, as it was: whoever has read it must
//! never have to read it again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail};

use super::written::files;

/// Committed files, with their length and when they were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Visible(BTreeMap<PathBuf, (u64, SystemTime)>);

impl Visible {
    /// Those that sinks have committed below `data_dir`.
    pub fn below(data_dir: &Path) -> Result<Self> {
        let mut visible = BTreeMap::new();
        for path in files(data_dir)? {
            if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("part-")) {
                let metadata = path.metadata().with_context(|| path.display().to_string())?;
                visible.insert(path, (metadata.len(), metadata.modified()?));
            }
        }
        Ok(Visible(visible))
    }

    /// Everything that was seen before must be there, unchanged.
    pub fn holds(&self, before: &Visible) -> Result<()> {
        for (path, seen) in &before.0 {
            match self.0.get(path) {
                Some(now) if now == seen => {}
                Some(_) => bail!("{} was committed, and has changed since", path.display()),
                None => bail!("{} was committed, and is gone", path.display()),
            }
        }
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_gone_or_changed_is_seen_and_what_is_pending_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, lake) = (dir.path().join("lake/part-0.jsonl"), dir.path().join("lake"));
        fs::create_dir(&lake).expect("a directory");
        fs::write(&first, "a").expect("a file");
        fs::write(lake.join(".part-1.jsonl.pending"), "b").expect("a file");
        let before = Visible::below(dir.path()).expect("files");
        assert_eq!(before.count(), 1);
        fs::write(lake.join("part-1.jsonl"), "b").expect("a file");
        let after = Visible::below(dir.path()).expect("files");
        after.holds(&before).expect("more than before");
        assert!(before.holds(&after).expect_err("less").to_string().contains("gone"));
        fs::write(&first, "ab").expect("a file");
        let changed = Visible::below(dir.path()).expect("files").holds(&before);
        assert!(changed.expect_err("changed").to_string().contains("changed"));
    }
}
