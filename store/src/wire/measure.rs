//! Texts of a record as what they mean: measured values, times.

use crate::value::{MeasureType, MeasureValue};

/// `TimeUnit`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl TimeUnit {
    /// By its name.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "SECONDS" => Some(TimeUnit::Seconds),
            "MILLISECONDS" => Some(TimeUnit::Milliseconds),
            "MICROSECONDS" => Some(TimeUnit::Microseconds),
            "NANOSECONDS" => Some(TimeUnit::Nanoseconds),
            _ => None,
        }
    }

    fn nanoseconds(self) -> i64 {
        match self {
            TimeUnit::Seconds => 1_000_000_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Microseconds => 1_000,
            TimeUnit::Nanoseconds => 1,
        }
    }

    /// Nanoseconds since 1970 of so many units. What no 64 bits hold is at their end, and so outside of every table's
    /// window.
    pub fn time(self, text: &str) -> Option<i64> {
        let units: i128 = text.parse().ok()?;
        let nanoseconds = units.checked_mul(i128::from(self.nanoseconds()))?.clamp(i64::MIN.into(), i64::MAX.into());
        i64::try_from(nanoseconds).ok()
    }
}

/// A measured value of its text.
///
/// Numbers that are not finite, and the negative zero, are no DOUBLE of Timestream's. A TIMESTAMP counts in the record's
/// own unit (boto/boto3#3138).
pub fn value(text: &str, measure: MeasureType, unit: TimeUnit) -> Option<MeasureValue> {
    match measure {
        MeasureType::Double => {
            let number: f64 = text.parse().ok()?;
            let allowed = number.is_finite() && !(number == 0.0 && number.is_sign_negative());
            allowed.then_some(MeasureValue::Double(number))
        }
        MeasureType::Bigint => text.parse().ok().map(MeasureValue::Bigint),
        MeasureType::Varchar => (!text.is_empty()).then(|| MeasureValue::Varchar(text.into())),
        MeasureType::Boolean => match text {
            _ if text.eq_ignore_ascii_case("true") => Some(MeasureValue::Boolean(true)),
            _ if text.eq_ignore_ascii_case("false") => Some(MeasureValue::Boolean(false)),
            _ => None,
        },
        MeasureType::Timestamp => {
            let units: i64 = text.parse().ok().filter(|units| *units >= 0)?;
            units.checked_mul(unit.nanoseconds()).map(MeasureValue::Timestamp)
        }
    }
}

/// `MeasureValueType` by its name, but for `MULTI`.
pub fn measure_type(name: &str) -> Option<MeasureType> {
    match name {
        "DOUBLE" => Some(MeasureType::Double),
        "BIGINT" => Some(MeasureType::Bigint),
        "VARCHAR" => Some(MeasureType::Varchar),
        "BOOLEAN" => Some(MeasureType::Boolean),
        "TIMESTAMP" => Some(MeasureType::Timestamp),
        _ => None,
    }
}
