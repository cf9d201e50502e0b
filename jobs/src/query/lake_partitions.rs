//! The table `lake_partitions`: what the logs of the Delta tables say of each partition, without a look at a file.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray},
        datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    },
    catalog::{MemTable, TableProvider},
};

use super::{
    QueryError,
    tables::{text, utc},
};

/// A file that a compaction leaves alone is at least of this size, by default.
#[cfg(feature = "delta")]
const SMALL: u64 = (128 << 20) / 4 * 3;

#[derive(Debug, Default)]
struct Partition {
    files: i64,
    small_files: i64,
    rows: i64,
    bytes: i64,
    first_written: i64,
    last_written: i64,
}

/// The partitions of these tables; plain Parquet has none that anybody has written down.
pub async fn table(tables: &[(&str, &Path)]) -> Result<Arc<dyn TableProvider>, QueryError> {
    let mut partitions: BTreeMap<(String, String), Partition> = BTreeMap::new();
    #[cfg(feature = "delta")]
    for (name, directory) in tables {
        let Some(table) = hurtig_delta::Table::open(directory).await? else { continue };
        for file in table.files() {
            let at = partitions.entry(((*name).to_owned(), file.directory().to_owned())).or_insert_with(|| Partition {
                first_written: file.written_ms,
                last_written: file.written_ms,
                ..Partition::default()
            });
            at.files += 1;
            at.small_files += i64::from(file.bytes < SMALL);
            at.rows += file.rows.and_then(|rows| i64::try_from(rows).ok()).unwrap_or(0);
            at.bytes += i64::try_from(file.bytes).unwrap_or(i64::MAX);
            at.first_written = at.first_written.min(file.written_ms);
            at.last_written = at.last_written.max(file.written_ms);
        }
    }
    #[cfg(not(feature = "delta"))]
    let _ = (tables, &mut partitions);
    let numbers =
        |of: fn(&Partition) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(partitions.values().map(of))) };
    let times = |of: fn(&Partition) -> i64| -> ArrayRef {
        Arc::new(TimestampMillisecondArray::from_iter_values(partitions.values().map(of)).with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(partitions.keys().map(|(table, _)| table))),
        Arc::new(StringArray::from_iter_values(partitions.keys().map(|(_, directory)| directory))),
        numbers(|p| p.files),
        numbers(|p| p.small_files),
        numbers(|p| p.rows),
        numbers(|p| p.bytes),
        times(|p| p.first_written),
        times(|p| p.last_written),
    ];
    let batch = RecordBatch::try_new(schema(), columns).map_err(|e| QueryError::Sql(e.into()))?;
    Ok(Arc::new(MemTable::try_new(schema(), vec![vec![batch]])?))
}

fn schema() -> SchemaRef {
    let number = |name| Field::new(name, DataType::Int64, true);
    let time = |name| Field::new(name, utc(TimeUnit::Millisecond), true);
    Arc::new(Schema::new(vec![
        text("table_name"),
        text("partition"),
        number("files"),
        number("small_files"),
        number("rows"),
        number("bytes"),
        time("first_written"),
        time("last_written"),
    ]))
}
