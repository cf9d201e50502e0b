//! Every function against values that were worked out by hand, with NULLs, with nothing, and out of order.

use std::sync::Arc;

use arrow::{
    array::{Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use hurtig_timestream_sql::Engine;

use crate::fixture::*;

/// A table of points, out of order and in two parts: `g` a group, `time` in seconds after now, `v` and `n`.
fn points(rows: &[(&str, i64, Option<f64>, Option<i64>)]) -> Engine {
    let schema = Arc::new(Schema::new(vec![
        Field::new("g", DataType::Utf8, true),
        Field::new("time", DataType::Timestamp(TimeUnit::Nanosecond, None), false),
        Field::new("v", DataType::Float64, true),
        Field::new("n", DataType::Int64, true),
    ]));
    let part = |rows: &[(&str, i64, Option<f64>, Option<i64>)]| {
        RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0))),
                Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|r| NOW_NS + r.1 * SECOND))),
                Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.2))),
                Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.3))),
            ],
        )
        .expect("columns of one length")
    };
    let middle = rows.len() / 2;
    engine(Memory::default().with("d", "t", Table::new(vec![part(&rows[..middle]), part(&rows[middle..])])))
}

/// a: 10 at 0 s, 20 at 10 s, (NULL at 20 s), 5 at 30 s; b: one point; c: no value at all.
fn example() -> Engine {
    points(&[
        ("a", 30, Some(5.0), Some(3)),
        ("b", 5, Some(7.0), Some(1)),
        ("a", 0, Some(10.0), Some(1)),
        ("c", 1, None, None),
        ("a", 20, None, None),
        ("a", 10, Some(20.0), Some(2)),
    ])
}

async fn check(engine: &Engine, cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        assert_eq!(value(engine, &format!("SELECT {expression}")).await, *expected, "{expression}");
    }
}

