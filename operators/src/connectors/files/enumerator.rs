//! Gives the files to the readers.

use hurtig_engine::{
    error::{Result, from_bytes, to_bytes},
    source::{Assignments, SplitEnumerator},
};
use serde::{Deserialize, Serialize};

use super::split::FileSplit;

/// Gives all files out at the start, round robin, the largest first. The set of files is fixed
/// by the first start of a job: a restore goes on with exactly those.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEnumerator {
    unassigned: Vec<FileSplit>,
}

impl FileEnumerator {
    /// Hands out `files` in this order.
    pub fn new(files: Vec<FileSplit>) -> Self {
        FileEnumerator { unassigned: files }
    }

    /// What a checkpoint holds.
    pub fn restore(bytes: &[u8]) -> Result<Self> {
        from_bytes("the file source's enumerator", bytes)
    }

    /// Deals out what is not assigned.
    fn deal(&mut self, readers: usize) -> impl Iterator<Item = (usize, FileSplit)> {
        self.unassigned.drain(..).enumerate().map(move |(i, split)| (i % readers.max(1), split))
    }
}

impl SplitEnumerator<FileSplit> for FileEnumerator {
    fn add_splits_back(&mut self, splits: Vec<FileSplit>) {
        self.unassigned.extend(splits);
    }

    fn poll(&mut self, ctx: &mut Assignments<FileSplit>) -> Result<()> {
        for (reader, split) in self.deal(ctx.readers()) {
            ctx.assign(reader, split);
        }
        ctx.no_more_splits();
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        to_bytes("the file source's enumerator", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deals_in_order_and_gives_back_what_was_not_dealt() {
        let files: Vec<_> = ["a", "b", "c"].map(FileSplit::new).into();
        let fresh = FileEnumerator::new(files.clone());
        let mut restored = FileEnumerator::restore(&fresh.snapshot().expect("bytes")).expect("back");
        assert_eq!(restored, fresh);
        restored.add_splits_back(vec![FileSplit { path: "d".into(), position: 7 }]);
        let dealt: Vec<_> = restored.deal(2).map(|(r, s)| (r, s.path, s.position)).collect();
        assert_eq!(dealt, [(0, "a".into(), 0), (1, "b".into(), 0), (0, "c".into(), 0), (1, "d".into(), 7)]);
        assert_eq!(restored, FileEnumerator::default());
    }
}
