//! Queries over files as a job writes them.

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
        datatypes::{DataType, Field, Schema, TimeUnit},
    },
    parquet::arrow::ArrowWriter,
};

use super::{Format, Query, Tables};

type Row<'a> = (&'a str, i64, f64);

/// 2013-02-01T00:00:00Z, in microseconds.
const FEBRUARY: i64 = 1_359_676_800_000_000;
const DAY: i64 = 86_400_000_000;

fn write_readings(file: &Path, rows: &[Row]) {
    fs::create_dir_all(file.parent().expect("a directory")).expect("the directory");
    let schema = Arc::new(Schema::new(vec![
        Field::new("meter_id", DataType::Utf8, false),
        // As a writer without zones has it: the table's type is what counts.
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("measure", DataType::Utf8, false),
        Field::new("value", DataType::Float64, false),
        Field::new("unit", DataType::Utf8, false),
        Field::new("region", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
    ]));
    let all = |text: &str| Arc::new(StringArray::from(vec![text; rows.len()]));
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![
            Arc::new(rows.iter().map(|r| Some(r.0)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|r| Some(r.1)).collect::<TimestampMicrosecondArray>()),
            all("kwh"),
            Arc::new(rows.iter().map(|r| Some(r.2)).collect::<Float64Array>()),
            all("kWh"),
            all("uk"),
            all("file"),
        ],
    );
    let file = File::create(file).expect("a file");
    let mut writer = ArrowWriter::try_new(file, schema, None).expect("a writer");
    writer.write(&batch.expect("a batch")).expect("written");
    writer.close().expect("closed");
}

struct Data {
    dir: tempfile::TempDir,
    tables: Tables,
}

/// Two months, one of them in two files, and what is pending.
fn data() -> Data {
    // A name that would be a pattern if it were taken for one.
    let dir = tempfile::Builder::new().prefix("data [a] 100%").tempdir().expect("a directory");
    let tables = Tables::in_data_dir(dir.path());
    let february = tables.readings.join("year=2013/month=02");
    write_readings(&february.join("part-0-0.parquet"), &[("a", FEBRUARY, 1.5), ("b", FEBRUARY + DAY, 2.0)]);
    write_readings(&february.join("part-0-1.parquet"), &[("a", FEBRUARY + 2 * DAY, 0.25)]);
    // Another run cut finer.
    write_readings(
        &tables.readings.join("year=2013/month=03/day=03/part-1-0.parquet"),
        &[("a", FEBRUARY + 30 * DAY, 4.0)],
    );
    write_readings(&february.join(".part-0-2.parquet.pending"), &[("a", FEBRUARY, 1000.0)]);
    write_readings(&february.join(".part-0-3.parquet"), &[("a", FEBRUARY, 1000.0)]);
    write_readings(&february.join("_tmp.parquet"), &[("a", FEBRUARY, 1000.0)]);
    write_readings(&february.join(".pending/part-0-4.parquet"), &[("a", FEBRUARY, 1000.0)]);
    fs::create_dir_all(&tables.dead_letters).expect("a directory");
    let letters = concat!(
        r#"{"time":1359676800000,"split":"a.csv","position":7,"operator":"payload","reason":"no number","raw":"x,y"}"#,
        "\n",
        r#"{"time":1359676801000,"split":"","position":null,"operator":"payload","reason":"no text","raw":[255,65]}"#,
        "\n"
    );
    fs::write(tables.dead_letters.join("part-0.jsonl"), letters).expect("letters");
    fs::write(tables.dead_letters.join(".part-1.jsonl"), "torn").expect("letters");
    Data { dir, tables }
}

impl Data {
    fn ask(&self, format: Format, sql: &str) -> Result<String, String> {
        let mut out = Vec::new();
        let catalog = Some(self.dir.path().join("catalog.json"));
        let query = Query { format, partitions: 2, catalog, ..Query::new(self.tables.clone()) };
        query.run(sql, &mut out).map_err(|e| e.to_string())?;
        String::from_utf8(out).map_err(|e| e.to_string())
    }

