//! A file, or what is left of it: the split of the file source.

use serde::{Deserialize, Serialize};

use hurtig_engine::source::Split;

/// One file and how far it has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSplit {
    /// The path below the source's root, with `/`: the split's id. A restore finds the file
    /// again when the whole directory has moved.
    pub path: String,
    /// A plain file: the byte offset of what comes next. A gzip file: how many records have
    /// been read.
    pub position: u64,
}

impl FileSplit {
    /// A file from its beginning.
    pub fn new(path: impl Into<String>) -> Self {
        FileSplit { path: path.into(), position: 0 }
    }
}

impl Split for FileSplit {
    fn id(&self) -> String {
        self.path.clone()
    }
}
