//! Projection's properties: which values they make, and what is wrong with those that make none.

use crate::fixture::*;
use hurtig_catalog::Projection;

/// The values of one partition column, as they stand in the places a query without a filter lists.
async fn values(kind: &str, properties: &[(&str, &str)]) -> Vec<String> {
    let lake = Lake::new();
    lake.table(&ddl(kind, properties));
    lake.rows("SELECT * FROM t").await.expect("no rows");
    lake.bucket.lists().iter().map(|prefix| prefix.trim_start_matches("t/p=").to_owned()).collect()
}

fn ddl(kind: &str, properties: &[(&str, &str)]) -> String {
    let properties: Vec<String> =
        properties.iter().map(|(name, value)| format!(", 'projection.p.{name}'=\"{value}\"")).collect();
    format!(
        "CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (p {kind}) ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
        LOCATION 's3://b/t/' TBLPROPERTIES ('projection.enabled'=' TRUE '{})",
        properties.concat()
    )
}

fn wrong(kind: &str, properties: &[(&str, &str)]) -> String {
    let refused = refused(&ddl(kind, properties));
    refused.strip_prefix("INVALID_TABLE_PROPERTY: table default.t: projection.p.").map(str::to_owned).unwrap_or(refused)
}

#[tokio::test]
async fn enums_keep_their_white_space() {
    let enums = |kind, list| async move { values(kind, &[("type", " ENUM "), ("values", list)]).await };
    assert_eq!(enums("string", "A, b,C,A,").await, ["", " b", "A", "C"].map(|value| value.to_owned()));
    assert_eq!(enums("int", "1,02").await, ["02", "1"]);
}

#[tokio::test]
async fn integers_have_ranges_intervals_and_digits() {
    let integers = |kind, range, interval, digits| async move {
        values(kind, &[("type", "integer"), ("range", range), ("interval", interval), ("digits", digits)]).await
    };
    assert_eq!(integers("int", "1,3", "1", "1").await, ["1", "2", "3"]);
    assert_eq!(integers("int", " 1 , 3 ", " 2 ", "2").await, ["01", "03"]);
    assert_eq!(integers("string", "-2,10", "6", "4").await, ["-002", "0004", "0010"]);
    assert_eq!(integers("bigint", "0001,0001", "1", "1").await, ["1"]);
    assert_eq!(integers("string", "9223372036854775805,9223372036854775807", "2", "1").await.len(), 2);
}

