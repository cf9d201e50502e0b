//! Directories whose entries must outlast a power failure.
//!
//! A file is durable when it is, and every directory on the way to it has been synced since its
//! entry was made: the partition's, the sink's own, and those above it that were made for it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use hurtig_engine::task::pool::{Pool, Ticket};

use super::{committer::sync_dir, part::Failure};

/// Directories with entries that are not durable yet.
pub(super) struct Directories {
    root: PathBuf,
    dirty: BTreeSet<PathBuf>,
    syncing: Option<Ticket<io::Result<()>>>,
}

impl Directories {
    /// Makes `root`, with all that it needs above it.
    pub fn make(root: &Path) -> io::Result<Self> {
        // The root's own entry may be that of an attempt that died before it was durable.
        let parent = root.parent().into_iter();
        let above = root.ancestors().skip(1).take_while(|dir| !dir.exists()).filter_map(Path::parent);
        let dirty = parent.chain(above).map(Path::to_owned).collect();
        fs::create_dir_all(root)?;
        Ok(Directories { root: root.to_owned(), dirty, syncing: None })
    }

    /// There is a new file in `partition`, and perhaps the partition is new too.
    pub fn new_file(&mut self, partition: &str) {
        let mut dir = self.root.clone();
        self.dirty.insert(dir.clone());
        for level in Path::new(partition).components() {
            dir.push(level);
            self.dirty.insert(dir.clone());
        }
    }

    /// `true` when everything is durable.
    pub fn sync(&mut self, pool: &Pool) -> Result<bool, Failure> {
        if self.syncing.is_none() && !self.dirty.is_empty() {
            let (dirs, root) = (std::mem::take(&mut self.dirty), self.root.clone());
            self.syncing = Some(pool.spawn(move || dirs.iter().try_for_each(|dir| sync(dir, &root))));
        }
        let Some(ticket) = &mut self.syncing else { return Ok(true) };
        let Some(synced) = ticket.poll().map_err(Failure::Lost)? else { return Ok(false) };
        self.syncing = None;
        synced.map_err(|e| Failure::Unwritable(e.to_string()))?;
        Ok(true)
    }
}

fn sync(dir: &Path, root: &Path) -> io::Result<()> {
    // The parent of a relative root may be "", which is the current directory.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    match sync_dir(dir) {
        // Above the root there may be directories that are not ours to read.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied && !dir.starts_with(root) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_made_is_synced_from_above() {
        let dir = tempfile::tempdir().expect("dir");
        let at = |p: &str| dir.path().join(p);
        let mut made = Directories::make(&at("a/b/c")).expect("made");
        assert_eq!(made.dirty, [dir.path().to_owned(), at("a"), at("a/b")].into());
        made.new_file("x=1/y=2");
        made.new_file("");
        assert!(made.dirty.is_superset(&[at("a/b/c"), at("a/b/c/x=1"), at("a/b/c/x=1/y=2")].into()));
        let again = Directories::make(&at("a/b/c")).expect("made");
        assert_eq!(again.dirty, [at("a/b")].into());
    }
}
