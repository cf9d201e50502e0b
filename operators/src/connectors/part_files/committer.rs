//! Makes pending files visible, and removes those that nobody will.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use hurtig_engine::{
    error::{Error, Result},
    sink::{Committer, CommitterContext},
};

use super::pending::{FileToken, PendingFile};

/// Renames pending files. Doing it again changes nothing.
#[derive(Debug)]
pub struct PartCommitter {
    root: PathBuf,
    token: FileToken,
    name: String,
}

impl PartCommitter {
    /// The committer of the sink that writes to `root`.
    pub fn new(root: impl Into<PathBuf>, ctx: &CommitterContext) -> Self {
        PartCommitter { root: root.into(), token: FileToken::new(&ctx.job, &ctx.uid), name: ctx.name.clone() }
    }

    /// `must_be_here`: a file that is neither pending nor visible is an error.
    fn commit_one(&self, file: &PendingFile, must_be_here: bool) -> Result<()> {
        let (to, from) = (file.final_path(&self.root), file.pending_path(&self.root));
        match (self.length(&to)?, self.length(&from)?) {
            // Done before, perhaps by an attempt that died before it could say so.
            (Some(n), None) if n == file.bytes => Ok(()),
            (None, Some(n)) if n == file.bytes => fs::rename(&from, &to).map_err(|e| self.io(&to, &e)),
            (Some(_), Some(_)) => Err(self.error(format!(
                "both '{}' and '{}' exist; one of them was made by hand: move it away and start again",
                to.display(),
                from.display()
            ))),
            (Some(n), None) | (None, Some(n)) => Err(self.error(format!(
                "'{}' has {n} bytes, the checkpoint says {}; it was changed: bring the original back, or restore \
                 from another checkpoint",
                if to.exists() { &to } else { &from }.display(),
                file.bytes
            ))),
            (None, None) if !must_be_here => {
                tracing::warn!(
                    "{}: '{}' with {} records is not here; it was committed where the savepoint was taken",
                    self.name,
                    to.display(),
                    file.rows
                );
                Ok(())
            }
            (None, None) => Err(self.error(format!(
                "neither '{}' nor '{}' exists, but the checkpoint holds {} records in it; bring the file back, or \
                 restore from another checkpoint",
                to.display(),
                from.display(),
                file.rows
            ))),
        }
    }

    fn length(&self, path: &Path) -> Result<Option<u64>> {
        match fs::metadata(path) {
            Ok(m) => Ok(Some(m.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.io(path, &e)),
        }
    }

    fn remove_below(&self, dir: &Path) -> Result<()> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(self.io(dir, &e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| self.io(dir, &e))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|e| self.io(&path, &e))?;
            if kind.is_dir() {
                self.remove_below(&path)?;
            } else if entry.file_name().to_str().is_some_and(|n| self.token.is_pending(n)) {
                fs::remove_file(&path).map_err(|e| self.io(&path, &e))?;
                tracing::debug!(file = %path.display(), "removed what an earlier attempt left behind");
            }
        }
        Ok(())
    }

    fn error(&self, reason: String) -> Error {
        Error::sink(&self.name, reason)
    }

    fn io(&self, path: &Path, e: &io::Error) -> Error {
        self.error(format!("'{}': {e}; what is committed is safe: mend the directory and start again", path.display()))
    }
}

impl PartCommitter {
    fn commit_all(&self, committables: &[Vec<u8>], must_be_here: bool) -> Result<()> {
        let mut directories = BTreeSet::new();
        for (i, bytes) in committables.iter().enumerate() {
            if i > 0 {
                fail::fail_point!("sink-commit", |_| Err(self.error("the failpoint sink-commit".into())));
            }
            let file = PendingFile::from_bytes(bytes)?;
            self.commit_one(&file, must_be_here)?;
            directories.insert(self.root.join(&file.partition));
        }
        if !must_be_here {
            directories.retain(|dir| dir.exists());
        }
        // A rename lasts when its directory does; also one of an attempt that died before this.
        for dir in directories {
            sync_dir(&dir).map_err(|e| self.io(&dir, &e))?;
        }
        Ok(())
    }
}

impl Committer for PartCommitter {
    fn commit(&mut self, committables: &[Vec<u8>]) -> Result<()> {
        self.commit_all(committables, true)
    }

    fn commit_savepoint(&mut self, committables: &[Vec<u8>]) -> Result<()> {
        self.commit_all(committables, false)
    }

    fn remove_orphans(&mut self) -> Result<()> {
        self.remove_below(&self.root)
    }
}

/// Makes a directory's entries durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}
