//! What a query asks the store for: its own locations, and nothing when it is refused.

use datafusion::{
    logical_expr::{cast, col, in_list, lit},
    prelude::Expr,
    scalar::ScalarValue,
};

use crate::fixture::*;

async fn talk() -> Lake {
    let lake = Lake::new();
    lake.table(SLIDE);
    for (place, id) in [
        ("year=2023/month=01/day=05/hour=07", "a"),
        ("year=2023/month=01/day=31/hour=23", "b"),
        ("year=2023/month=02/day=01/hour=00", "c"),
        ("year=2024/month=01/day=05/hour=07", "d"),
    ] {
        let line = format!("{{\"meter_id\":\"{id}\",\"reading_value\":1.5}}\n");
        lake.put(&format!("readings/json/{place}/x.json"), line).await;
    }
    // Outside of the range: projection does not see it.
    lake.put("readings/json/year=2011/month=01/day=05/hour=07/x.json", "{\"meter_id\":\"early\"}\n").await;
    lake.bucket.forget();
    lake
}

#[tokio::test]
async fn a_query_lists_its_own_locations_only() {
    let lake = talk().await;
    let rows = lake.rows("SELECT meter_id, day, hour FROM readings WHERE year = 2023 AND month = 1").await;
    assert_eq!(rows.expect("rows"), ["a|5|7", "b|31|23"]);
    let lists = lake.bucket.lists();
    assert_eq!(lists.len(), 31 * 24);
    assert_eq!(lists[0], "readings/json/year=2023/month=01/day=01/hour=00");
    assert!(lists.iter().all(|prefix| prefix.starts_with("readings/json/year=2023/month=01/day=")));
    assert_eq!(lake.bucket.gets().len(), 2);
}

#[tokio::test]
async fn a_query_without_a_filter_is_refused_without_a_request() {
    let lake = talk().await;
    assert_eq!(
        lake.refused("SELECT count(*) FROM readings").await,
        "the query would look at 794,592 locations of table default.readings, and may at 10,000: filter by year (89 \
         values), month (12 values), day (31 values) or hour (24 values)"
    );
    // A filter on something else does not help; one on the hour is not enough.
    let refused = lake.refused("SELECT * FROM readings WHERE meter_id = 'a'").await;
    assert!(refused.starts_with("the query would look at 794,592 locations"), "{refused}");
    assert_eq!(
        lake.refused("SELECT * FROM readings WHERE hour = 3").await,
        "the query would look at 33,108 locations of table default.readings, and may at 10,000: filter by year (89 \
         values), month (12 values) or day (31 values)"
    );
    let refused =
        lake.refused("SELECT * FROM readings WHERE year > 2050 AND month > 0 AND day > 0 AND hour >= 0").await;
    assert!(refused.ends_with("narrow the filter, for example on year (50 values)"), "{refused}");
    assert!(lake.bucket.lists().is_empty() && lake.bucket.gets().is_empty());
}

#[tokio::test]
async fn filters_of_many_forms_narrow_what_is_listed() {
    let lake = talk().await;
    let forms = [
        ("year = 2023 AND month = 1 AND day = 5 AND hour = 7", 1),
        ("year = '2023' AND month = '1' AND day = 5 AND hour = 7", 1),
        ("year = CAST(2023 AS BIGINT) AND month = 1 AND day = 5 AND hour = 7", 1),
        ("year IN (2023, 1999) AND month = 1 AND day BETWEEN 4 AND 6 AND hour < 8", 3 * 8),
        ("year = 2023 AND month = 1 AND (day = 5 OR day = 31)", 2 * 24),
        ("year = 2023 AND month + 1 = 2 AND day = 5 AND hour % 24 = 7", 1),
        ("year > 2022 AND year <= 2023 AND month = 1 AND NOT day > 5 AND hour = 7", 5),
        ("year = 2023 AND month = 1 AND day = 5 AND hour = 7 AND meter_id = 'a'", 1),
        (
            "((year = 2023 AND month = 1 AND day = 31) OR (year = 2023 AND month = 2 AND day = 1)) AND hour IN (0, 23)",
            4,
        ),
        ("year * 100 + month = 202301 AND day = 5 AND hour = 7", 1),
        (
            "(year = 2023 AND month = 1 AND day = 5 AND hour = 7 AND meter_id = 'a') OR (year = 2024 AND month = 1 AND day = 5 AND hour = 7)",
            2,
        ),
        ("year = 2023 AND month = 1 AND day = 5 AND hour = 99", 0),
        ("year = 2011 AND month = 1 AND day = 5 AND hour = 7", 0),
        ("year = 2023 AND month = NULL", 0),
        ("year IS NULL", 0),
    ];
    for (filter, lists) in forms {
        lake.bucket.forget();
        let rows = lake.rows(&format!("SELECT meter_id FROM readings WHERE {filter}")).await.expect(filter);
        assert_eq!(lake.bucket.lists().len(), lists, "{filter}");
        let expected: &[&str] = match lists {
            0 => &[],
            _ if filter.contains("month = 2 ") => &["b", "c"],
            48 => &["a", "b"],
            _ if filter.contains("2024") => &["a", "d"],
            _ => &["a"],
        };
        assert_eq!(rows, expected, "{filter}");
    }
}

