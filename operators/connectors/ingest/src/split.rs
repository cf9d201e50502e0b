//! A range of a file, or what is left of it: the split of the range source.

use std::sync::Arc;

use hurtig_engine::source::Split;
use serde::{Deserialize, Serialize};

use crate::scan::Rules;

/// One file in one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// The path below the source's root, with `/`.
    pub path: String,
    /// Which version it is: S3's ETag; of a local file inode, modification time and size.
    pub etag: String,
    /// Its size in bytes, as it is stored.
    pub size: u64,
    /// What it is made of.
    pub format: FileFormat,
    /// Whether it is compressed: then it is one range, and positions are of what comes out.
    pub gzip: bool,
    /// The longest record, without its line end.
    pub max_record: usize,
    /// Why nothing of it can be read: then its only range is a dead letter.
    pub unreadable: Option<String>,
}

/// What a file is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileFormat {
    /// One JSON text a line.
    JsonLines,
    /// Rows of fields.
    Csv {
        /// What stands between fields.
        delimiter: u8,
        /// Whether quotes hide delimiters and line ends.
        quoting: bool,
        /// The columns' names, which all ranges of the file need and only the first one holds.
        columns: Vec<String>,
    },
}

impl FileVersion {
    pub(crate) fn rules(&self) -> Rules {
        let (delimiter, quoting) = match &self.format {
            FileFormat::JsonLines => (None, false),
            FileFormat::Csv { delimiter, quoting, .. } => (Some(*delimiter), *quoting),
        };
        Rules { delimiter, quoting, max_record: self.max_record }
    }

    /// `path@etag`: what this version is called in checkpoints and dead letters.
    pub fn name(&self) -> String {
        file_name(&self.path, &self.etag)
    }

    /// Sixteen hexadecimal digits that stand for this version: the first part of its records' ids.
    pub fn hash(&self) -> u64 {
        fnv1a(self.name().as_bytes())
    }
}

/// What a version of a file is called.
pub(crate) fn file_name(path: &str, etag: &str) -> String {
    format!("{path}@{}", etag.trim_matches('"'))
}

/// FNV-1a with 128 bits, folded to 64: the same in every build and on every machine.
fn fnv1a(bytes: &[u8]) -> u64 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = bytes.iter().fold(BASIS, |hash, b| (hash ^ u128::from(*b)).wrapping_mul(PRIME));
    (hash >> 64) as u64 ^ hash as u64
}

/// One range and how far it has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSplit {
    /// The file it belongs to.
    pub file: Arc<FileVersion>,
    /// Where it begins. It holds the records whose first byte lies in `[start, end)`.
    pub start: u64,
    /// Where it ends: the next range's start.
    pub end: u64,
    /// Where reading goes on: the records that begin before it have been read.
    pub position: u64,
    /// Whether a record (or the blank before one) begins at `position`; otherwise reading begins
    /// behind the next line end.
    pub aligned: bool,
}

impl RangeSplit {
    pub(crate) fn new(file: &Arc<FileVersion>, start: u64, end: u64, aligned: bool) -> Self {
        RangeSplit { file: file.clone(), start, end, position: start, aligned }
    }

    /// How many bytes there are in it (of a compressed file: as they are stored).
    pub fn bytes(&self) -> u64 {
        if self.file.gzip { self.file.size } else { self.end - self.start }
    }
}

impl Split for RangeSplit {
    fn id(&self) -> String {
        let name = self.file.name();
        if self.file.gzip { format!("{name}#gzip") } else { format!("{name}#{}-{}", self.start, self.end) }
    }
}
