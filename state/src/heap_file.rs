//! The heap's snapshot: one file with every entry, by table and key group, in the encoding that
//! RocksDB's tables have, so that either backend can restore from it.
//!
//! A section is one table's entries of one key group, sorted, each
//! `[key length: varint][key][value length: varint][value]`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::encoding::{append_varint, read_key_group, read_varint};
use crate::error::IoContext;
use crate::run::Run;
use crate::snapshot::{HeapSection, SnapshotFile, StateSnapshot};
use crate::{Error, KeyGroupRange, Result};

/// The file's name in the snapshot's directory.
const FILE: &str = "state.heap";

/// Entries of each table, as bytes: what a heap backend has read, but nobody has asked for yet.
pub(crate) type RawTables = BTreeMap<String, Vec<u8>>;

/// Writes a heap snapshot.
pub(crate) struct HeapWriter {
    path: PathBuf,
    file: BufWriter<File>,
    offset: u64,
    sections: Vec<HeapSection>,
}

impl HeapWriter {
    pub(crate) fn create(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = File::create(&path).context("create", &path)?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 20, file), offset: 0, sections: Vec::new() })
    }

    /// Adds a table; its run is sorted here.
    pub(crate) fn add(&mut self, table: &str, run: &mut Run, width: usize) -> Result<()> {
        run.sort();
        let mut buffer = Vec::new();
        let mut current = None;
        for (_, key, value) in run.iter() {
            let group = read_key_group(key, width);
            if group != current {
                self.section(table, current, &mut buffer)?;
                current = group;
            }
            append_entry(key, value, &mut buffer);
        }
        self.section(table, current, &mut buffer)
    }

    /// Adds a table that nobody has asked for since it was restored.
    pub(crate) fn add_raw(&mut self, table: &str, raw: &[u8], width: usize) -> Result<()> {
        let mut run = Run::default();
        for entry in Entries(raw) {
            let (key, value) = entry.ok_or_else(|| damaged(&self.path))?;
            run.add(crate::run::Op::Put, key, value);
        }
        self.add(table, &mut run, width)
    }

    fn section(&mut self, table: &str, group: Option<u16>, buffer: &mut Vec<u8>) -> Result<()> {
        if let Some(key_group) = group {
            self.file.write_all(buffer).context("write", &self.path)?;
            let len = buffer.len() as u64;
            self.sections.push(HeapSection { table: table.to_owned(), key_group, offset: self.offset, len });
            self.offset += len;
        }
        buffer.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<(Vec<SnapshotFile>, Vec<HeapSection>)> {
        self.file.flush().context("write", &self.path)?;
        let file = SnapshotFile { name: FILE.to_owned(), len: self.offset, immutable: false };
        Ok((vec![file], self.sections))
    }
}

fn append_entry(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    append_varint(key.len(), out);
    out.extend_from_slice(key);
    append_varint(value.len(), out);
    out.extend_from_slice(value);
}

/// Adds one entry to a raw table.
#[cfg(feature = "rocksdb")]
pub(crate) fn append_raw(tables: &mut RawTables, table: &str, key: &[u8], value: &[u8]) {
    if let Some(raw) = tables.get_mut(table) {
        append_entry(key, value, raw);
    } else {
        let mut raw = Vec::new();
        append_entry(key, value, &mut raw);
        tables.insert(table.to_owned(), raw);
    }
}

/// The entries of a raw table; an inner `None` is a damaged one.
pub(crate) struct Entries<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = Option<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut split = || {
            let (len, rest) = read_varint(self.0)?;
            let (key, rest) = rest.split_at_checked(len)?;
            let (len, rest) = read_varint(rest)?;
            let (value, rest) = rest.split_at_checked(len)?;
            self.0 = rest;
            Some((key, value))
        };
        let entry = split();
        if entry.is_none() {
            self.0 = &[];
        }
        Some(entry)
    }
}

/// Reads the sections of `groups`, all tables, appending to `tables`.
pub(crate) fn read_sections(
    dir: &Path,
    snapshot: &StateSnapshot,
    groups: KeyGroupRange,
    tables: &mut RawTables,
) -> Result<()> {
    let path = dir.join(FILE);
    let mut file = File::open(&path).context("open", &path)?;
    for section in snapshot.sections.iter().filter(|section| groups.contains(section.key_group)) {
        let len = usize::try_from(section.len).map_err(|_| damaged(&path))?;
        let raw = tables.entry(section.table.clone()).or_default();
        let start = raw.len();
        raw.resize(start + len, 0);
        file.seek(SeekFrom::Start(section.offset)).context("read", &path)?;
        file.read_exact(&mut raw[start..]).context("read", &path)?;
    }
    Ok(())
}

fn damaged(path: &Path) -> Error {
    Error::CorruptSnapshot { path: path.to_path_buf(), reason: "an entry is cut short".to_owned() }
}