#[tokio::test]
async fn partition_filters_are_not_evaluated_again() {
    let lake = talk().await;
    let sql = "SELECT meter_id FROM readings WHERE year = 2023 AND month = 1 AND day = 5 AND meter_id = 'a'";
    let plan = lake
        .session
        .sql(sql)
        .await
        .expect("a plan")
        .into_optimized_plan()
        .expect("a plan")
        .display_indent()
        .to_string();
    assert!(
        plan.contains("full_filters=[readings.year = Int32(2023), readings.month = Int32(1), readings.day = Int32(5)]"),
        "{plan}"
    );
    assert!(plan.contains("Filter: readings.meter_id = Utf8(\"a\")"), "{plan}");
}

#[tokio::test]
async fn a_wide_range_is_narrowed_before_it_is_enumerated() {
    let lake = Lake::new();
    lake.table(
        "CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (id bigint, at string, dt timestamp)
        ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://b/t/' TBLPROPERTIES (
        'projection.enabled'='true', 'projection.id.type'='integer', 'projection.id.interval'='3',
        'projection.id.range'='-9223372036854775808,9223372036854775807',
        'projection.at.type'='date', 'projection.at.format'='yyyy-MM-dd-HH-mm-ss', 'projection.at.range'='1900-01-01-00-00-00,NOW',
        'projection.at.interval'='1', 'projection.at.interval.unit'='seconds',
        'projection.dt.type'='date', 'projection.dt.format'='yyyyMMddHHmmss', 'projection.dt.range'='19000101000000,NOW',
        'projection.dt.interval'='1', 'projection.dt.interval.unit'='SECONDS')",
    );
    let place = "t/id=1/at=2024-01-02-03-04-05/dt=20240102030405/x.json";
    lake.put(place, "{\"v\":1}").await;
    let filter = "at BETWEEN '2024-01-02-03-04-04' AND '2024-01-02-03-04-06' AND dt = TIMESTAMP '2024-01-02 03:04:05'";
    let rows =
        lake.rows(&format!("SELECT v, id, at, dt FROM t WHERE id >= 0 AND id < 4 AND {filter}")).await.expect("rows");
    assert_eq!(rows, ["1|1|2024-01-02-03-04-05|2024-01-02T03:04:05"]);
    // Of 0 to 3, the steps from -2^63 meet 1 only.
    assert_eq!(lake.bucket.lists().len(), 3);
    let refused = lake.refused(&format!("SELECT v FROM t WHERE {filter}")).await;
    assert!(refused.contains("6,148,914,691,236,517,206 locations"), "{refused}");
    assert!(refused.ends_with("column id alone has so many values; filter by it with =, IN or a range"), "{refused}");
}

#[tokio::test]
async fn an_injected_column_needs_its_values() {
    let lake = Lake::new();
    lake.table(
        "CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (device string) ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
        LOCATION 's3://b/t/' TBLPROPERTIES ('projection.enabled'='true', 'projection.device.type'='injected')",
    );
    lake.put("t/device=a b/x", "{\"v\":1}").await;
    lake.put("t/device=c%2Fd/x", "{\"v\":2}").await;
    let sql = |filter: &str| format!("SELECT v, device FROM t WHERE {filter}");
    let rows = lake.rows(&sql("device IN ('a b', 'c/d', 'zz')")).await.expect("rows");
    assert_eq!(rows, ["1|a b", "2|c/d"]);
    assert_eq!(lake.bucket.lists().len(), 3);
    assert_eq!(lake.rows(&sql("device = concat('a', ' b') AND device > 'a'")).await.expect("rows"), ["1|a b"]);
    for filter in ["v = 1", "device > 'a'", "device LIKE 'a%'", "device = 'a' OR v = 1", "device <> 'a'"] {
        lake.bucket.forget();
        assert_eq!(
            lake.refused(&sql(filter)).await,
            "CONSTRAINT_VIOLATION: For the injected projected partition column device, the WHERE clause must contain only \
             static equality conditions, and at least one such condition must be present."
        );
        assert!(lake.bucket.lists().is_empty());
    }
    // Nothing leaves the table's own place.
    assert!(lake.rows(&sql("device = '../x'")).await.expect("rows").is_empty());
    lake.table(
        "CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (device string) ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
        LOCATION 's3://b/t/' TBLPROPERTIES ('projection.enabled'='true', 'projection.device.type'='injected',
        'storage.location.template'='s3://b/t/${device}/')",
    );
    let refused = lake.refused(&sql("device = '../x'")).await;
    assert!(refused.starts_with("location 's3://b/t/../x/': it is no path of an object store"), "{refused}");
}

