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
    /// When it has said something last.
    pub seen_ms: i64,
    /// Its last voltage.
    pub voltage: Option<LastVoltage>,
}

/// A voltage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastVoltage {
    /// How high.
    pub volts: f64,
    /// When it was measured.
    pub at_ms: i64,
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
        let times = rows.times("seen")?.into_iter().zip(rows.booleans("is_voltage")?);
        let mut places: HashMap<String, usize> = HashMap::with_capacity(times.len());
        let mut meters: Vec<LastValue> = Vec::with_capacity(times.len());
        for (((id, region), (seen, is_voltage)), value) in names.zip(times).zip(rows.doubles("value")?) {
            // What has no name is nobody's.
            let (Some(id), Some(at_ms)) = (id, seen) else { continue };
            let voltage = value.filter(|_| is_voltage == Some(true)).map(|volts| LastVoltage { volts, at_ms });
            match places.get(&id) {
                None => {
                    places.insert(id.clone(), meters.len());
                    meters.push(LastValue { id, region, seen_ms: at_ms, voltage });
                }
                Some(&at) => meters[at].add(region, at_ms, voltage),
            }
        }
        Ok(LastValues { meters })
    }
}

impl LastValue {
    /// Of two of the same time, the region that is last in the alphabet: the answer does not depend on an order.
    fn add(&mut self, region: Option<String>, seen_ms: i64, voltage: Option<LastVoltage>) {
        if (seen_ms, &region) > (self.seen_ms, &self.region) {
            (self.seen_ms, self.region) = (seen_ms, region);
        }
        if let Some(new) = voltage
            && self.voltage.is_none_or(|old| (new.at_ms, new.volts) > (old.at_ms, old.volts))
        {
            self.voltage = Some(new);
        }
    }
}