#[tokio::test]
async fn times() {
    let engine = engine(Memory::default());
    check(
        &engine,
        &[
            ("now()", "2024-01-01 00:00:00.000000000"),
            ("current_timestamp", "2024-01-01 00:00:00.000000000"),
            ("ago(1d)", "2023-12-31 00:00:00.000000000"),
            ("ago(1ns)", "2023-12-31 23:59:59.999999999"),
            ("now() - 1us", "2023-12-31 23:59:59.999999000"),
            ("now() + 1500ms", "2024-01-01 00:00:01.500000000"),
            ("ago(NULL)", "NULL"),
            ("90s", "0 00:01:30.000000000"),
            ("1m", "0 00:01:00.000000000"),
            ("36h", "1 12:00:00.000000000"),
            ("bin(TIMESTAMP '2024-01-01 00:01:29', 30s)", "2024-01-01 00:01:00.000000000"),
            ("bin(TIMESTAMP '1969-12-31 23:59:59', 1h)", "1969-12-31 23:00:00.000000000"),
            ("bin(CAST(NULL AS TIMESTAMP), 1h)", "NULL"),
            ("bin(17, 5)", "15"),
            ("bin(-1, 5)", "-5"),
            ("bin(17.5, 5.0)", "15.0"),
            ("from_milliseconds(1704067200123)", "2024-01-01 00:00:00.123000000"),
            ("from_seconds(0)", "1970-01-01 00:00:00.000000000"),
            ("from_nanoseconds(-1)", "1969-12-31 23:59:59.999999999"),
            ("from_milliseconds(NULL)", "NULL"),
            ("to_milliseconds(now())", "1704067200000"),
            ("to_seconds(now())", "1704067200"),
            ("to_nanoseconds(now())", "1704067200000000000"),
            ("to_milliseconds(1m)", "60000"),
            ("to_unixtime(now())", "1.7040672E9"),
            ("from_unixtime(1.5)", "1970-01-01 00:00:01.500000000"),
            ("date_trunc('hour', TIMESTAMP '2024-05-06 07:08:09')", "2024-05-06 07:00:00.000000000"),
            ("date_trunc('month', TIMESTAMP '2024-05-06 07:08:09')", "2024-05-01 00:00:00.000000000"),
            ("date_add('day', 2, TIMESTAMP '2024-02-28 01:00:00')", "2024-03-01 01:00:00.000000000"),
            ("date_add('month', 1, TIMESTAMP '2024-01-31 00:00:00')", "2024-02-29 00:00:00.000000000"),
            ("date_add('year', -1, TIMESTAMP '2024-02-29 00:00:00')", "2023-02-28 00:00:00.000000000"),
            ("date_add('hour', NULL, now())", "NULL"),
            ("date_diff('hour', TIMESTAMP '2024-01-01 00:00:00', TIMESTAMP '2024-01-01 02:59:59')", "2"),
            ("date_diff('month', TIMESTAMP '2024-01-31 00:00:00', TIMESTAMP '2024-03-30 00:00:00')", "1"),
            ("date_diff('second', now(), ago(5s))", "-5"),
            ("year(TIMESTAMP '2024-05-06 07:08:09')", "2024"),
            ("quarter(TIMESTAMP '2024-05-06 07:08:09')", "2"),
            ("month(TIMESTAMP '2024-05-06 07:08:09')", "5"),
            ("day(TIMESTAMP '2024-05-06 07:08:09')", "6"),
            ("hour(TIMESTAMP '2024-05-06 07:08:09')", "7"),
            ("minute(TIMESTAMP '2024-05-06 07:08:09')", "8"),
            ("second(TIMESTAMP '2024-05-06 07:08:09')", "9"),
            ("day_of_week(TIMESTAMP '2024-05-06 07:08:09')", "1"),
            ("day_of_year(TIMESTAMP '2024-05-06 07:08:09')", "127"),
            ("week(TIMESTAMP '2024-01-01 00:00:00')", "1"),
            ("hour(TIMESTAMP '1969-12-31 23:59:59')", "23"),
            ("extract(year FROM now())", "2024"),
            ("from_iso8601_timestamp('2024-05-06T07:08:09.5+02:00')", "2024-05-06 05:08:09.500000000"),
            ("from_iso8601_timestamp('2024-05-06T07:08:09')", "2024-05-06 07:08:09.000000000"),
            ("from_iso8601_date('2024-05-06')", "2024-05-06"),
            ("to_iso8601(now())", "2024-01-01T00:00:00.000000000Z"),
            ("date_format(TIMESTAMP '2024-05-06 07:08:09', '%Y-%m-%d %H:%i:%s')", "2024-05-06 07:08:09"),
            ("format_datetime(TIMESTAMP '2024-05-06 07:08:09', 'yyyy/MM/dd''T''HH:mm')", "2024/05/06T07:08"),
            ("date_parse('2024-05-06 07', '%Y-%m-%d %H')", "2024-05-06 07:00:00.000000000"),
            ("parse_datetime('06.05.2024', 'dd.MM.yyyy')", "2024-05-06 00:00:00.000000000"),
            ("CAST(now() AS DATE)", "2024-01-01"),
            ("now() - ago(90m)", "0 01:30:00.000000000"),
        ],
    )
    .await;
}

#[tokio::test]
async fn numbers_and_texts() {
    check(
        &engine(Memory::default()),
        &[
            ("round(2.5)", "3.0"),
            ("round(-2.5)", "-3.0"),
            ("round(1.005e3, 2)", "1005.0"),
            ("round(12.345, 1)", "12.3"),
            ("round(149, -2)", "100"),
            ("round(NULL, 2)", "NULL"),
            ("abs(-3)", "3"),
            ("ceil(1.2)", "2.0"),
            ("floor(-1.2)", "-2.0"),
            ("sqrt(2.25)", "1.5"),
            ("power(2, 10)", "1024.0"),
            ("mod(7, 3)", "1"),
            ("sign(-2.0)", "-1.0"),
            ("1e10", "1.0E10"),
            ("1.5e-5", "1.5E-5"),
            ("nan()", "NaN"),
            ("-infinity()", "-Infinity"),
            ("7 / 2", "3"),
            ("if(1 > 2, 'a')", "NULL"),
            ("if(2 > 1, 'a', 'b')", "a"),
            ("concat('a', NULL)", "NULL"),
            ("concat('a', 'b', 'c')", "abc"),
            ("CAST(12 AS VARCHAR)", "12"),
            ("'12'::bigint + 1", "13"),
            ("upper(substr('timestream', 1, 4))", "TIME"),
            ("regexp_like('host-12', '^host')", "true"),
            ("coalesce(NULL, 3)", "3"),
            ("sequence(1, 5, 2)", "[1, 3, 5]"),
            ("sequence(3, 1)", "[3, 2, 1]"),
            ("cardinality(sequence(now(), now() + 1m, 15s))", "5"),
            ("ARRAY[1, 2][2]", "2"),
            ("element_at(ARRAY['a', 'b'], 1)", "a"),
            ("contains(ARRAY[1, 2], 3)", "false"),
            ("CAST(ROW(1, 'x') AS ROW(a BIGINT, b VARCHAR))", "(1, x)"),
        ],
    )
    .await;
}

