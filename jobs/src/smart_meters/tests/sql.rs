//! What the tables hold, asked with SQL.

use std::path::Path;

use datafusion::{
    arrow::{
        array::RecordBatch,
        util::display::{ArrayFormatter, FormatOptions},
    },
    prelude::{ParquetReadOptions, SessionContext},
};

use super::Layout;
use crate::query::{Format, Query, Tables};

/// The rows of a query over the Parquet files in `dir`, which are the table `t`, as text.
fn ask(dir: &Path, query: &str) -> Vec<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let batches = runtime.block_on(async {
        let ctx = SessionContext::new();
        let path = dir.to_str().expect("utf8");
        ctx.register_parquet("t", path, ParquetReadOptions::default()).await.expect("registered");
        ctx.sql(query).await.expect(query).collect().await.expect(query)
    });
    batches.iter().flat_map(rows).collect()
}

fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default();
    let columns: Vec<_> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("a column")).collect();
    (0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|e| panic!("'{text}': {e}"))
}

/// Alike to nine significant digits. By their difference and not by their rounded text: what lies
/// on a tie is rounded up in one order of adding and down in another.
fn alike(a: &str, b: &str) -> bool {
    (number(a) - number(b)).abs() <= 5e-10 * number(b).abs()
}

pub fn real_meters(layout: &Layout) {
    let found = ask(
        &layout.readings,
        "SELECT meter_id, to_char(date_trunc('month', time), '%Y-%m') AS month, count(*), sum(value)
         FROM t WHERE unit = 'kWh' GROUP BY 1, 2 ORDER BY 1, 2",
    );
    let expected: Vec<Vec<&str>> = include_str!("kwh_per_month.csv")
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.split(',').collect())
        .collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found[..3], expected[..3]);
        assert!(alike(&found[3], expected[3]), "{found:?} is not {expected:?}");
    }

    let measures = ask(&layout.readings, "SELECT DISTINCT measure, unit, region, source FROM t ORDER BY 1, 3");
    assert_eq!(
        measures,
        [["kwh", "kWh", "il", "file"], ["kwh", "kWh", "uk", "file"], ["therm", "therm", "il", "file"]]
    );

    // Totals as tests/data/meters/README.md states them.
    for table in [&layout.aggregates_1m, &layout.aggregates_1h] {
        let totals = ask(table, "SELECT meter_id, sum(count), sum(sum), min(min) FROM t GROUP BY 1 ORDER BY 1");
        let expected = [
            ("il-electricity-cdd-hdd-hourly", "19417", "21927.13"),
            ("il-electricity-cdd-only-hourly", "19417", "19565.06"),
            ("il-gas-hdd-only-hourly", "19417", "2426.82"),
            ("uk-electricity-hdd-only-hourly-sample-0", "23508", "3789.626"),
            ("uk-electricity-hdd-only-hourly-sample-1", "22536", "5558.486"),
            ("uk-electricity-hdd-only-hourly-sample-2", "35468", "14104.433003"),
            ("uk-gas-hdd-only-hourly-sample-0", "23508", "16878.2622"),
        ];
        assert_eq!(totals.len(), expected.len());
        for (found, (meter, count, sum)) in totals.iter().zip(expected) {
            assert_eq!((&*found[0], &*found[1]), (meter, count));
            assert!(alike(&found[2], sum), "{found:?} is not {sum}");
        }
        let twice = ask(table, "SELECT meter_id FROM t GROUP BY meter_id, region, window_start HAVING count(*) > 1");
        assert!(twice.is_empty(), "a window has one row: {twice:?}");
    }
    let odd = ask(&layout.aggregates_1h, "SELECT * FROM t WHERE abs(avg * count - sum) > 1e-9 OR min > max");
    assert!(odd.is_empty(), "{odd:?}");

    // Not by `count(DISTINCT (…))`, which compares every row with every other.
    let rows = "SELECT count(*) AS n FROM t GROUP BY meter_id, time, measure_name";
    assert_eq!(stored(layout, &format!("SELECT sum(n), count(*) FROM ({rows})")), ["163232,163232"]);
}

/// The rows of a query over the store, which is the table `t`, as CSV.
fn stored(layout: &Layout, query: &str) -> Vec<String> {
    let query = query.replace("FROM t", "FROM timeseries");
    let mut out = Vec::new();
    let asked = Query { format: Format::Csv, ..Query::new(Tables::from(layout.clone())) }.run(&query, &mut out);
    asked.expect("an answer");
    String::from_utf8(out).expect("text").lines().skip(1).map(str::to_owned).collect()
}

/// All rows of all tables, in order.
pub fn everything(layout: &Layout) -> Vec<Vec<Vec<String>>> {
    let tables = [&layout.readings, &layout.aggregates_1m, &layout.aggregates_1h];
    let mut all = Vec::from(tables.map(|table| {
        let mut rows = ask(table, "SELECT * FROM t");
        rows.sort();
        assert!(!rows.is_empty(), "{}", table.display());
        rows
    }));
    let mut rows: Vec<_> = stored(layout, "SELECT * FROM t").into_iter().map(|row| vec![row]).collect();
    rows.sort();
    all.push(rows);
    all
}

/// How many readings are in the windows of a table.
pub fn counted(layout: &Layout, table: &str) -> u64 {
    let dir = if table == "aggregates_1m" { &layout.aggregates_1m } else { &layout.aggregates_1h };
    ask(dir, "SELECT sum(count) FROM t")[0][0].parse().expect("a count")
}

/// How many rows of hours there are beside an hour's first.
pub fn parts_of_hours(layout: &Layout) -> u64 {
    let sql = "SELECT count(*) - count(DISTINCT meter_id || region || measure || window_start) FROM t";
    ask(&layout.aggregates_1h, sql)[0][0].parse().expect("a count")
}

/// What the store took is there: readings from fast clocks have a time of their own each, or they would be one.
pub fn kept(layout: &Layout, rows: u64) {
    assert_eq!(stored(layout, "SELECT count(*) FROM t"), [rows.to_string()]);
}
