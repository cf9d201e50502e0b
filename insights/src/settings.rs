//! What insights call energy, late, an outage and an anomaly.

use std::{str::FromStr, time::Duration};

use crate::{
    error::{Error, Result},
    tariff::Tariffs,
    topology::Topology,
};

/// What all insights are asked with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What energy costs.
    pub tariffs: Tariffs,
    /// Where meters are.
    pub topology: Topology,
    /// The measure that is energy.
    pub energy: Energy,
    /// How far apart a meter's readings should be; each meter's own median unless told.
    pub interval: Option<Duration>,
    /// A meter that has missed so many readings in a row is out.
    pub missed: u32,
    /// A reading that comes later than this is late.
    pub late_after: Duration,
    /// The share of a meter's hours that are not called anomalies.
    pub band: f64,
    /// Rows of a list.
    pub list_rows: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            tariffs: Tariffs::default(),
            topology: Topology::default(),
            energy: Energy::Kwh,
            interval: None,
            missed: 4,
            late_after: Duration::from_secs(15 * 60),
            band: 0.98,
            list_rows: 100,
        }
    }
}

impl Settings {
    /// Whether they can be.
    ///
    /// # Errors
    /// [`Error::Parameter`], saying which cannot.
    pub fn check(&self) -> Result<()> {
        let wrong = |words: &str| Err(Error::Parameter(words.into()));
        if !(0.5..1.0).contains(&self.band) {
            return wrong("the band of what is usual is a share from 0.5 to less than 1");
        }
        if self.missed == 0 {
            return wrong("an outage is one missed reading at least");
        }
        if self.interval.is_some_and(|interval| interval.is_zero()) {
            return wrong("an interval is longer than nothing");
        }
        match self.list_rows {
            0 => wrong("a list has one row at least"),
            _ => Ok(()),
        }
    }

    /// The interval in seconds, if it was told.
    pub fn interval_seconds(&self) -> Option<f64> {
        self.interval.map(|interval| interval.as_secs_f64())
    }
}

/// A measure of energy, each value being what was used since the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Energy {
    /// `kwh`
    #[default]
    Kwh,
    /// `wh`
    Wh,
    /// `therm`: gas, 29.3071 kWh each.
    Therm,
}

impl Energy {
    /// What it is called in the column `measure`.
    pub fn measure(self) -> &'static str {
        match self {
            Energy::Kwh => "kwh",
            Energy::Wh => "wh",
            Energy::Therm => "therm",
        }
    }

    /// The kWh in one.
    pub fn kwh(self) -> f64 {
        match self {
            Energy::Kwh => 1.0,
            Energy::Wh => 0.001,
            Energy::Therm => 29.3071,
        }
    }
}

impl FromStr for Energy {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Energy::Kwh, Energy::Wh, Energy::Therm];
        let found = all.into_iter().find(|energy| energy.measure().eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("'{name}' is no energy: kwh, wh and therm are"))
    }
}
