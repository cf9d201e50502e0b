//! The files of one result, by partition: rows go in, pieces of files come out, and memory stays within a bound.

use std::collections::BTreeMap;

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::SchemaRef,
};
use bytes::Bytes;
use hurtig_timestream_sql::{
    Error, Result,
    datum::{self, Datum},
    unload::UnloadOptions,
};
use object_store::path::Path;

use super::{
    encoder::{Encoder, extension},
    failed,
    place::Folder,
};

/// Bytes that all files together hold in memory, about.
pub const MEMORY: usize = 64 << 20;
/// Bytes of a piece: 10,000 of them, which is what S3 takes, are the 78 GB that a file may have.
const PIECE: usize = 8 << 20;
/// The largest file; `max_file_size` is at most that.
const FILE: u64 = 78 << 30;
/// Partitions of one UNLOAD, as Timestream has it.
const PARTITIONS: usize = 100;
/// What Hive, and whoever reads like it, calls a partition of NULLs.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A piece of a file.
#[derive(Debug)]
pub struct Piece {
    /// Which file's.
    pub file: usize,
    /// Where the file goes.
    pub path: Path,
    /// The next bytes of it, which are all but the last piece's [`PIECE`] or more.
    pub bytes: Bytes,
    /// With the last one: the file's rows and bytes.
    pub end: Option<(u64, u64)>,
}

/// All files of a result that are being written.
pub struct Files {
    options: UnloadOptions,
    /// `results`, where the files and the partitions' directories are.
    results: Path,
    id: String,
    /// Of the files: without the partitions' columns.
    schema: SchemaRef,
    /// How many files there were.
    count: usize,
    /// By the values of the partition's columns.
    partitions: BTreeMap<Vec<Option<String>>, Option<File>>,
}

struct File {
    number: usize,
    path: Path,
    encoder: Encoder,
    rows: u64,
    /// Bytes that were not given out yet, and those that were.
    pending: Vec<u8>,
    given: u64,
}

impl Files {
    /// Of a result with this schema.
    pub fn new(folder: &Folder, id: &str, schema: SchemaRef, options: &UnloadOptions) -> Self {
        let kept: Vec<usize> = (0..schema.fields().len() - options.partitioned_by.len()).collect();
        // The partitions' columns are the last ones, so that this cannot fail; all columns would be the answer if it did.
        let schema = schema.project(&kept).map_or(schema, SchemaRef::new);
        Files {
            options: options.clone(),
            results: folder.file("results"),
            id: id.to_owned(),
            schema,
            count: 0,
            partitions: BTreeMap::new(),
        }
    }

    /// Takes rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let kept: Vec<usize> = (0..self.schema.fields().len()).collect();
        for (partition, rows) in self.divide(batch)? {
            let rows = match rows {
                None => batch.clone(),
                Some(rows) => take_record_batch(batch, &rows).map_err(failed)?,
            };
            let rows = rows.project(&kept).map_err(failed)?;
            self.write_partition(partition, &rows, &mut pieces)?;
        }
        self.shrink(&mut pieces)?;
        Ok(pieces)
    }

    /// The end of the result.
    pub fn finish(&mut self) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        for file in self.partitions.values_mut().filter_map(Option::take) {
            file.finish(&mut pieces)?;
        }
        Ok(pieces)
    }

    /// A batch's rows by partition; `None` for all of them.
    fn divide(&self, batch: &RecordBatch) -> Result<BTreeMap<Vec<Option<String>>, Option<UInt32Array>>> {
        if self.options.partitioned_by.is_empty() {
            return Ok(BTreeMap::from([(Vec::new(), None)]));
        }
        let keys: Vec<usize> = (self.schema.fields().len()..batch.num_columns()).collect();
        let mut rows: BTreeMap<Vec<Option<String>>, Vec<u32>> = BTreeMap::new();
        for (at, row) in (0..).zip(datum::rows(&batch.project(&keys).map_err(failed)?)?) {
            let text = |datum| match datum {
                Datum::Scalar(text) => Some(text),
                _ => None,
            };
            rows.entry(row.data.into_iter().map(text).collect()).or_default().push(at);
        }
        Ok(rows.into_iter().map(|(partition, rows)| (partition, Some(UInt32Array::from(rows)))).collect())
    }

    fn write_partition(
        &mut self,
        partition: Vec<Option<String>>,
        rows: &RecordBatch,
        pieces: &mut Vec<Piece>,
    ) -> Result<()> {
        if !self.partitions.contains_key(&partition) && self.partitions.len() >= PARTITIONS {
            return Err(Error::Validation(format!(
                "UNLOAD exports at most {PARTITIONS} partitions: the columns of partitioned_by have more values than that"
            )));
        }
        let open = self.partitions.entry(partition.clone()).or_default();
        let file = match open {
            Some(file) => file,
            None => {
                let mut path = self.results.clone();
                for (name, value) in self.options.partitioned_by.iter().zip(&partition) {
                    path = path.join(format!("{name}={}", value.as_deref().unwrap_or(NULL)));
                }
                let number = self.count;
                self.count += 1;
                let path = path.join(format!("{}_{number:05}.{}", self.id, extension(&self.options)));
                let encoder = Encoder::new(&self.schema, &self.options)?;
                open.insert(File { number, path, encoder, rows: 0, pending: Vec::new(), given: 0 })
            }
        };
        file.encoder.write(rows)?;
        file.rows += rows.num_rows() as u64;
        file.give(pieces);
        // The last row group and the footer come on top.
        let largest = self.options.max_file_size.unwrap_or(FILE).min(FILE) / 16 * 15;
        if file.size() >= largest
            && let Some(file) = open.take()
        {
            file.finish(pieces)?;
        }
        Ok(())
    }

    /// While all together hold too much: the largest gives what it has, or ends.
    fn shrink(&mut self, pieces: &mut Vec<Piece>) -> Result<()> {
        while self.partitions.values().flatten().map(File::memory).sum::<usize>() > MEMORY {
            let largest = self.partitions.values_mut().max_by_key(|file| file.as_ref().map_or(0, File::memory));
            let Some(open) = largest else { break };
            if let Some(file) = open
                && file.encoder.memory() > PIECE
            {
                file.encoder.flush()?;
                file.give(pieces);
            } else if let Some(file) = open.take() {
                file.finish(pieces)?;
            }
        }
        Ok(())
    }
}

impl File {
    fn memory(&self) -> usize {
        self.encoder.memory() + self.pending.len()
    }

    /// About how large it is.
    fn size(&self) -> u64 {
        self.given + (self.pending.len() + self.encoder.size_to_come()) as u64
    }

    /// Gives out what makes a piece.
    fn give(&mut self, pieces: &mut Vec<Piece>) {
        self.pending.append(&mut self.encoder.take());
        if self.pending.len() >= PIECE {
            let bytes = std::mem::take(&mut self.pending);
            self.given += bytes.len() as u64;
            pieces.push(Piece { file: self.number, path: self.path.clone(), bytes: bytes.into(), end: None });
        }
    }

    fn finish(mut self, pieces: &mut Vec<Piece>) -> Result<()> {
        let mut last = self.encoder.finish()?;
        self.pending.append(&mut last);
        let end = Some((self.rows, self.given + self.pending.len() as u64));
        pieces.push(Piece { file: self.number, path: self.path, bytes: self.pending.into(), end });
        Ok(())
    }
}