#[tokio::test]
async fn aggregates() {
    let engine = example();
    let cases = [
        ("count(*)", "6"),
        ("count(v)", "4"),
        ("count_if(v > 6)", "3"),
        ("max_by(g, v)", "a"),
        ("min_by(n, v)", "3"),
        ("max_by(n, v, 2)", "[2, 1]"),
        ("max_by(g, time)", "a"),
        ("arbitrary(CASE WHEN g = 'b' THEN g END)", "b"),
        ("approx_distinct(g)", "3"),
        ("approx_percentile(v, 1.0)", "20.0"),
        ("avg(n)", "1.75"),
        ("sum(n)", "7"),
        ("bool_or(v > 15)", "true"),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(&engine, &format!("SELECT {expression} FROM d.t")).await, expected, "{expression}");
    }
    // All of one's `y` are NULL.
    assert_eq!(value(&engine, "SELECT max_by(g, v) FROM d.t WHERE g = 'c'").await, "NULL");
    assert_eq!(value(&engine, "SELECT max_by(g, v) FROM d.t WHERE g = 'x'").await, "NULL");
}

#[tokio::test]
async fn series() {
    let engine = example();
    let series = "SELECT create_time_series(time, v) FROM d.t WHERE g =";
    assert_eq!(value(&engine, &format!("{series} 'a'")).await, "00:00:00=10.0 00:00:10=20.0 00:00:30=5.0");
    assert_eq!(value(&engine, &format!("{series} 'c'")).await, "NULL");
    assert_eq!(value(&engine, &format!("{series} 'x'")).await, "NULL");
    let rows = table(&engine, "SELECT g, create_time_series(time, n) FROM d.t GROUP BY g ORDER BY g").await;
    assert_eq!(rows[1], ["b", "00:00:05=1"]);
    let twice = points(&[("a", 1, Some(1.0), None), ("a", 1, Some(2.0), None)]);
    let error = try_ask(&twice, "SELECT create_time_series(time, v) FROM d.t").await.expect_err("a time twice");
    assert!(error.is_validation() && error.to_string().contains("comes twice"), "{error}");
}

/// One expression over the series of each of the groups a, b, c.
async fn over(expression: &str) -> [String; 3] {
    let sql = format!(
        "WITH s AS (SELECT g, create_time_series(time, v) AS ts FROM d.t GROUP BY g) SELECT {expression} FROM s ORDER BY g"
    );
    let rows = table(&example(), &sql).await;
    [0, 1, 2].map(|i| rows[i][0].clone())
}

#[tokio::test]
async fn interpolation() {
    assert_eq!(over("interpolate_linear(ts, now() + 20s)").await, ["12.5", "NULL", "NULL"]);
    assert_eq!(over("interpolate_linear(ts, now() + 5s)").await, ["15.0", "7.0", "NULL"]);
    assert_eq!(over("interpolate_linear(ts, now() + 31s)").await[0], "NULL");
    assert_eq!(over("interpolate_locf(ts, now() + 29s)").await, ["20.0", "7.0", "NULL"]);
    assert_eq!(over("interpolate_locf(ts, ago(1s))").await, ["NULL", "NULL", "NULL"]);
    assert_eq!(over("interpolate_fill(ts, now() + 10s, 1)").await, ["20.0", "1.0", "NULL"]);
    assert_eq!(
        over("interpolate_linear(ts, sequence(now(), now() + 30s, 15s))").await,
        ["00:00:00=10.0 00:00:15=16.25 00:00:30=5.0", "00:00:00=NULL 00:00:15=NULL 00:00:30=NULL", "NULL"]
    );
    // Through (0, 10), (10, 20), (30, 5): the curvature in the middle is -0.0875, worked out by hand.
    assert_eq!(over("round(interpolate_spline_cubic(ts, now() + 5s), 6)").await[0], "16.09375");
    assert_eq!(over("interpolate_spline_cubic(ts, now() + 10s)").await[0], "20.0");
    // Times out of order come in order.
    assert_eq!(over("interpolate_locf(ts, ARRAY[now() + 10s, now()])").await[0], "00:00:00=10.0 00:00:10=20.0");
}