#[tokio::test]
async fn the_cap_is_an_option() {
    let mut lake = Lake::new();
    lake.options.max_locations = 2;
    lake.options.concurrent_lists = 0;
    lake.table(
        "CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (p int) ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
        LOCATION 's3://b/t/' TBLPROPERTIES ('projection.enabled'='true', 'projection.p.type'='enum', 'projection.p.values'='1,2,3')",
    );
    assert_eq!(
        lake.refused("SELECT * FROM t").await,
        "the query would look at 3 locations of table default.t, and may at 2: filter by p (3 values)"
    );
    assert!(lake.rows("SELECT * FROM t WHERE p < 3").await.expect("rows").is_empty());
}

#[tokio::test]
async fn filters_need_not_be_in_the_form_that_the_optimizer_gives_them() {
    let lake = talk().await;
    let provider = lake.session.table_provider("readings").await.expect("a table");
    let state = lake.session.state();
    let fixed = [col("month").eq(lit(1)), lit(5).eq(col("day")), col("hour").eq(lit(7_i64))];
    let cases: [(Expr, usize); 10] = [
        (lit(2098).lt(col("year")), 2),
        (lit(2014_i64).gt_eq(col("year")), 3),
        (cast(col("year"), arrow::datatypes::DataType::Int64).gt(lit(2098_i64)), 2),
        (col("year").eq(cast(lit("2023"), arrow::datatypes::DataType::Int32)), 1),
        (in_list(col("year"), vec![lit(2023), lit(2023), lit(1)], false), 1),
        (in_list(col("year"), vec![lit(2023), col("month") + lit(2012)], false), 2),
        (in_list(col("year"), vec![lit(2023), lit(ScalarValue::Int32(None))], false), 1),
        (in_list(col("year"), vec![lit(2023)], true), 88),
        (col("year").between(lit(2013), lit(2014)).alias("x"), 2),
        (lit(false).or(col("year").eq(lit(2023))), 1),
    ];
    for (filter, lists) in cases {
        lake.bucket.forget();
        let filters: Vec<Expr> = fixed.iter().cloned().chain([filter.clone()]).collect();
        provider.scan(&state, None, &filters, None).await.expect("a plan");
        assert_eq!(lake.bucket.lists().len(), lists, "{filter}");
    }
}

#[tokio::test]
async fn many_conditions_on_one_column_stay_small() {
    let lake = talk().await;
    let either: Vec<String> =
        (0..40).map(|at| format!("(year > {} OR year < {} OR year = {at})", 2012 + at % 2, 2090 + at)).collect();
    let numbers: Vec<String> = (0..3000).map(|at| (at % 2020).to_string()).collect();
    let all = format!(
        "month = 1 AND day = 5 AND hour = 7 AND {} AND year IN ({}) AND year NOT IN (2013, 2014)",
        either.join(" AND "),
        numbers.join(", ")
    );
    assert!(lake.rows(&format!("SELECT * FROM readings WHERE {all}")).await.expect("rows").is_empty());
    assert_eq!(lake.bucket.lists().len(), 2020 - 2012 - 2);
}

#[tokio::test]
async fn a_query_inside_narrows_nothing_and_breaks_nothing() {
    let lake = talk().await;
    let fixed = "month = 1 AND day = 5 AND hour = 7";
    for filter in ["year = (SELECT 2023)", "year IN (SELECT 2023)", "EXISTS (SELECT 1 WHERE year = 2023)"] {
        lake.bucket.forget();
        let rows = lake.rows(&format!("SELECT meter_id FROM readings WHERE {fixed} AND {filter}")).await;
        assert_eq!(rows.expect(filter), ["a"]);
        assert!(lake.bucket.lists().len() <= 89, "{filter}");
    }
}
