//! The log's statistics of a file, as DataFusion has them: rows are exact, bounds are bounds.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics, stats::Precision};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::file::DataFile;

/// A file's statistics for these columns; none where the log has none.
pub fn of(file: &DataFile, schema: &Schema) -> Option<Statistics> {
    let said: Value = serde_json::from_str(file.statistics.as_deref()?).ok()?;
    let rows = usize::try_from(said.get("numRecords")?.as_u64()?).ok()?;
    let part = |name: &str| said.get(name).and_then(Value::as_object);
    let (least, greatest, nulls) = (part("minValues"), part("maxValues"), part("nullCount"));
    let columns = schema.fields().iter().map(|field| {
        let bound = |of: Option<&Map<String, Value>>, later: i64| {
            let value =
                of.and_then(|of| of.get(field.name())).and_then(|value| scalar(value, field.data_type(), later));
            value.map_or(Precision::Absent, Precision::Inexact)
        };
        let null_count =
            nulls.and_then(|nulls| nulls.get(field.name())?.as_u64()).and_then(|n| usize::try_from(n).ok());
        ColumnStatistics {
            null_count: null_count.map_or(Precision::Absent, Precision::Exact),
            min_value: bound(least, 0),
            // Of times, the log has milliseconds; Spark leaves out what is beyond them.
            max_value: bound(greatest, 1),
            ..ColumnStatistics::new_unknown()
        }
    });
    Some(Statistics {
        num_rows: Precision::Exact(rows),
        total_byte_size: Precision::Absent,
        column_statistics: columns.collect(),
    })
}

/// A bound in a column's type; a time is so many milliseconds later.
fn scalar(value: &Value, kind: &DataType, later: i64) -> Option<ScalarValue> {
    match (value, kind) {
        (Value::String(text), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            let at: Timestamp = text.parse().ok()?;
            let at = at.as_microsecond().checked_add(later * 1_000)?;
            Some(ScalarValue::TimestampMicrosecond(Some(at), zone.clone()))
        }
        (Value::String(text), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Date32) => {
            ScalarValue::try_from_string(text.clone(), kind).ok()
        }
        (Value::Number(number), kind) if kind.is_integer() || kind.is_floating() => {
            ScalarValue::try_from_string(number.to_string(), kind).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn bounds_are_taken_as_the_columns_types_have_them() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("meter", DataType::Utf8, true),
            Field::new("time", time, true),
            Field::new("kwh", DataType::Float64, true),
            Field::new("new", DataType::Int64, true),
        ]);
        let mut file = DataFile {
            path: "a.parquet".into(),
            bytes: 10,
            rows: Some(3),
            partition: Vec::new(),
            written_ms: 0,
            statistics: Some(
                r#"{"numRecords":3,"minValues":{"meter":"a","time":"2024-07-05T12:59:59.999Z","kwh":-0.5},
                    "maxValues":{"meter":"b","kwh":2,"time":"2024-07-05T12:59:59.999Z"},"nullCount":{"meter":0,"kwh":1}}"#
                    .into(),
            ),
        };
        let of_it = of(&file, &schema).expect("statistics");
        assert_eq!(of_it.num_rows, Precision::Exact(3));
        let [meter, time, kwh, new] = of_it.column_statistics.as_slice() else { panic!("four columns") };
        assert_eq!(meter.min_value, Precision::Inexact(ScalarValue::Utf8(Some("a".into()))));
        let at = |us| Precision::Inexact(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())));
        assert_eq!(time.min_value, at(1_720_184_399_999_000));
        assert_eq!(time.max_value, at(1_720_184_400_000_000), "what it leaves out may be later");
        assert_eq!(kwh.max_value, Precision::Inexact(ScalarValue::Float64(Some(2.0))));
        assert_eq!((kwh.null_count, &new.min_value), (Precision::Exact(1), &Precision::Absent));
        file.statistics = Some("{".into());
        assert_eq!(of(&file, &schema), None);
    }
}