#[tokio::test]
async fn derivative_and_integral() {
    assert_eq!(over("derivative_linear(ts, 1m)").await, ["00:00:10=60.0 00:00:30=-45.0", "", "NULL"]);
    assert_eq!(over("non_negative_derivative_linear(ts, 10s)").await, ["00:00:10=10.0", "", "NULL"]);
    assert_eq!(over("integral_trapezoidal(ts)").await, ["400.0", "0.0", "NULL"]);
    assert_eq!(over("integral_trapezoidal(ts, 10s)").await[0], "40.0");
}

#[tokio::test]
async fn lambdas() {
    assert_eq!(over("filter(ts, x -> x.value > 7)").await, ["00:00:00=10.0 00:00:10=20.0", "", "NULL"]);
    assert_eq!(over("transform(ts, x -> x.value * 2)").await, ["[20.0, 40.0, 10.0]", "[14.0]", "NULL"]);
    assert_eq!(over("reduce(ts, 0, (s, x) -> s + x.value, s -> s)").await, ["35.0", "7.0", "NULL"]);
    // Not commutative: the order counts.
    assert_eq!(over("reduce(ts, 0.0, (s, x) -> s * 2 + x.value, s -> s)").await, ["85.0", "7.0", "NULL"]);
    // With a column of the row, in each lambda.
    assert_eq!(over("reduce(ts, '', (s, x) -> s || g, s -> s || '/' || g)").await, ["aaa/a", "b/b", "NULL"]);
    assert_eq!(over("filter(ts, X -> x.VALUE > 7 AND x.time >= now() + 10s)").await[0], "00:00:10=20.0");
    assert_eq!(over("reduce(filter(ts, x -> x.value > 100), 3, (s, x) -> s + 1, s -> s)").await, ["3", "3", "NULL"]);
}

#[tokio::test]
async fn correlation() {
    assert_eq!(over("round(correlate_pearson(ts, ts), 9)").await, ["1.0", "NULL", "NULL"]);
    let cte = "WITH s AS (SELECT create_time_series(time, v) AS x, create_time_series(time, n * n * n) AS y FROM d.t WHERE g = 'a')";
    // Ranks of (10, 20, 5) and (1, 8, 27): 2 3 1 and 1 2 3.
    assert_eq!(value(&example(), &format!("{cte} SELECT round(correlate_spearman(x, y), 9) FROM s")).await, "-0.5");
}

#[tokio::test]
async fn unnest() {
    let engine = example();
    let cte = "WITH s AS (SELECT g, create_time_series(time, v) AS ts FROM d.t GROUP BY g)";
    let rows =
        table(&engine, &format!("{cte} SELECT s.g, p.v FROM s CROSS JOIN UNNEST(s.ts) AS p(t, v) ORDER BY g, t")).await;
    assert_eq!(rows, [["a", "10.0"], ["a", "20.0"], ["a", "5.0"], ["b", "7.0"]]);
    let rows = table(&engine, &format!("{cte} SELECT g, value FROM s, UNNEST(ts) ORDER BY g, value")).await;
    assert_eq!(rows.len(), 4);
    let rows =
        table(&engine, &format!("{cte} SELECT g, value FROM s LEFT JOIN UNNEST(ts) ON true ORDER BY g, time")).await;
    assert_eq!(rows.last().map(|r| r.join(" ")), Some("c NULL".to_owned()));
    let rows = table(&engine, "SELECT n FROM UNNEST(ARRAY[3, 1]) AS t(n) ORDER BY n").await;
    assert_eq!(rows, [["1"], ["3"]]);
}

#[tokio::test]
async fn a_constant_list_for_every_row_is_refused_before_it_takes_all_memory() {
    let rows: Vec<_> = (0..2_000).map(|n| ("a", n, Some(1.0), Some(n))).collect();
    let many = points(&rows);
    let error =
        try_ask(&many, "SELECT cardinality(sequence(1, 1000000)) FROM d.t").await.expect_err("a billion entries");
    assert!(error.to_string().contains("entries in one batch"), "{error}");
    let few = try_ask(&many, "SELECT sum(cardinality(sequence(1, 1000))) FROM d.t").await;
    assert!(few.is_ok(), "{few:?}");
}
