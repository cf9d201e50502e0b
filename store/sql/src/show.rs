//! SHOW and DESCRIBE: what the catalog says, as rows. Grafana's plugin reads these columns by their places.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, ListArray, RecordBatch, StringArray, StructArray},
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, Fields},
};

use crate::{
    catalog::Catalog,
    error::{Error, Result},
    names,
    statement::Name,
};

pub(crate) async fn databases(catalog: &dyn Catalog, like: Option<&str>) -> Result<RecordBatch> {
    let mut names = catalog.databases().await.map_err(Error::Catalog)?;
    names.retain(|name| like.is_none_or(|like| is_like(name, like)));
    batch(vec![("Database", texts(names))])
}

pub(crate) async fn tables(catalog: &dyn Catalog, database: &Name, like: Option<&str>) -> Result<RecordBatch> {
    let found = names::database(catalog, database).await?;
    let mut names = catalog.tables(&found).await.map_err(Error::Catalog)?.unwrap_or_default();
    names.retain(|name| like.is_none_or(|like| is_like(name, like)));
    batch(vec![("Table", texts(names))])
}

pub(crate) async fn measures(
    catalog: &dyn Catalog,
    database: &Name,
    table: &Name,
    like: Option<&str>,
) -> Result<RecordBatch> {
    let (found, name) = names::table(catalog, database, table).await?;
    let mut measures = catalog.measures(&found, &name).await.map_err(Error::Catalog)?.unwrap_or_default();
    measures.retain(|measure| like.is_none_or(|like| is_like(&measure.name, like)));
    let dimension = Fields::from(vec![
        Field::new("dimension_name", DataType::Utf8, false),
        Field::new("data_type", DataType::Utf8, false),
    ]);
    let pairs = || measures.iter().flat_map(|m| &m.dimensions);
    let columns = vec![
        texts(pairs().map(|(name, _)| name.clone()).collect()),
        texts(pairs().map(|(_, data_type)| data_type.clone()).collect()),
    ];
    let rows = StructArray::try_new(dimension.clone(), columns, None).map_err(arrow_error)?;
    let dimensions = ListArray::try_new(
        Arc::new(Field::new_list_field(DataType::Struct(dimension), false)),
        OffsetBuffer::from_lengths(measures.iter().map(|m| m.dimensions.len())),
        Arc::new(rows),
        None,
    );
    batch(vec![
        ("measure_name", texts(measures.iter().map(|m| m.name.clone()).collect())),
        ("data_type", texts(measures.iter().map(|m| m.data_type.clone()).collect())),
        ("dimensions", Arc::new(dimensions.map_err(arrow_error)?)),
    ])
}

pub(crate) async fn describe(catalog: &dyn Catalog, database: &Name, table: &Name) -> Result<RecordBatch> {
    let (found, name) = names::table(catalog, database, table).await?;
    let columns = catalog.describe(&found, &name).await.map_err(Error::Catalog)?.unwrap_or_default();
    batch(vec![
        ("Column", texts(columns.iter().map(|c| c.name.clone()).collect())),
        ("Type", texts(columns.iter().map(|c| c.data_type.clone()).collect())),
        ("Timestream attribute type", texts(columns.iter().map(|c| c.attribute_type.as_str().to_owned()).collect())),
    ])
}

fn texts(values: Vec<String>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    RecordBatch::try_from_iter(columns).map_err(arrow_error)
}

fn arrow_error(error: arrow::error::ArrowError) -> Error {
    Error::Execution(Box::new(error.into()))
}

/// LIKE: `%` for any text, `_` for one character.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    // Where the last `%` was, and how much of the text it takes.
    let (mut t, mut p, mut percent) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                percent = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => {
                t += 1;
                p += 1;
            }
            _ => match percent {
                Some((at, taken)) => {
                    percent = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}
