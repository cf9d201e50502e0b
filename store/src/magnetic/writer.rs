//! Writing a file: sorted by series and time, with an index of its series in the footer.

use std::sync::Arc;

use arrow::{
    array::{
        AsArray, RecordBatch,
        types::{TimestampNanosecondType, UInt32Type},
    },
    datatypes::SchemaRef,
};
use bytes::Bytes;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding},
    file::{
        metadata::KeyValue,
        properties::{WriterProperties, WriterVersion},
    },
    schema::types::ColumnPath,
};

use super::index::{KEY, SeriesIndex};
use crate::{
    core_batch::with_dimensions,
    error::Result,
    registry::Series,
    schema::{SERIES, TIME, VERSION},
};

/// Rows of a row group: what a lookup of one point has to decode.
pub const ROW_GROUP: usize = 256 << 10;

/// A file as it is written, in memory.
pub struct FileWriter {
    schema: SchemaRef,
    series: Arc<Vec<Arc<Series>>>,
    parquet: ArrowWriter<Vec<u8>>,
    index: SeriesIndex,
    times: Option<(i64, i64)>,
}

/// A file that was written.
pub struct Written {
    /// The file.
    pub bytes: Bytes,
    /// How many rows it has.
    pub rows: u32,
    /// Its oldest and its newest time.
    pub times: (i64, i64),
}

impl FileWriter {
    /// A file with the columns of [`file_schema`](crate::schema::file_schema).
    pub fn new(schema: SchemaRef, series: Arc<Vec<Arc<Series>>>) -> Result<Self> {
        let plain_numbers = [TIME, VERSION].map(|name| ColumnPath::from(vec![name.to_owned()]));
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP));
        for column in plain_numbers {
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
        let parquet = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties.build()))?;
        Ok(FileWriter { schema, series, parquet, index: SeriesIndex::default(), times: None })
    }

    /// Adds a batch of [`core_schema`](crate::schema::core_schema), which goes on in the order of series and time.
    pub fn write(&mut self, core: &RecordBatch) -> Result<()> {
        let (numbers, times) = (core.column_by_name(SERIES), core.column_by_name(TIME));
        let numbers = numbers.and_then(|c| c.as_primitive_opt::<UInt32Type>());
        let times = times.and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
        if let (Some(numbers), Some(times)) = (numbers, times) {
            for (&series, &time) in numbers.values().iter().zip(times.values()) {
                self.index.push(series, time);
                let (oldest, newest) = self.times.unwrap_or((time, time));
                self.times = Some((oldest.min(time), newest.max(time)));
            }
        }
        Ok(self.parquet.write(&with_dimensions(core, &self.series, &self.schema)?)?)
    }

    /// Ends it.
    pub fn finish(mut self) -> Result<Written> {
        self.parquet.append_key_value_metadata(KeyValue::new(KEY.to_owned(), self.index.encode()?));
        Ok(Written {
            rows: self.index.rows(),
            times: self.times.unwrap_or((0, 0)),
            bytes: self.parquet.into_inner()?.into(),
        })
    }
}