#[tokio::test]
async fn dates_go_in_steps_from_the_first() {
    let dates = |kind, format, range, interval, unit| async move {
        values(
            kind,
            &[("type", "date"), ("format", format), ("range", range), ("interval", interval), ("interval.unit", unit)],
        )
        .await
    };
    let plain = |kind, format, range| async move {
        values(kind, &[("type", "date"), ("format", format), ("range", range)]).await
    };
    assert_eq!(
        plain("string", "yyyy-MM-dd", "2024-02-28,2024-03-01").await,
        ["2024-02-28", "2024-02-29", "2024-03-01"]
    );
    assert_eq!(plain("date", "yyyyMMdd", "20240228,20240229").await, ["20240228", "20240229"]);
    assert_eq!(plain("string", "yyyy-MM", "2023-12,2024-01").await, ["2023-12", "2024-01"]);
    assert_eq!(plain("int", "yyyy", "2022,NOW").await, ["2022", "2023", "2024"]);
    // It is 2024-03-10 12:34:56.
    assert_eq!(plain("string", "yyyy-MM-dd", "NOW-1DAYS,NOW").await, ["2024-03-09", "2024-03-10"]);
    assert_eq!(plain("string", "yyyy-MM-dd", " NOW - 1 DAY , NOW + 1 DAY ").await.len(), 3);
    assert_eq!(plain("string", "yyyy-MM-dd", "NOW-1MONTH,NOW").await.len(), 30);
    assert_eq!(plain("string", "yyyy-MM-dd", "NOW-1WEEKS,NOW").await.len(), 8);
    assert_eq!(plain("string", "yyyy", "NOW-3YEARS,NOW").await, ["2021", "2022", "2023", "2024"]);
    assert!(plain("string", "yyyy-MM-dd", "2025-01-01,NOW").await.is_empty());
    assert_eq!(
        dates("string", "yyyy-MM-dd-HH", "NOW-2HOURS,NOW", "1", "HOURS").await,
        ["2024-03-10-10", "2024-03-10-11", "2024-03-10-12"]
    );
    assert_eq!(
        dates("string", "yyyy/MM/dd/HH", "2024/03/10/10,NOW", "2", "hours").await,
        ["2024%2F03%2F10%2F10", "2024%2F03%2F10%2F12"]
    );
    assert_eq!(
        dates("string", "yyyy-MM-dd", "2024-01-31,2024-03-31", "1", "MONTHS").await,
        ["2024-01-31", "2024-02-29", "2024-03-31"]
    );
    assert_eq!(
        dates("string", "dd MMM yyyy", "28 Feb 2024,15 Mar 2024", "1", "WEEKS").await,
        ["06 Mar 2024", "13 Mar 2024", "28 Feb 2024"]
    );
    assert_eq!(dates("string", "yyyy-MM-dd'T'HH:mm", "2024-03-10T12:00,NOW", "15", "minute").await.len(), 3);
    assert_eq!(dates("string", "yyyyDDD", "2024059,2024061", "1", "DAYS").await, ["2024059", "2024060", "2024061"]);
    // Steps finer than the format are one value.
    assert_eq!(dates("string", "yyyy-MM", "2024-01,2024-02", "1", "DAYS").await, ["2024-01", "2024-02"]);
    assert_eq!(
        dates("string", "yy.M.d H.m.s.SSS", "24.3.10 1.2.3.000,24.3.10 1.2.3.002", "1", "MILLIS").await.len(),
        3
    );
}

#[tokio::test]
async fn texts_are_compared_as_texts_and_times_as_times() {
    let rows = |kind, format, filter| async move {
        let lake = Lake::new();
        let range = match (format, kind) {
            ("dd.MM.yyyy", _) => "27.02.2024,02.03.2024",
            (_, "timestamp") => "NOW-1DAY,NOW",
            _ => "2024-02-27,NOW",
        };
        lake.table(&ddl(kind, &[("type", "date"), ("format", format), ("range", range)]));
        for day in ["27.02.2024", "2024-02-27", "01.03.2024", "2024-03-10"] {
            lake.put(&format!("t/p={day}/x"), "{}").await;
        }
        lake.rows(&format!("SELECT p FROM t WHERE {filter}")).await.expect("rows")
    };
    // As a text, the 27th of February is behind the 1st of March.
    assert_eq!(rows("string", "dd.MM.yyyy", "p > '01.03.2024'").await, ["27.02.2024"]);
    assert_eq!(rows("date", "dd.MM.yyyy", "p > DATE '2024-02-27'").await, ["2024-03-01"]);
    assert_eq!(rows("string", "yyyy-MM-dd", "p > '2024-03-01'").await, ["2024-03-10"]);
    assert_eq!(rows("timestamp", "yyyy-MM-dd", "p > '2024-03-09 23:59:59'").await, ["2024-03-10T00:00:00"]);
}

