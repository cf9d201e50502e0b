//! The table of readings: what it calls a meter and a region, and how SQL writes that.

use crate::{
    error::{Error, Result},
    options::ViewOptions,
    rows::Rows,
    sql::{name, text},
};

/// The table, as the panels' SQL needs it.
#[derive(Debug, Clone)]
pub struct Readings {
    /// `"meters"."readings"`
    pub table: String,
    /// The column of meters' names.
    pub meter: String,
    /// The column of regions; [`Readings::NO_REGION`] when the table has none.
    pub region: String,
    /// The predicate that leaves energy.
    pub is_energy: String,
    /// The predicate that leaves voltage.
    pub is_voltage: String,
}

/// The column of single measures.
pub const VALUE: &str = "measure_value::double";

/// What else a meter's name is called, without case and underscores: as the smart-meter job knows them.
const METER_NAMES: [&str; 2] = ["meterid", "deviceid"];

impl Readings {
    /// What stands for the region where a table has none: an empty text.
    pub const NO_REGION: &str = "''";

    /// The table that the options name.
    pub fn table(options: &ViewOptions) -> String {
        format!("{}.{}", name(&options.database), name(&options.table))
    }

    /// From what `DESCRIBE` says of the table; none when no reading was written yet.
    ///
    /// # Errors
    /// A table without a dimension that could be the meter's.
    pub fn new(options: &ViewOptions, described: &Rows) -> Result<Option<Self>> {
        let columns = described.texts("Column")?;
        let kinds = described.texts("Timestream attribute type")?;
        let is_value = |column: &Option<String>| column.as_deref() == Some(VALUE);
        let pairs = columns.iter().zip(&kinds);
        let dimensions =
            pairs.filter(|(_, kind)| kind.as_deref() == Some("DIMENSION")).filter_map(|(c, _)| c.as_deref());
        let dimensions: Vec<&str> = dimensions.collect();
        if !columns.iter().any(is_value) {
            return Ok(None);
        }
        let called = |wanted: &str| {
            let exact = dimensions.iter().find(|d| **d == wanted);
            exact.or_else(|| dimensions.iter().find(|d| d.eq_ignore_ascii_case(wanted)))
        };
        let known = || dimensions.iter().find(|d| METER_NAMES.contains(&d.to_lowercase().replace('_', "").as_str()));
        let Some(meter) = called(&options.meter).or_else(known) else {
            return Err(Error::Table(format!(
                "The table {}.{} has no dimension '{}' that would name a meter; it has {}.",
                options.database,
                options.table,
                options.meter,
                if dimensions.is_empty() { "none".into() } else { dimensions.join(", ") }
            )));
        };
        Ok(Some(Readings {
            table: Readings::table(options),
            meter: name(meter),
            region: called(&options.region).map_or_else(|| Self::NO_REGION.into(), |region| name(region)),
            is_energy: format!("measure_name = {}", text(&options.energy)),
            is_voltage: format!("measure_name = {}", text(&options.voltage)),
        }))
    }
}
