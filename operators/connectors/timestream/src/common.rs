//! What all records of a request share is said once (`CommonAttributes`): smaller requests, and AWS bills by size.

use aws_sdk_timestreamwrite::types;

use crate::record::{Measure, TimeUnit, TimestreamRecord};

/// What every record of a batch has; what is `None` differs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommonAttributes {
    /// Dimensions with the same value in all.
    pub dimensions: Vec<(String, String)>,
    /// `MeasureName`
    pub measure_name: Option<String>,
    /// `MeasureValueType`
    pub measure_type: Option<&'static str>,
    /// `Time`, together with its unit.
    pub time: Option<i64>,
    /// `TimeUnit`
    pub time_unit: Option<TimeUnit>,
    /// `Version`
    pub version: Option<i64>,
}

/// The attributes that all of `records` share. A record by itself has nothing to share.
pub fn factor_out<'a>(mut records: impl Iterator<Item = &'a TimestreamRecord>) -> CommonAttributes {
    let (Some(first), mut several) = (records.next(), false) else { return CommonAttributes::default() };
    let mut common = CommonAttributes {
        dimensions: first.dimensions.clone(),
        measure_name: Some(first.measure_name.clone()),
        measure_type: Some(first.measure.type_name()),
        time: Some(first.time),
        time_unit: Some(first.time_unit),
        version: first.version,
    };
    for record in records {
        several = true;
        common.dimensions.retain(|dimension| record.dimensions.contains(dimension));
        common.measure_name.take_if(|name| *name != record.measure_name);
        common.measure_type.take_if(|name| *name != record.measure.type_name());
        common.time.take_if(|time| *time != record.time);
        common.time_unit.take_if(|unit| *unit != record.time_unit);
        common.version.take_if(|version| Some(*version) != record.version);
    }
    // A time means nothing without its unit.
    common.time.take_if(|_| common.time_unit.is_none());
    if several { common } else { CommonAttributes::default() }
}

impl CommonAttributes {
    /// Whether there is nothing to say once.
    pub fn is_empty(&self) -> bool {
        *self == CommonAttributes::default()
    }

    /// As a request has it.
    pub(crate) fn to_sdk(&self) -> Option<types::Record> {
        if self.is_empty() {
            return None;
        }
        let dimensions: Vec<_> = self.dimensions.iter().filter_map(dimension).collect();
        let record = types::Record::builder()
            .set_dimensions((!dimensions.is_empty()).then_some(dimensions))
            .set_measure_name(self.measure_name.clone())
            .set_measure_value_type(self.measure_type.map(types::MeasureValueType::from))
            .set_time(self.time.map(|time| time.to_string()))
            .set_time_unit(self.time_unit.map(unit))
            .set_version(self.version);
        Some(record.build())
    }

    /// A record without what is said once.
    pub(crate) fn rest_of(&self, record: &TimestreamRecord) -> types::Record {
        let own = record.dimensions.iter().filter(|dimension| !self.dimensions.contains(dimension));
        let dimensions: Vec<_> = own.filter_map(dimension).collect();
        let kind = record.measure.type_name();
        let mut rest = types::Record::builder()
            .set_dimensions((!dimensions.is_empty()).then_some(dimensions))
            .set_measure_name(self.measure_name.is_none().then(|| record.measure_name.clone()))
            .set_measure_value_type(self.measure_type.is_none().then(|| kind.into()))
            .set_time(self.time.is_none().then(|| record.time.to_string()))
            .set_time_unit(self.time_unit.is_none().then(|| unit(record.time_unit)))
            .set_version(record.version.filter(|_| self.version.is_none()));
        match &record.measure {
            Measure::Single(value) => rest = rest.measure_value(value.text()),
            Measure::Multi(values) => {
                let values = values.iter().filter_map(|(name, value)| {
                    let value =
                        types::MeasureValue::builder().name(name).value(value.text()).r#type(value.type_name().into());
                    value.build().ok()
                });
                rest = rest.set_measure_values(Some(values.collect()));
            }
        }
        rest.build()
    }
}

/// `None` never happens: both of what is required is given.
fn dimension((name, value): &(String, String)) -> Option<types::Dimension> {
    types::Dimension::builder().name(name).value(value).build().ok()
}

fn unit(unit: TimeUnit) -> types::TimeUnit {
    match unit {
        TimeUnit::Seconds => types::TimeUnit::Seconds,
        TimeUnit::Milliseconds => types::TimeUnit::Milliseconds,
        TimeUnit::Microseconds => types::TimeUnit::Microseconds,
        TimeUnit::Nanoseconds => types::TimeUnit::Nanoseconds,
    }
}