#[test]
fn properties_that_are_wrong() {
    // The column's type, its properties, and the error.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
    let cases: &[Case] = &[
        ("int", &[], "type is missing: every partition column of a projection needs it"),
        ("int", &[("type", "list")], "type is 'list', and must be enum, integer, date or injected"),
        ("int", &[("type", "enum")], "values is missing: every partition column of a projection needs it"),
        (
            "int",
            &[("type", "enum"), ("values", "1,x")],
            "values gives 'x', which is no int: change the type of column p",
        ),
        ("int", &[("type", "integer")], "range is missing: every partition column of a projection needs it"),
        (
            "int",
            &[("type", "integer"), ("range", "1-3")],
            "range is '1-3', and must be two whole numbers with a comma, the smaller one first",
        ),
        (
            "int",
            &[("type", "integer"), ("range", "3,1")],
            "range is '3,1', and must be two whole numbers with a comma, the smaller one first",
        ),
        (
            "int",
            &[("type", "integer"), ("range", "1,2,3")],
            "range is '1,2,3', and must be two whole numbers with a comma, the smaller one first",
        ),
        (
            "tinyint",
            &[("type", "integer"), ("range", "1,300")],
            "range gives '300', which is no tinyint: change the type of column p",
        ),
        (
            "double",
            &[("type", "integer"), ("range", "1,3")],
            "type is 'integer', and the column is double: make it int, bigint or string",
        ),
        (
            "int",
            &[("type", "integer"), ("range", "1,3"), ("interval", "0")],
            "interval is '0', and must be a positive whole number",
        ),
        (
            "int",
            &[("type", "integer"), ("range", "1,3"), ("digits", "-1")],
            "digits is '-1', and must be a positive whole number",
        ),
        (
            "string",
            &[("type", "date"), ("range", "NOW,NOW")],
            "format is missing: every partition column of a projection needs it",
        ),
        (
            "string",
            &[("type", "date"), ("format", "YYYY-MM-dd"), ("range", "NOW,NOW")],
            "format is 'YYYY-MM-dd': 'Y' is the year of the week: write 'y'",
        ),
        (
            "string",
            &[("type", "date"), ("format", "MM-dd"), ("range", "NOW,NOW")],
            "format is 'MM-dd': it has a day and no year, so its text is no time",
        ),
        (
            "string",
            &[("type", "date"), ("format", "yyyy-MM-ddTHH"), ("range", "NOW,NOW")],
            "format is 'yyyy-MM-ddTHH': a T of the text is written in quotes, as 'T'",
        ),
        (
            "string",
            &[("type", "date"), ("format", "yyyy-MM-dd")],
            "range is missing: every partition column of a projection needs it",
        ),
        (
            "string",
            &[("type", "date"), ("format", "yyyy-MM-dd"), ("range", "2024-01-01")],
            "range is '2024-01-01', and must be two dates with a comma, the earlier one first",
        ),
        (
            "string",
            &[("type", "date"), ("format", "yyyy-MM-dd"), ("range", "2024-02-01,2024-01-01")],
            "range is '2024-02-01,2024-01-01', and must be two dates with a comma, the earlier one first",
        ),
        (
            "string",
            &[("type", "date"), ("format", "yyyy-MM-dd"), ("range", "2024-02-30,NOW")],
            "range is '2024-02-30,NOW': '2024-02-30' is neither a date of the format 'yyyy-MM-dd' nor NOW, NOW+n UNIT or NOW-n UNIT",
        ),
        (
            "string",
            &[("type", "date"), ("format", "yyyy-MM-dd"), ("range", "NOW-3,NOW")],
            "range is 'NOW-3,NOW': 'NOW-3' is not NOW, NOW+n UNIT or NOW-n UNIT with YEARS, MONTHS, WEEKS, DAYS, HOURS, MINUTES or SECONDS",
        ),
        (
            "string",
            &[("type", "date"), ("format", "yyyy-MM-dd"), ("range", "NOW,NOW"), ("interval.unit", "FORTNIGHTS")],
            "interval.unit is 'FORTNIGHTS', and must be YEARS, MONTHS, WEEKS, DAYS, HOURS, MINUTES, SECONDS or MILLIS",
        ),
        (
            "string",
            &[("type", "date"), ("format", "yyyy-MM-dd-HH"), ("range", "NOW,NOW")],
            "interval.unit is missing: it may only be left out where the format's precision is a day or more, and 'yyyy-MM-dd-HH' is finer",
        ),
        (
            "string",
            &[("type", "date"), ("format", "yyyy-MM-dd-HH"), ("range", "NOW,NOW"), ("interval.unit", "HOURS")],
            "interval is missing: the format 'yyyy-MM-dd-HH' is finer than a day",
        ),
        (
            "boolean",
            &[("type", "date"), ("format", "yyyy"), ("range", "NOW,NOW")],
            "type is 'date', and the column is boolean: make it string or date",
        ),
        (
            "int",
            &[("type", "date"), ("format", "yyyy-MM"), ("range", "NOW,NOW")],
            "format gives '1970-01', which is no int: change the type of column p",
        ),
        ("int", &[("type", "injected")], "type is 'injected', and the column is int: make it string"),
    ];
    for (kind, properties, message) in cases {
        assert_eq!(wrong(kind, properties), *message, "{properties:?}");
    }
}

