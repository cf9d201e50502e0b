//! Questions: files are chosen by what the log says of them, and the answers are those of all files.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use hurtig_delta::{DeltaTableProvider, Table};
use proptest::prelude::*;

use super::support::{Harness, Reading, ask, at, block_on, reading, sink, table};

/// A table of 300 readings from July 2024 to September 2025, some thirty files.
fn year() -> (tempfile::TempDir, Vec<Reading>, Table) {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    let all: Vec<Reading> = (0..300).map(|n| reading(n * 35)).collect();
    for part in all.chunks(100) {
        part.iter().for_each(|reading| harness.write(at(reading.clone())).expect("written"));
        harness.checkpoint().expect("a checkpoint");
    }
    let table = table(dir.path());
    (dir, all, table)
}

/// How many files a question's plan names.
fn files(table: &Table, sql: &str) -> usize {
    let plan = block_on(async {
        let session = SessionContext::new();
        session.register_table("t", Arc::new(DeltaTableProvider::new(table).expect("a table"))).expect("registered");
        let plan = session.sql(sql).await.expect("a plan").create_physical_plan().await.expect("a plan");
        datafusion::physical_plan::displayable(plan.as_ref()).indent(true).to_string()
    });
    plan.matches(".parquet").count()
}

#[test]
fn partitions_choose_files_before_one_is_opened() {
    let (_dir, all, table) = year();
    let whole = table.files().len();
    assert!(whole >= 15, "{whole}");
    assert_eq!(
        files(&table, "SELECT max(wh + 0) FROM t WHERE year = 2025"),
        table.files().iter().filter(|f| f.path.contains("year=2025")).count()
    );
    let july = files(&table, "SELECT meter FROM t WHERE year = 2024 AND month = 7 AND wh >= 0");
    assert!((1..=2).contains(&july), "{july}");
    assert_eq!(files(&table, "SELECT meter FROM t WHERE year = 1999"), 0);
    assert_eq!(ask(&table, "SELECT count(*) FROM t WHERE year = 1999"), ["0"]);
    assert_eq!(ask(&table, "SELECT count(*) FROM t"), [all.len().to_string()]);
    assert_eq!(files(&table, "SELECT count(*) FROM t"), 0, "the log says how many there are");
}

#[test]
fn a_question_sees_one_version() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    harness.write(at(reading(1))).expect("written");
    harness.checkpoint().expect("a checkpoint");
    let before = table(dir.path());
    harness.write(at(reading(2))).expect("written");
    harness.checkpoint().expect("a checkpoint");
    assert_eq!(ask(&before, "SELECT wh FROM t"), ["1"]);
    assert_eq!(ask(&table(dir.path()), "SELECT wh FROM t ORDER BY wh"), ["1", "2"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn answers_are_those_of_all_files(
        conditions in proptest::collection::vec((0_usize..5, 0_i64..10_500, 0_usize..3), 1..4),
    ) {
        let (_dir, all, table) = year();
        let operators = ["<", ">=", "="];
        let at = |n: i64| 1_719_792_000_000_i64 + n * 3_600_000;
        let sql: Vec<String> = conditions.iter().map(|&(column, n, op)| match column {
            0 => format!("year {} {}", operators[op], 2024 + n % 2),
            1 => format!("month {} {}", operators[op], 1 + n % 12),
            2 => format!("wh {} {n}", operators[op]),
            3 => format!("meter {} 'm-{}'", operators[op], n % 7),
            _ => format!("time {} to_timestamp_millis({})", operators[op], at(n)),
        }).collect();
        let sql = sql.join(" AND ");
        let holds = |r: &Reading| conditions.iter().all(|&(column, n, op)| {
            let t = jiff::Timestamp::from_millisecond(r.time).expect("a time").to_zoned(jiff::tz::TimeZone::UTC);
            let ordering = match column {
                0 => i64::from(t.year()).cmp(&(2024 + n % 2)),
                1 => i64::from(t.month()).cmp(&(1 + n % 12)),
                2 => r.wh.cmp(&n),
                3 => r.meter.cmp(&format!("m-{}", n % 7)),
                _ => r.time.cmp(&at(n)),
            };
            [ordering.is_lt(), ordering.is_ge(), ordering.is_eq()][op]
        });
        let mut expected: Vec<i64> = all.iter().filter(|r| holds(r)).map(|r| r.wh).collect();
        expected.sort_unstable();
        let found: Vec<i64> = ask(&table, &format!("SELECT wh FROM t WHERE {sql} ORDER BY wh"))
            .iter().map(|wh| wh.parse().expect("a number")).collect();
        prop_assert_eq!(found, expected.clone(), "{}", sql);
        prop_assert_eq!(ask(&table, &format!("SELECT count(*) FROM t WHERE {sql}")), [expected.len().to_string()]);
    }
}
