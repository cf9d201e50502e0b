//! What `hurtig report` and `hurtig view` are told of insights: tariffs, topology, and what is called what.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use hurtig_insights::{Energy, Insights, Settings, Tariffs, Topology};

use super::{Failure, units};
use crate::{
    query::{Asker, Query, Tables},
    smart_meters::Layout,
};

/// What is called what.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Insights")]
pub struct InsightOptions {
    /// What energy costs: a TOML or JSON file with tariffs, their rates by hour and weekday, and their standing charge
    /// [default: 0.23 USD a kWh, as in the talk]
    #[arg(long, value_name = "FILE", env = "HURTIG_TARIFF", hide_env = true)]
    pub tariff: Option<PathBuf>,
    /// Where meters are in the grid: a CSV file with meter_id, then substation, feeder or what else there is, and latitude
    /// and longitude if known
    #[arg(long, value_name = "FILE", env = "HURTIG_TOPOLOGY", hide_env = true)]
    pub topology: Option<PathBuf>,
    /// The zone that days, hours and months are of
    #[arg(long, value_name = "ZONE", default_value = "UTC", env = "HURTIG_INSIGHTS_TIME_ZONE", hide_env = true)]
    pub time_zone: String,
    /// The measure of energy: kwh, wh or therm
    #[arg(long, value_name = "MEASURE", default_value = "kwh")]
    pub energy_measure: Energy,
    /// How far apart a meter's readings should be [default: the median of each meter's own]
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub interval: Option<Duration>,
    /// A meter that has missed so many readings in a row is out
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub missed: u32,
    /// A reading that comes later than this is late
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = units::parse_duration)]
    pub late_after: Duration,
    /// The share of a meter's readings that are within its band
    #[arg(long, value_name = "SHARE", default_value_t = 0.98)]
    pub band: f64,
    /// Rows of a list: the longest outages, the furthest anomalies
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub list_rows: usize,
}

impl InsightOptions {
    /// As insights take them.
    ///
    /// # Errors
    /// A file that cannot be read, or that says what cannot be; in one line.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let usage = |e: hurtig_insights::Error| Failure::usage(e.to_string());
        let settings = Settings {
            tariffs: self.tariff.as_deref().map(Tariffs::read).transpose().map_err(usage)?.unwrap_or_default(),
            topology: self.topology.as_deref().map(Topology::read).transpose().map_err(usage)?.unwrap_or_default(),
            energy: self.energy_measure,
            interval: self.interval,
            missed: self.missed,
            late_after: self.late_after,
            band: self.band,
            list_rows: self.list_rows,
        };
        settings.check().map_err(usage)?;
        Ok(settings)
    }
}

/// Insights over a lake.
///
/// # Errors
/// Threads that the system does not give; settings that cannot be.
pub fn over(layout: Layout, settings: Settings, more: impl FnOnce(&mut Query)) -> Result<Insights, Failure> {
    let mut query = Query::new(Tables::from(layout));
    more(&mut query);
    Ok(Insights::new(Arc::new(Asker::new(query)?), settings)?)
}
