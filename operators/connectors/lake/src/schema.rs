//! How records become Arrow columns.

use std::{fmt, sync::Arc};

use arrow::{
    array::RecordBatch, compute::concat_batches, datatypes::SchemaRef, error::ArrowError, json::LineDelimitedWriter,
};
use serde::Serialize;

/// A record type that knows its columns.
pub trait ToArrow: Sized {
    /// The columns.
    fn schema() -> SchemaRef;

    /// The rows as columns. An error makes the sink try them one by one, and send those that
    /// fail alone to the dead letters.
    fn to_batch(rows: &[Self]) -> Result<RecordBatch, ArrowError>;
}

type Encode<T> = Arc<dyn Fn(&[T]) -> Result<RecordBatch, ArrowError> + Send + Sync>;
type Raw<T> = Arc<dyn Fn(&T) -> Vec<u8> + Send + Sync>;
type Bytes<T> = Arc<dyn Fn(&T) -> usize + Send + Sync>;

/// The columns of a Parquet file, and how records become them.
pub struct ParquetSchema<T> {
    pub(crate) schema: SchemaRef,
    pub(crate) encode: Encode<T>,
    pub(crate) raw: Raw<T>,
    pub(crate) bytes: Bytes<T>,
}

impl<T> Clone for ParquetSchema<T> {
    fn clone(&self) -> Self {
        ParquetSchema {
            schema: self.schema.clone(),
            encode: self.encode.clone(),
            raw: self.raw.clone(),
            bytes: self.bytes.clone(),
        }
    }
}

impl<T> fmt::Debug for ParquetSchema<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParquetSchema").field(&self.schema).finish()
    }
}

impl<T: Serialize + 'static> ParquetSchema<T> {
    /// These columns, made by `encode`.
    pub fn new(
        schema: SchemaRef,
        encode: impl Fn(&[T]) -> Result<RecordBatch, ArrowError> + Send + Sync + 'static,
    ) -> Self {
        ParquetSchema {
            schema,
            encode: Arc::new(encode),
            raw: Arc::new(|row| serde_json::to_vec(row).unwrap_or_default()),
            // With a little for what the record points to.
            bytes: Arc::new(|_| size_of::<T>() + 16),
        }
    }

    /// The columns that `T` itself knows.
    pub fn of() -> Self
    where
        T: ToArrow,
    {
        Self::new(T::schema(), T::to_batch)
    }
}

impl<T> ParquetSchema<T> {
    /// The columns.
    pub fn columns(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many bytes a record holds in memory: what the bounds on memory go by. By default its
    /// own size and 16 for what it points to.
    #[must_use]
    pub fn row_bytes(mut self, bytes: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        self.bytes = Arc::new(bytes);
        self
    }
}

impl ParquetSchema<RecordBatch> {
    /// Records that are batches of rows already, with these columns. The sink's books count
    /// batches.
    pub fn batches(schema: SchemaRef) -> Self {
        let columns = schema.clone();
        ParquetSchema {
            schema,
            encode: Arc::new(move |batches: &[RecordBatch]| concat_batches(&columns, batches)),
            raw: Arc::new(|batch| {
                let mut lines = LineDelimitedWriter::new(Vec::new());
                // A batch that JSON cannot show leaves an empty letter, with its origin.
                let shown = lines.write(batch).and_then(|()| lines.finish());
                shown.map(|()| lines.into_inner()).unwrap_or_default()
            }),
            bytes: Arc::new(RecordBatch::get_array_memory_size),
        }
    }
}
