//! The table `timeseries`: what the embedded store holds at this moment, beside the job that writes it.

use std::{path::Path, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, TimeUnit},
    catalog::TableProvider,
    datasource::empty::EmptyTable,
};

use super::{QueryError, tables::text};

/// The table; an empty one where there is no store, or it has no such table yet.
#[cfg(feature = "store")]
pub(super) async fn table(store: &Path, database: &str, table: &str) -> Result<Arc<dyn TableProvider>, QueryError> {
    use datafusion::prelude::{Expr, SessionContext, ident};
    use hurtig_engine::time::SystemClock;
    use hurtig_store::{Store, StoreOptions, StoreTable};

    if !store.join("manifest").is_file() {
        return Ok(empty());
    }
    let opened = Store::open_read_only(StoreOptions::new(store, Arc::new(SystemClock))).await?;
    let provider = match StoreTable::new(&opened, database, table) {
        Ok(provider) => Arc::new(provider),
        Err(hurtig_store::Error::NotFound(_)) => return Ok(empty()),
        Err(e) => return Err(e.into()),
    };
    // A name that can be written without quotes; a job's measures are numbers.
    let column = |field: &Arc<Field>| -> Expr {
        match field.name().as_str() {
            "measure_value::double" => ident(field.name()).alias("measure_value"),
            name => ident(name),
        }
    };
    let columns: Vec<Expr> = provider.schema().fields().iter().map(column).collect();
    Ok(SessionContext::new().read_table(provider)?.select(columns)?.into_view())
}

/// In a build without the store.
#[cfg(not(feature = "store"))]
pub(super) async fn table(_: &Path, _: &str, _: &str) -> Result<Arc<dyn TableProvider>, QueryError> {
    Ok(empty())
}

/// The columns that there are by default.
pub(super) fn empty() -> Arc<dyn TableProvider> {
    Arc::new(EmptyTable::new(Arc::new(Schema::new(vec![
        text("meter_id"),
        text("region"),
        text("measure_name"),
        Field::new("time", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
        Field::new("measure_value", DataType::Float64, true),
    ]))))
}
