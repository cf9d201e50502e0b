//! Parquet as a part file format: a chunk of rows becomes a row group.

use std::{fs::File, io};

use arrow::{array::RecordBatch, error::ArrowError};
use hurtig_engine::record::{Origin, Record};
use hurtig_operators::connectors::part_files::{PartFormat, Refusal, Stored};
use parquet::{arrow::ArrowWriter, errors::ParquetError, file::properties::WriterProperties};

use crate::schema::ParquetSchema;

/// A row group holds about this many rows …
const ROWS: usize = 64 << 10;
/// … or this many bytes in memory.
const BYTES: usize = 8 << 20;
/// Rows lie in blocks of so many: one after the other becomes columns, so that they are never there twice
/// as a whole.
const BLOCK: usize = 4 << 10;

/// Parquet files of one schema.
pub struct ParquetFormat<T> {
    schema: ParquetSchema<T>,
    properties: WriterProperties,
}

impl<T> ParquetFormat<T> {
    /// Files with these columns and properties.
    pub fn new(schema: ParquetSchema<T>, properties: WriterProperties) -> Self {
        ParquetFormat { schema, properties }
    }

    /// The rows as columns, if they are the columns that were promised.
    fn encode(&self, rows: &[T]) -> Result<RecordBatch, ArrowError> {
        let batch = (self.schema.encode)(rows)?;
        if batch.schema_ref().fields() != self.schema.schema.fields() {
            return Err(ArrowError::SchemaError(format!(
                "the columns are {:?}, not {:?} as the sink's schema says",
                names(&batch),
                self.schema.schema.fields().iter().map(|f| f.name()).collect::<Vec<_>>()
            )));
        }
        Ok(batch)
    }

    fn append_block(&self, file: &mut ArrowWriter<File>, block: &Block<T>, stored: &mut Stored) -> io::Result<()> {
        if block.rows.is_empty() {
            return Ok(());
        }
        if let Ok(batch) = self.encode(&block.rows) {
            file.write(&batch).map_err(as_io)?;
            stored.written += block.rows.len() as u64;
            return Ok(());
        }
        // One of them is at fault, or several: the others are written all the same.
        for (row, (origin, time)) in block.rows.iter().zip(&block.places) {
            match self.encode(std::slice::from_ref(row)) {
                Ok(batch) => {
                    file.write(&batch).map_err(as_io)?;
                    stored.written += 1;
                }
                Err(e) => stored.refused.push(Refusal {
                    origin: *origin,
                    time: *time,
                    raw: (self.schema.raw)(row),
                    reason: format!("the record cannot be written as Parquet: {e}"),
                }),
            }
        }
        Ok(())
    }
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema_ref().fields().iter().map(|f| f.name().clone()).collect()
}

/// Records in memory, and where they came from.
#[derive(Debug)]
pub struct Rows<T> {
    /// All but the last are full.
    blocks: Vec<Block<T>>,
    bytes: usize,
}

/// Rows that become columns together.
#[derive(Debug)]
struct Block<T> {
    rows: Vec<T>,
    places: Vec<(Origin, i64)>,
}

impl<T> Block<T> {
    fn with_capacity(rows: usize) -> Self {
        Block { rows: Vec::with_capacity(rows), places: Vec::with_capacity(rows) }
    }
}

impl<T: Send + 'static> PartFormat<T> for ParquetFormat<T> {
    type Chunk = Rows<T>;
    type File = ArrowWriter<File>;

    fn extension(&self) -> &str {
        "parquet"
    }

    fn chunk(&self) -> Rows<T> {
        Rows { blocks: Vec::new(), bytes: 0 }
    }

    #[inline]
    fn gather(&self, chunk: &mut Rows<T>, record: Record<T>) -> Result<(), Refusal> {
        chunk.bytes += (self.schema.bytes)(&record.value) + size_of::<(Origin, i64)>();
        let block = match chunk.blocks.last_mut() {
            Some(block) if block.rows.len() < BLOCK => block,
            // Many files may be open that get a few records only: the first grows as it needs to.
            Some(_) => chunk.blocks.push_mut(Block::with_capacity(BLOCK)),
            None => chunk.blocks.push_mut(Block::with_capacity(0)),
        };
        block.places.push((record.origin, record.timestamp));
        block.rows.push(record.value);
        Ok(())
    }

    fn raw(&self, value: &T) -> Vec<u8> {
        (self.schema.raw)(value)
    }

    fn bytes(&self, chunk: &Rows<T>) -> usize {
        chunk.bytes
    }

    fn rows(&self, chunk: &Rows<T>) -> usize {
        chunk.blocks.last().map_or(0, |last| (chunk.blocks.len() - 1) * BLOCK + last.rows.len())
    }

    fn is_full(&self, chunk: &Rows<T>) -> bool {
        self.rows(chunk) >= ROWS || chunk.bytes >= BYTES
    }

    fn create(&self, file: File) -> io::Result<ArrowWriter<File>> {
        ArrowWriter::try_new(file, self.schema.schema.clone(), Some(self.properties.clone())).map_err(as_io)
    }

    fn append(&self, file: &mut ArrowWriter<File>, chunk: &mut Rows<T>) -> io::Result<Stored> {
        let mut stored = Stored::default();
        let has_rows = self.rows(chunk) > 0;
        for block in &mut chunk.blocks {
            self.append_block(file, block, &mut stored)?;
            block.rows.clear();
            block.places.clear();
        }
        if has_rows {
            file.flush().map_err(as_io)?;
        }
        chunk.blocks.truncate(1);
        chunk.bytes = 0;
        Ok(stored)
    }

    fn written(&self, file: &ArrowWriter<File>) -> u64 {
        file.bytes_written() as u64
    }

    fn finish(&self, file: ArrowWriter<File>) -> io::Result<File> {
        file.into_inner().map_err(as_io)
    }
}

/// The system's own words where there are some.
fn as_io(e: ParquetError) -> io::Error {
    match e {
        ParquetError::External(e) => match e.downcast::<io::Error>() {
            Ok(e) => *e,
            Err(e) => io::Error::other(e),
        },
        e => io::Error::other(e),
    }
}