    fn csv(&self, sql: &str) -> String {
        self.ask(Format::Csv, sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }
}

#[test]
fn sums_are_of_what_is_committed() {
    let data = data();
    assert_eq!(data.csv("SELECT count(*) AS n, sum(value) AS kwh FROM readings"), "n,kwh\n4,7.75\n");
    let by_month = "SELECT meter_id, date_trunc('month', time) AS month, sum(value) AS kwh FROM readings \
                    WHERE unit = 'kWh' GROUP BY 1, 2 ORDER BY 1, 2";
    let expected =
        "meter_id,month,kwh\na,2013-02-01T00:00:00Z,1.75\na,2013-03-01T00:00:00Z,4.0\nb,2013-02-01T00:00:00Z,2.0\n";
    assert_eq!(data.csv(by_month), expected);
    assert_eq!(data.csv("SELECT count(*) AS n FROM readings WHERE time < '2013-02-02'"), "n\n1\n");
}

#[test]
fn partitions_are_numbers_shown_last_and_prune() {
    let data = data();
    let expected = "meter_id,time,measure,value,unit,region,dimensions,source,arrived,year,month\n\
                    b,2013-02-02T00:00:00Z,kwh,2.0,kWh,uk,,file,,2013,2\n";
    assert_eq!(data.csv("SELECT * FROM readings WHERE meter_id = 'b'"), expected);
    for condition in ["month = 2", "year = 2013 AND month = 2", "month < 3", "month IN (2, 7)"] {
        assert_eq!(data.csv(&format!("SELECT count(*) AS n FROM readings WHERE {condition}")), "n\n3\n", "{condition}");
    }
    let plan = data.csv("EXPLAIN SELECT value FROM readings WHERE year = 2013 AND month = 3");
    assert!(plan.contains("part-1-0.parquet") && !plan.contains("part-0-0.parquet"), "{plan}");
}

#[test]
fn a_table_without_files_is_empty_and_has_its_columns() {
    let data = data();
    let header = "meter_id,region,window_start,window_end,sum,count,min,max,avg,measure,year,month\n";
    assert_eq!(data.csv("SELECT * FROM aggregates_1h"), header);
    assert_eq!(data.csv("SELECT count(*) AS n FROM aggregates_1m"), "n\n0\n");
    let nowhere = Data { tables: Tables::in_data_dir(data.dir.path().join("missing")), ..data };
    assert_eq!(nowhere.csv("SELECT count(*) AS n FROM readings"), "n\n0\n");
    assert_eq!(nowhere.csv("SELECT count(*) AS n FROM dead_letters"), "n\n0\n");
}

#[test]
fn dead_letters_are_read_whatever_their_bytes() {
    let data = data();
    let expected = "time,split,position,operator,reason,raw\n\
                    2013-02-01T00:00:00Z,a.csv,7,payload,no number,\"x,y\"\n\
                    2013-02-01T00:00:01Z,,,payload,no text,\u{fffd}A\n";
    assert_eq!(data.csv("SELECT * FROM dead_letters ORDER BY time"), expected);
    fs::write(data.tables.dead_letters.join("part-9.jsonl"), "{}\n").expect("a file");
    let error = data.ask(Format::Csv, "SELECT * FROM dead_letters").expect_err("no letter");
    assert!(error.contains("part-9.jsonl: line 1 is no dead letter") && error.lines().count() == 1, "{error}");
}

#[test]
fn an_answer_is_a_table_or_json_too() {
    let data = data();
    let sql = "SELECT meter_id, value FROM readings ORDER BY value LIMIT 2";
    let json = "{\"meter_id\":\"a\",\"value\":0.25}\n{\"meter_id\":\"a\",\"value\":1.5}\n";
    assert_eq!(data.ask(Format::Json, sql).as_deref(), Ok(json));
    let table = data.ask(Format::Table, sql).expect("a table");
    assert!(table.contains("| meter_id | value |"), "{table}");
    let empty = data.ask(Format::Table, "SELECT value FROM readings WHERE false").expect("a table");
    assert!(empty.contains("| value |"), "{empty}");
    let tables = data.csv("SHOW TABLES");
    for name in ["readings", "aggregates_1m", "aggregates_1h", "dead_letters"] {
        assert!(tables.contains(name), "{tables}");
    }
}

#[test]
fn mistakes_are_one_readable_line() {
    let data = data();
    for (sql, words) in [
        ("SELECT nothing FROM readings", "nothing"),
        ("SELECT * FROM reading", "reading"),
        ("SELEC 1", "Expected: an SQL statement, found: SELEC"),
        ("SELECT 'x", "Unterminated string literal"),
        ("DROP TABLE readings", "not supported"),
        ("CREATE TABLE x AS SELECT 1", "not supported"),
        ("INSERT INTO readings SELECT * FROM readings", "not supported"),
        ("SET datafusion.execution.batch_size = 1", "not supported"),
    ] {
        let error = data.ask(Format::Csv, sql).expect_err(sql);
        assert!(error.contains(words) && error.lines().count() == 1 && error.len() < 400, "{sql}: {error}");
        assert!(!error.contains("Error(") && !error.contains("error:"), "{sql}: {error}");
    }
}

#[cfg(feature = "cli")]
#[test]
fn tables_are_where_the_job_puts_them() {
    let layout = crate::smart_meters::Layout::new(Path::new("d"));
    assert_eq!(Tables::from(layout), Tables::in_data_dir("d"));
}

#[cfg(feature = "cli")]
#[test]
fn columns_are_those_the_job_writes() {
    use hurtig_lake::ToArrow;

    use crate::smart_meters::{Aggregate, Reading};

    let columns = |schema: &Schema| -> Vec<(String, DataType)> {
        schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
    };
    assert_eq!(columns(&super::tables::readings()), columns(&Reading::schema()));
    assert_eq!(columns(&super::tables::aggregates()), columns(&Aggregate::schema()));
}

/// A table over the readings' own files.
fn ddl(data: &Data) -> String {
    format!(
        "CREATE EXTERNAL TABLE grid.points (meter_id string, value double) PARTITIONED BY (year int, month int)
         STORED AS PARQUET LOCATION '{}'
         TBLPROPERTIES ('projection.enabled' = 'true',
           'projection.year.type' = 'integer', 'projection.year.range' = '2000,2999',
           'projection.month.type' = 'integer', 'projection.month.range' = '1,12', 'projection.month.digits' = '2')",
        data.tables.readings.display()
    )
}

#[test]
fn a_table_that_is_created_is_asked_like_any_other() {
    let data = data();
    assert_eq!(data.csv(&ddl(&data)), "result\nthe table grid.points is created\n");
    let again = data.ask(Format::Csv, &ddl(&data)).expect_err("it is there");
    assert!(again.contains("grid.points"), "{again}");
    assert_eq!(data.csv("SHOW TABLES IN grid"), "tab_name\npoints\n");
    assert_eq!(data.csv("SHOW TABLES IN default"), "tab_name\n");
    assert!(data.csv("SHOW CREATE TABLE readings").contains("readings"), "the job's own is DataFusion's to show");
    let taken = data.ask(Format::Csv, &ddl(&data).replace("grid.", "public.")).expect_err("the session's own");
    assert!(taken.contains("choose another one"), "{taken}");
    assert!(data.csv("SHOW CREATE TABLE grid.points").contains("PARTITIONED BY"));
    let all = data.csv("SHOW TABLES");
    assert!(all.contains("points") && all.contains("dead_letters"), "the job's own and those: {all}");
    let kwh = "SELECT sum(value) AS kwh FROM grid.points WHERE year = 2013 AND month = 2";
    assert_eq!(data.csv(kwh), "kwh\n3.75\n");
    // Beside the job's tables, in one query.
    let both = "SELECT count(*) AS n FROM grid.points p JOIN readings r ON p.meter_id = r.meter_id AND p.value = r.value \
                WHERE p.year = 2013 AND p.month = 2";
    assert_eq!(data.csv(both), "n\n3\n");
    assert!(data.csv("DROP TABLE grid.points").contains("its files stay"));
    assert_eq!(data.csv("SELECT count(*) AS n FROM readings"), "n\n4\n");
}

#[test]
fn a_query_that_would_look_everywhere_is_told_what_to_add() {
    let data = data();
    data.csv(&ddl(&data));
    let refused = data.ask(Format::Csv, "SELECT count(*) FROM grid.points").expect_err("12,000 places");
    assert_eq!(
        refused,
        "the query would look at 12,000 locations of table grid.points, and may at 10,000: filter by year (1,000 values) or \
         month (12 values)"
    );
}

#[test]
fn a_damaged_catalog_hinders_only_who_needs_it() {
    let data = data();
    data.csv(&ddl(&data));
    fs::write(data.dir.path().join("catalog.json"), "{").expect("written");
    assert_eq!(data.csv("SELECT count(*) AS n FROM readings"), "n\n4\n");
    let error = data.ask(Format::Csv, "SELECT count(*) FROM grid.points").expect_err("nobody knows it");
    assert!(error.contains("catalog.json") && error.lines().count() == 1, "{error}");
}
