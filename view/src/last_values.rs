//! What every meter has said last: one question of the store, whose answer the fleet, the voltages and the silent meters share.
//!
//! The statement groups the series' newest points, which the store knows without reading a file. A meter that has moved to
//! another region is in several groups; what is newest of them counts.

use hashbrown::HashMap;

use crate::{
    error::Result,
    readings::{Readings, VALUE},
    rows::Rows,
};

/// All meters that have ever said something.
#[derive(Debug, Default)]
pub struct LastValues {
    /// In no order.
    pub meters: Vec<LastValue>,
}

/// A meter.
#[derive(Debug, PartialEq)]
pub struct LastValue {
    /// Its name.
    pub id: String,
    /// Where it is; none when it does not say.
    pub region: Option<String>,
    /// When it has said something last, in nanoseconds since the epoch.
    pub seen: i64,
    /// Its last voltage.
    pub voltage: Option<LastVoltage>,
}

/// A voltage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastVoltage {
    /// How high.
    pub volts: f64,
    /// When it was measured, in nanoseconds since the epoch.
    pub at: i64,
}

/// The statement: newest points only, no file is read.
pub fn statement(readings: &Readings) -> String {
    let Readings { table, meter, region, is_voltage, .. } = readings;
    let by_region = if region == Readings::NO_REGION { String::new() } else { format!("{region}, ") };
    format!(
        "SELECT {meter} AS meter, {region} AS region, {is_voltage} AS is_voltage, max(time) AS seen, max_by({VALUE}, time) AS value\n\
         FROM {table} GROUP BY {meter}, {by_region}{is_voltage}"
    )
}

impl LastValues {
    /// From the statement's rows.
    pub fn new(rows: &Rows) -> Result<Self> {
        let names = rows.texts("meter")?.into_iter().zip(rows.texts("region")?);
        let times = rows.nanos("seen")?.into_iter().zip(rows.booleans("is_voltage")?);
        let mut places: HashMap<String, usize> = HashMap::with_capacity(times.len());
        let mut meters: Vec<LastValue> = Vec::with_capacity(times.len());
        for (((id, region), (seen, is_voltage)), value) in names.zip(times).zip(rows.doubles("value")?) {
            // What has no name is nobody's.
            let (Some(id), Some(at)) = (id, seen) else { continue };
            let voltage = value.filter(|_| is_voltage == Some(true)).map(|volts| LastVoltage { volts, at });
            match places.get(&id) {
                None => {
                    places.insert(id.clone(), meters.len());
                    meters.push(LastValue { id, region, seen: at, voltage });
                }
                Some(&place) => meters[place].add(region, at, voltage),
            }
        }
        Ok(LastValues { meters })
    }
}

impl LastValue {
    /// Of two of the same time, the region that is last in the alphabet and the higher voltage count: the answer does not
    /// depend on an order.
    fn add(&mut self, region: Option<String>, seen: i64, voltage: Option<LastVoltage>) {
        if (seen, &region) > (self.seen, &self.region) {
            (self.seen, self.region) = (seen, region);
        }
        if let Some(new) = voltage
            && self.voltage.is_none_or(|old| (new.at, new.volts) > (old.at, old.volts))
        {
            self.voltage = Some(new);
        }
    }
}
