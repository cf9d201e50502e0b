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
/// How many rows' worth of memory an empty chunk keeps.
const KEPT: usize = 4 << 10;

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
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema_ref().fields().iter().map(|f| f.name().clone()).collect()
}

/// Records in memory, and where they came from.
#[derive(Debug)]
pub struct Rows<T> {
    rows: Vec<T>,
    places: Vec<(Origin, i64)>,
    bytes: usize,
}

impl<T: Send + 'static> PartFormat<T> for ParquetFormat<T> {
    type Chunk = Rows<T>;
    type File = ArrowWriter<File>;

    fn extension(&self) -> &str {
        "parquet"
    }

    fn chunk(&self) -> Rows<T> {
        Rows { rows: Vec::new(), places: Vec::new(), bytes: 0 }
    }

    #[inline]
    fn gather(&self, chunk: &mut Rows<T>, record: Record<T>) -> Result<(), Refusal> {
        chunk.bytes += (self.schema.bytes)(&record.value) + size_of::<(Origin, i64)>();
        chunk.places.push((record.origin, record.timestamp));
        chunk.rows.push(record.value);
        Ok(())
    }

    fn raw(&self, value: &T) -> Vec<u8> {
        (self.schema.raw)(value)
    }

    fn bytes(&self, chunk: &Rows<T>) -> usize {
        chunk.bytes
    }

    fn rows(&self, chunk: &Rows<T>) -> usize {
        chunk.rows.len()
    }

    fn is_full(&self, chunk: &Rows<T>) -> bool {
        chunk.rows.len() >= ROWS || chunk.bytes >= BYTES
    }

    fn create(&self, file: File) -> io::Result<ArrowWriter<File>> {
        ArrowWriter::try_new(file, self.schema.schema.clone(), Some(self.properties.clone())).map_err(as_io)
    }

    fn append(&self, file: &mut ArrowWriter<File>, chunk: &mut Rows<T>) -> io::Result<Stored> {
        let mut stored = Stored::default();
        if !chunk.rows.is_empty() {
            match self.encode(&chunk.rows) {
                Ok(batch) => {
                    file.write(&batch).map_err(as_io)?;
                    stored.written = chunk.rows.len() as u64;
                }
                // One of them is at fault, or several: the others are written all the same.
                Err(_) => {
                    for (row, (origin, time)) in chunk.rows.iter().zip(&chunk.places) {
                        match self.encode(std::slice::from_ref(row)) {
                            Ok(batch) => {
                                file.write(&batch).map_err(as_io)?;
                                stored.written += 1;
                            }
                            Err(e) => stored.refused.push(Refusal {
                                origin: *origin,
                                time: *time,
                                raw: self.raw(row),
                                reason: format!("the record cannot be written as Parquet: {e}"),
                            }),
                        }
                    }
                }
            }
            file.flush().map_err(as_io)?;
        }
        chunk.rows.clear();
        chunk.rows.shrink_to(KEPT);
        chunk.places.clear();
        chunk.places.shrink_to(KEPT);
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
