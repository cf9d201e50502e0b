//! Partitions without a projection: the directories `column=value` that are there.
//!
//! As far down as the filters say something, each level is listed by itself and pruned before the next one is; below
//! that everything is wanted, and one listing a directory finds it all.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use object_store::{ObjectStore, path::Path};

use crate::{
    error::{Error, Result},
    file_table::ScanOptions,
    listing::{self, FoundFile},
    location::Location,
    projection::scalar,
    pruning::Pruning,
    table::{Column, Table},
    template::unescape,
};

/// What stands for NULL in a directory's name.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The files of the partitions that can have rows.
pub(crate) async fn files(
    table: &Table,
    pruning: &Pruning<'_>,
    store: &Arc<dyn ObjectStore>,
    location: &Location,
    options: &ScanOptions,
) -> Result<Vec<FoundFile>> {
    let depth = pruning.depth();
    let mut places: Vec<(Path, Vec<ScalarValue>)> = vec![(location.path().clone(), Vec::new())];
    for column in &table.partitions[..depth] {
        let below = listing::directories(store, location, places, options.concurrent_lists).await?;
        let mut found = Vec::with_capacity(below.len());
        for (path, mut values) in below {
            let name = path.filename().unwrap_or_default();
            if let Some(value) = value_of(name, column, &location.at(&path))? {
                values.push(value);
                found.push((path, values));
            }
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let level = found[0].1.len();
        let columns = (0..level)
            .map(|at| ScalarValue::iter_to_array(found.iter().map(|(_, values)| values[at].clone())))
            .collect::<Result<Vec<ArrayRef>, _>>()?;
        let keep = pruning.keep(&columns)?;
        places = found.into_iter().zip(keep.values()).filter_map(|(place, keep)| keep.then_some(place)).collect();
        if places.len() > options.max_locations {
            return Err(Error::TooManyLocations {
                table: table.name.to_string(),
                count: places.len() as u128,
                limit: options.max_locations,
                advice: format!("narrow the filter on {}", column.name),
            });
        }
    }
    let places = places.into_iter().map(|(path, values)| (path, values.into())).collect();
    let found = listing::files(store, location, places, options.concurrent_lists).await?;
    if depth == table.partitions.len() {
        return Ok(found);
    }
    let mut files = Vec::with_capacity(found.len());
    for file in found {
        if let Some(file) = rest_of_partition(table, depth, file, location)? {
            files.push(file);
        }
    }
    Ok(files)
}

/// A file with its partition's values from `depth` on, which stand in its path; `None` when they do not.
fn rest_of_partition(table: &Table, depth: usize, file: FoundFile, location: &Location) -> Result<Option<FoundFile>> {
    let Some(parts) = file.meta.location.prefix_match(location.path()) else { return Ok(None) };
    let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
    let mut values = file.partition.to_vec();
    for (at, column) in table.partitions.iter().enumerate().skip(depth) {
        // The last part is the file.
        let part = parts.get(at).filter(|_| at + 1 < parts.len());
        let Some(value) =
            part.map(|part| value_of(part, column, &location.at(&file.meta.location))).transpose()?.flatten()
        else {
            return Ok(None);
        };
        values.push(value);
    }
    Ok(Some(FoundFile { meta: file.meta, partition: values.into() }))
}

/// The value of a directory `column=value`; `None` when it is another one.
fn value_of(name: &str, column: &Column, place: &Location) -> Result<Option<ScalarValue>> {
    let Some((found, text)) = name.split_once('=') else { return Ok(None) };
    if !unescape(found).eq_ignore_ascii_case(&column.name) {
        return Ok(None);
    }
    let text = unescape(text);
    if text == NULL {
        return Ok(Some(ScalarValue::try_from(&column.kind.to_arrow())?));
    }
    match scalar(&text, &column.kind) {
        Some(value) => Ok(Some(value)),
        None => Err(Error::BadFile {
            file: place.to_string(),
            message: format!("Invalid partition value '{text}' for {} partition key: {}", column.kind, column.name),
        }),
    }
}