#[test]
fn tables_that_are_wrong() {
    let table = |partitions: &str, properties: &str| {
        let ddl = format!(
            "CREATE EXTERNAL TABLE t (v int) {partitions} STORED AS PARQUET LOCATION 's3://b/t/' TBLPROPERTIES ({properties})"
        );
        refused(&ddl).replace("INVALID_TABLE_PROPERTY: table default.t: ", "")
    };
    let two = "PARTITIONED BY (a string, b string)";
    let enums = "'projection.enabled'='true', 'projection.a.type'='enum', 'projection.a.values'='x', 'projection.b.type'='injected'";
    let template = |template: &str| table(two, &format!("{enums}, 'storage.location.template'='{template}'"));
    assert_eq!(
        table("", "'projection.enabled'='true'"),
        "projection.enabled is 'true', and the table has no PARTITIONED BY"
    );
    assert_eq!(table(two, "'projection.enabled'='yes'"), "projection.enabled is 'yes', and must be 'true' or 'false'");
    assert_eq!(
        template("s3://b/t/${a}/"),
        "storage.location.template 's3://b/t/${a}/' must contain ${b}: every partition column has to be in it"
    );
    assert_eq!(
        template("s3://b/t/${a}/${b}/${c}"),
        "storage.location.template has ${c}, and there is no partition column of that name"
    );
    assert_eq!(
        template("s3://b/t/${a/${b}"),
        "storage.location.template has ${a/${b}, and there is no partition column of that name"
    );
    assert_eq!(
        template("s3://b/t/${a}/${b"),
        "storage.location.template 's3://b/t/${a}/${b' has a '${' without its '}'"
    );
    assert_eq!(
        template("s3://${a}/${b}/"),
        "storage.location.template 's3://${a}/${b}/' has a partition column in its bucket: all locations are in one bucket"
    );
    // Without projection nobody looks at its properties.
    let off = "CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (a string) STORED AS PARQUET LOCATION 's3://b/t/'
        TBLPROPERTIES ('projection.enabled'='false', 'projection.a.type'='nonsense')";
    assert_eq!(Projection::of(&parsed(off)).expect("read"), None);
}

#[tokio::test]
async fn a_template_may_repeat_a_column_and_names_are_found_in_any_case() {
    let lake = Lake::new();
    lake.table(
        "CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (Region string, `Day` date)
        ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://b/elsewhere/' TBLPROPERTIES (
        'projection.enabled'='true', 'projection.Region.type'='enum', 'projection.Region.values'='eu,us',
        'projection.day.type'='date', 'projection.day.format'='yyyy/MM/dd', 'projection.day.range'='2024/03/01,NOW',
        'storage.location.template'='s3://b/t/${region}/${Day}/${region}-x')",
    );
    lake.put("t/eu/2024/03/05/eu-x/deep/1.json", "{\"v\":1}\n{\"v\":2}").await;
    lake.put("t/us/2024/03/05/us-x/1.json", "{\"v\":3}").await;
    lake.put("elsewhere/region=eu/day=2024-03-05/1.json", "{\"v\":4}").await;
    let rows = lake.rows("SELECT * FROM t WHERE day = DATE '2024-03-05'").await.expect("rows");
    assert_eq!(rows, ["1|eu|2024-03-05", "2|eu|2024-03-05", "3|us|2024-03-05"]);
    assert_eq!(lake.bucket.lists(), ["t/eu/2024/03/05/eu-x", "t/us/2024/03/05/us-x"]);
    let rows = lake.rows("SELECT day, count(*) FROM t WHERE day >= '2024-03-04' AND region < 'f' GROUP BY day").await;
    assert_eq!(rows.expect("rows"), ["2024-03-05|2"]);
    lake.clock.set(NOW_MS - 6 * 86_400_000);
    assert!(lake.rows("SELECT * FROM t").await.expect("rows").is_empty(), "the 5th is in the future");
}
