//! What holds for any points, any numbers, any text.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, TimestampNanosecondArray};
use proptest::{collection::btree_map, prelude::*};

use crate::fixture::*;

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Points at whole seconds, the last one first.
fn engine_of(points: &[(i64, f64)]) -> hurtig_timestream_sql::Engine {
    let backwards = || points.iter().rev();
    let batch = RecordBatch::try_from_iter(vec![
        ("time", Arc::new(TimestampNanosecondArray::from_iter_values(backwards().map(|p| p.0 * SECOND))) as ArrayRef),
        ("v", Arc::new(Float64Array::from_iter_values(backwards().map(|p| p.1)))),
    ]);
    engine(Memory::default().with("d", "t", Table::new(vec![batch.expect("a batch")])))
}

fn numbers(rows: &[Vec<String>]) -> Vec<f64> {
    rows.iter().map(|row| row[0].parse().expect("a number")).collect()
}

const SERIES: &str =
    "WITH s AS (SELECT create_time_series(time, v) AS ts, min(time) AS first, max(time) AS last FROM d.t)";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bin_is_the_multiple_below(time in -9_000_000_000i64..9_000_000_000, step in 1i64..100_000) {
        let sql = format!("SELECT to_milliseconds(bin(from_milliseconds({time}), {step}ms)), bin({time}, {step})");
        let row = block(async { table(&engine(Memory::default()), &sql).await.remove(0) });
        for found in row {
            let found: i64 = found.parse().expect("a number");
            prop_assert!(found % step == 0 && found <= time && time < found + step);
        }
    }

    #[test]
    fn interpolation_keeps_what_is_known(points in btree_map(0i64..500, -100.0f64..100.0, 2..20)) {
        let points: Vec<_> = points.into_iter().collect();
        let engine = engine_of(&points);
        block(async {
            for function in ["linear", "spline_cubic", "locf"] {
                let sql = format!("{SERIES}, i AS (SELECT interpolate_{function}(ts, sequence(first, last, 1s)) AS r FROM s)
                    SELECT value FROM i CROSS JOIN UNNEST(r) ORDER BY time");
                let values = numbers(&table(&engine, &sql).await);
                let first = points[0].0;
                prop_assert_eq!(values.len() as i64, points[points.len() - 1].0 - first + 1);
                for (time, value) in &points {
                    prop_assert_eq!(values[(time - first) as usize], *value);
                }
                if function == "linear" {
                    for pair in points.windows(2) {
                        let between = &values[(pair[0].0 - first) as usize..=(pair[1].0 - first) as usize];
                        let rises = pair[0].1 <= pair[1].1;
                        let ordered = |w: &[f64]| (w[0] - w[1]) * if rises { 1.0 } else { -1.0 } <= 1e-9;
                        prop_assert!(between.windows(2).all(ordered));
                    }
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn derivative_and_integral_are_the_naive_ones(points in btree_map(0i64..500, -100.0f64..100.0, 2..20)) {
        let points: Vec<_> = points.into_iter().collect();
        let engine = engine_of(&points);
        block(async {
            let sql = format!("{SERIES} SELECT value FROM s CROSS JOIN UNNEST(derivative_linear(ts, 1m)) ORDER BY time");
            let rates = numbers(&table(&engine, &sql).await);
            prop_assert_eq!(rates.len(), points.len() - 1);
            let mut area = 0.0;
            for (pair, rate) in points.windows(2).zip(rates) {
                let seconds = (pair[1].0 - pair[0].0) as f64;
                prop_assert!((rate - (pair[1].1 - pair[0].1) / seconds * 60.0).abs() < 1e-6);
                area += (pair[0].1 + pair[1].1) / 2.0 * seconds;
            }
            let found: f64 = value(&engine, &format!("{SERIES} SELECT integral_trapezoidal(ts) FROM s")).await.parse().expect("a number");
            prop_assert!((found - area).abs() < 1e-6);
            Ok(())
        })?;
    }

    #[test]
    fn texts_comments_and_quoted_names_stay(
        parts in prop::collection::vec(prop_oneof![
            Just("measure_value::double".to_owned()), Just("30s".to_owned()), Just("CAST(x AS ROW(a BIGINT))".to_owned()),
            Just("ago(1h)".to_owned()), Just(" ' ".to_owned()), "[a-zA-Z0-9 :().,-]{0,8}",
        ], 1..6),
    ) {
        let text = parts.concat();
        let name = format!("n{}", text.replace('\'', ""));
        let comment = text.replace("*/", "").replace("/*", "");
        let sql = format!("SELECT '{}' /* {comment} */ AS \"{name}\" -- {comment}", text.replace('\'', "''"));
        let answer = block(async { ask(&engine(Memory::default()), &sql).await });
        prop_assert_eq!(&answer.names[0], &name);
        prop_assert_eq!(crate::fixture::text(&answer.rows[0].data[0]), text);
    }
}
