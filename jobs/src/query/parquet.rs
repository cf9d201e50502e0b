//! A table of Parquet files in partitions: `year=2013/month=02/….parquet`.
//!
//! DataFusion lists, prunes and reads them. Its partition columns are text here, and become
//! numbers in a view above: with numbers below, `month = 2` would look for the directory
//! `month=2` where the job writes `month=02`, and find nothing.

use std::{path::Path, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef},
    catalog::TableProvider,
    datasource::{
        empty::EmptyTable,
        file_format::parquet::ParquetFormat,
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
    },
    logical_expr::{cast, col, ident},
    prelude::SessionContext,
};

use super::{QueryError, tables::entries};

/// Visible Parquet files; whatever is pending begins with a dot.
const FILES: &str = "[!._]*.parquet";

/// The table whose files are below `directory`.
pub fn table(directory: &Path, schema: SchemaRef) -> Result<Arc<dyn TableProvider>, QueryError> {
    let Some(mut partitions) = partitions(directory)? else {
        return Ok(Arc::new(EmptyTable::new(with_partitions(&schema, &["year".into(), "month".into()]))));
    };
    // A job may cut finer than another has before it: year and month are what all have.
    partitions.truncate(2);
    let columns = partitions.iter().map(|name| (name.clone(), DataType::Utf8)).collect();
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(".parquet")
        .with_table_partition_cols(columns);
    let config = ListingTableConfig::new(url(directory)?.with_glob(FILES)?)
        .with_listing_options(options)
        .with_schema(schema.clone());
    let files = ListingTable::try_new(config)?;
    let mut shown: Vec<_> = schema.fields().iter().map(|f| ident(f.name())).collect();
    shown.extend(partitions.iter().map(|name| cast(col(name), DataType::Int32).alias(name)));
    Ok(SessionContext::new().read_table(Arc::new(files))?.select(shown)?.into_view())
}

/// By what the files below `directory` are partitioned; `None` if there is no file at all.
///
/// The first file tells: all are in years and months, or none is.
fn partitions(directory: &Path) -> Result<Option<Vec<String>>, QueryError> {
    for path in entries(directory)? {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        if path.is_dir() {
            let Some((partition, _)) = name.split_once('=') else { continue };
            if let Some(mut below) = partitions(&path)? {
                below.insert(0, partition.to_owned());
                return Ok(Some(below));
            }
        } else if name.ends_with(".parquet") {
            return Ok(Some(Vec::new()));
        }
    }
    Ok(None)
}

fn with_partitions(schema: &SchemaRef, partitions: &[String]) -> SchemaRef {
    let mut fields = schema.fields().to_vec();
    fields.extend(partitions.iter().map(|name| Arc::new(Field::new(name, DataType::Int32, true))));
    Arc::new(Schema::new(fields))
}

/// A URL, and not a path: in a path, DataFusion would take `[` or `*` for a pattern.
fn url(directory: &Path) -> Result<ListingTableUrl, QueryError> {
    let absolute =
        std::path::absolute(directory).map_err(|reason| QueryError::Listing { path: directory.to_owned(), reason })?;
    let mut url = "file://".to_owned();
    for byte in absolute.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' | b'=' => {
                url.push(char::from(byte));
            }
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    if !url.ends_with('/') {
        url.push('/');
    }
    Ok(ListingTableUrl::parse(url)?)
}
