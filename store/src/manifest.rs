//! What the store knows across a restart besides the log: databases, tables, and which files count.
//!
//! It is written anew with every change, beside the old one, and takes its place by a rename: there is always a whole one.
//! The series of a table have a file of their own, which only grows; the manifest says how much of it counts.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    columns::ColumnDef,
    error::{At, Error, Result},
    frame::TableId,
    magnetic::file::FileMeta,
    registry::Series,
    retention::Retention,
    wal::Position,
};

const MAGIC: &[u8; 8] = b"HURTIGS1";

/// The whole of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The next table's number.
    pub next_table: TableId,
    /// The next file's number.
    pub next_file: u64,
    /// From here on the log is needed.
    pub log_from: Position,
    /// Databases by name.
    pub databases: BTreeMap<String, DatabaseMeta>,
    /// Tables by database and name.
    pub tables: BTreeMap<(String, String), TableMeta>,
    /// Tags of a resource, by its name (ARN).
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
    /// What others keep with the store (scheduled queries), by a name of their own.
    pub others: BTreeMap<String, String>,
}

/// A database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseMeta {
    /// Milliseconds since 1970.
    pub created: i64,
    /// Milliseconds since 1970.
    pub updated: i64,
    /// Kept for whoever asks; nothing is encrypted with it.
    pub kms_key: Option<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableMeta {
    /// Its number.
    pub id: TableId,
    /// Milliseconds since 1970.
    pub created: i64,
    /// Milliseconds since 1970.
    pub updated: i64,
    /// How long it keeps what.
    pub retention: Retention,
    /// What else its maker has said of it (JSON): kept for whoever asks.
    pub properties: BTreeMap<String, String>,
    /// Its measure columns, by number.
    pub columns: Vec<ColumnDef>,
    /// How many bytes of the file of its series count.
    pub series_bytes: u64,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// A file of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The file.
    pub meta: FileMeta,
    /// The rows that count no more (a serialized Roaring bitmap).
    pub deleted: Vec<u8>,
}

impl Manifest {
    /// Reads it; an empty one when there is none.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("manifest");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Manifest::default()),
            Err(e) => return Err(e).at(&path),
        };
        let damaged = |what: &str| Error::Damaged { path: path.display().to_string(), what: what.into() };
        let body =
            bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no manifest of this version of the store"))?;
        let (crc, body) = body.split_first_chunk::<4>().ok_or_else(|| damaged("it is too short"))?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(damaged("its checksum is wrong"));
        }
        Ok(postcard::from_bytes(body)?)
    }

    /// Writes it; it would survive a power loss.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let body = postcard::to_stdvec(self)?;
        let (new, path) = (dir.join("manifest.new"), dir.join("manifest"));
        let mut file = File::create(&new).at(&new)?;
        file.write_all(MAGIC).at(&new)?;
        file.write_all(&crc32fast::hash(&body).to_le_bytes()).at(&new)?;
        file.write_all(&body).at(&new)?;
        file.sync_all().at(&new)?;
        std::fs::rename(&new, &path).at(&path)?;
        File::open(dir).and_then(|d| d.sync_all()).at(dir)
    }
}

/// The file of a table's series: one after the other, by number.
#[derive(Debug)]
pub struct SeriesFile {
    path: PathBuf,
}

impl SeriesFile {
    /// Of a table.
    pub fn new(dir: &Path, table: TableId) -> Self {
        SeriesFile { path: dir.join("series").join(table.to_string()) }
    }

    /// Reads the first so many bytes.
    pub fn load(&self, bytes: u64) -> Result<Vec<Series>> {
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let mut file = File::open(&self.path).at(&self.path)?;
        let mut all = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        file.read_exact(&mut all).at(&self.path)?;
        let (mut rest, mut series) = (&all[..], Vec::new());
        while !rest.is_empty() {
            let (block, after): (Vec<Series>, _) = self.block(rest)?;
            series.extend(block);
            rest = after;
        }
        Ok(series)
    }

    fn block<'a>(&self, bytes: &'a [u8]) -> Result<(Vec<Series>, &'a [u8])> {
        let damaged = || Error::Damaged { path: self.path.display().to_string(), what: "it does not check".into() };
        let (crc, body) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (block, after) = postcard::take_from_bytes(body)?;
        let used = &body[..body.len() - after.len()];
        if crc32fast::hash(used) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        Ok((block, after))
    }

    /// Adds series behind the first so many bytes, and returns how many there are then. It would survive a power loss.
    pub fn append(&self, bytes: u64, new: &[Arc<Series>]) -> Result<u64> {
        if new.is_empty() {
            return Ok(bytes);
        }
        let new: Vec<&Series> = new.iter().map(|s| &**s).collect();
        let body = postcard::to_stdvec(&new)?;
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir).at(dir)?;
        }
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path).at(&self.path)?;
        // What lies behind was written for a manifest that did not come to be.
        file.set_len(bytes).at(&self.path)?;
        file.seek(SeekFrom::Start(bytes)).at(&self.path)?;
        file.write_all(&crc32fast::hash(&body).to_le_bytes()).at(&self.path)?;
        file.write_all(&body).at(&self.path)?;
        file.sync_all().at(&self.path)?;
        if let Some(dir) = self.path.parent() {
            File::open(dir).and_then(|d| d.sync_all()).at(dir)?;
        }
        Ok(bytes + 4 + body.len() as u64)
    }

    /// The table is gone.
    pub fn remove(&self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).at(&self.path),
            _ => Ok(()),
        }
    }
}
