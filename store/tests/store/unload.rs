//! UNLOAD: what it writes reads as the query's result, stays where it may be, and has a manifest only when it is whole.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Float64Type, Int64Type, TimestampNanosecondType},
};
use fail::FailScenario;
use futures::FutureExt;
use hurtig_state::ManualClock;
use hurtig_store::{Measure, MeasureValue, NewTable, Queries, Record, Store, StoreOptions, UnloadPlace, Unloaded};
use hurtig_timestream_sql::{Error, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tempfile::TempDir;

const NOW_MS: i64 = 1_700_000_000_000;
/// What CSV has to take care of.
const NOTES: [&str; 6] = ["plain", "a, comma", "a \"quote\"", "a \\ backslash\\", "two\nlines", "\\\"both\\\""];
const REGIONS: [&str; 3] = ["EAST", "WEST/NORTH", ".."];

struct Setup {
    dir: TempDir,
    queries: Queries,
    _store: Store,
}

impl Setup {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = StoreOptions::new(dir.path().join("store"), Arc::new(ManualClock::new(NOW_MS)));
        let store = Store::open(options).await.expect("a store");
        store.create_database("meters", None).expect("a database");
        store.create_table("meters", "readings", NewTable::default()).expect("a table");
        let readings: Vec<Record> = (0..60).map(reading).collect();
        let outcome = store.write("meters", "readings", &readings).await.expect("written");
        assert_eq!((outcome.taken(), outcome.rejected), (60, vec![]));
        let place = dir.path().join("out");
        let place = UnloadPlace::open(place.to_str().expect("text")).expect("a place");
        let queries = Queries::new(&store, Default::default()).expect("queries").with_unload(place);
        Setup { dir, queries, _store: store }
    }

    async fn unload(&self, sql: &str) -> Result<Unloaded> {
        let statement = self.queries.prepare(sql).await?;
        self.queries.unload("Q1", statement)?.run().await
    }

    fn out(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("a directory").join("out")
    }

    /// What lies in the place, by its path.
    fn files(&self) -> Vec<String> {
        files_below(&self.out(), &self.out())
    }
}

fn reading(n: usize) -> Record {
    let dimensions = [("meter", format!("m-{n:02}")), ("region", REGIONS[n % 3].to_owned())];
    let values = [("kw", MeasureValue::Double(n as f64 / 4.0)), ("count", MeasureValue::Bigint(n as i64))];
    let mut values: Vec<_> = values.into_iter().map(|(name, value)| (name.into(), value)).collect();
    if !n.is_multiple_of(7) {
        values.push(("note".into(), MeasureValue::Varchar(NOTES[n % NOTES.len()].into())));
    }
    Record {
        dimensions: dimensions.iter().map(|(name, value)| ((*name).into(), value.as_str().into())).collect(),
        measure_name: "readings".into(),
        measure: Measure::Multi(values.into_iter().collect()),
        time: NOW_MS * 1_000_000 - n as i64,
        version: 1,
    }
}

fn files_below(dir: &Path, root: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<String> = entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path, root),
            false => vec![path.strip_prefix(root).expect("below").to_str().expect("text").to_owned()],
        })
        .collect();
    files.sort();
    files
}

/// A file that a URL of the result means.
fn path(url: &str) -> PathBuf {
    PathBuf::from(url.strip_prefix("file://").expect("a file's URL"))
}

fn json(url: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(url)).expect("a file")).expect("JSON")
}

/// The result's files, whose figures in the manifest are right.
fn result_files(unloaded: &Unloaded) -> Vec<PathBuf> {
    let manifest = json(&unloaded.manifest_file);
    assert_eq!(manifest["query_metadata"]["total_row_count"], unloaded.rows);
    let files = manifest["result_files"].as_array().expect("files");
    let sizes: Vec<u64> =
        files.iter().map(|f| f["file_metadata"]["content_length_in_bytes"].as_u64().expect("n")).collect();
    assert_eq!(manifest["query_metadata"]["total_content_length_in_bytes"], sizes.iter().sum::<u64>());
    let paths: Vec<PathBuf> = files.iter().map(|f| path(f["url"].as_str().expect("a URL"))).collect();
    for (path, size) in paths.iter().zip(sizes) {
        assert_eq!(path.metadata().expect("a file").len(), size, "{path:?}");
    }
    paths
}

fn csv(file: &Path, delimiter: u8) -> Vec<Vec<String>> {
    let mut text = String::new();
    match file.to_str().expect("text").ends_with(".gz") {
        true => flate2::read::GzDecoder::new(File::open(file).expect("a file")).read_to_string(&mut text),
        false => File::open(file).expect("a file").read_to_string(&mut text),
    }
    .expect("text");
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).delimiter(delimiter).double_quote(false).escape(Some(b'\\'));
    let rows = reader.from_reader(text.as_bytes()).into_records();
    rows.map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let _failpoints = FailScenario::setup();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(test)
}

#[test]
fn csv_by_region_reads_as_it_was_written() {
    run(async {
        let setup = Setup::new().await;
        let sql = "UNLOAD (SELECT meter, time, kw, \"count\", note, region FROM meters.readings)
            TO 's3://bucket/folder' WITH (partitioned_by = ARRAY['region'], include_header = 'true')";
        let unloaded = setup.unload(sql).await.expect("unloaded");
        assert_eq!(unloaded.rows, 60);
        let below = |file: &str| format!("bucket/folder/{file}");
        assert_eq!(
            setup.files(),
            [
                below("Q1_manifest.json"),
                below("Q1_metadata.json"),
                below("results/region=../Q1_00000.csv.gz"),
                below("results/region=EAST/Q1_00001.csv.gz"),
                below("results/region=WEST%2FNORTH/Q1_00002.csv.gz"),
            ]
        );
        let mut rows = BTreeMap::new();
        for file in result_files(&unloaded) {
            let region = file.parent().and_then(Path::file_name).and_then(|n| n.to_str()).expect("a name").to_owned();
            let mut lines = csv(&file, b',');
            assert_eq!(lines.remove(0), ["meter", "time", "kw", "count", "note"]);
            for line in lines {
                rows.insert(line[0].clone(), (region.clone(), line));
            }
        }
        assert_eq!(rows.len(), 60);
        for n in 0..60 {
            let (region, row) = &rows[&format!("m-{n:02}")];
            assert_eq!(*region, format!("region={}", REGIONS[n % 3].replace('/', "%2F")));
            let time = hurtig_timestream_sql::datum::timestamp(NOW_MS * 1_000_000 - n as i64);
            let note = if n.is_multiple_of(7) { "" } else { NOTES[n % NOTES.len()] };
            let kw = format!("{:?}", n as f64 / 4.0);
            assert_eq!(row[1..], [time, kw, n.to_string(), note.to_owned()]);
        }
        let metadata = json(&unloaded.metadata_file);
        let names: Vec<_> =
            metadata["ColumnInfo"].as_array().expect("columns").iter().map(|c| c["Name"].clone()).collect();
        assert_eq!(names, ["meter", "time", "kw", "count", "note", "region"]);
        assert_eq!(metadata["ColumnInfo"][3]["Type"]["ScalarType"], "BIGINT");
    });
}

#[test]
fn parquet_has_types_and_time_series() {
    run(async {
        let setup = Setup::new().await;
        let folder = format!("file://{}/folder", setup.out().display());
        let sql = format!(
            "UNLOAD (SELECT meter, min(time) AS time, max(note) AS note, count(*) AS n,
                     create_time_series(time, kw) AS series FROM meters.readings GROUP BY meter)
             TO '{folder}' WITH (format = 'PARQUET')"
        );
        let unloaded = setup.unload(&sql).await.expect("unloaded");
        let files = result_files(&unloaded);
        assert!(files.iter().all(|f| f.to_str().is_some_and(|f| f.ends_with(".gz.parquet"))), "{files:?}");
        let mut seen = BTreeMap::new();
        for file in files {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("a file")).expect("Parquet");
            for batch in reader.build().expect("a reader") {
                let batch: RecordBatch = batch.expect("a batch");
                let text =
                    |name: &str| arrow::compute::cast(&batch[name], &arrow::datatypes::DataType::Utf8).expect("text");
                let (meters, notes) = (text("meter"), text("note"));
                for at in 0..batch.num_rows() {
                    let points = batch["series"].as_list::<i32>().value(at);
                    let value = points.as_struct().column(1).as_primitive::<Float64Type>().value(0);
                    let note = notes.is_valid(at).then(|| notes.as_string::<i32>().value(at).to_owned());
                    let time = batch["time"].as_primitive::<TimestampNanosecondType>().value(at);
                    let n = batch["n"].as_primitive::<Int64Type>().value(at);
                    seen.insert(meters.as_string::<i32>().value(at).to_owned(), (time, note, n, value));
                }
            }
        }
        let wanted = |n: usize| {
            let note = (!n.is_multiple_of(7)).then(|| NOTES[n % NOTES.len()].to_owned());
            (format!("m-{n:02}"), (NOW_MS * 1_000_000 - n as i64, note, 1, n as f64 / 4.0))
        };
        assert_eq!(seen, (0..60).map(wanted).collect());
    });
}

const LARGE: &str =
    "SELECT n, rpad('x', 60, 'x') AS pad FROM (SELECT 1) CROSS JOIN UNNEST(sequence(1, 600000)) AS t(n)";

#[test]
fn files_end_at_their_size() {
    run(async {
        let setup = Setup::new().await;
        let with = "WITH (compression = 'NONE', max_file_size = '16MB', field_delimiter = '|')";
        let unloaded = setup.unload(&format!("UNLOAD ({LARGE}) TO 's3://b' {with}")).await.expect("unloaded");
        assert_eq!(unloaded.rows, 600_000);
        let files = result_files(&unloaded);
        assert_eq!(files.len(), 3);
        let mut seen = vec![false; 600_001];
        for file in files {
            assert!(file.metadata().expect("a file").len() <= 16 << 20, "{file:?}");
            for row in csv(&file, b'|') {
                let n: usize = row[0].parse().expect("a number");
                assert!(!std::mem::replace(&mut seen[n], true), "{n} is there twice");
            }
        }
        assert_eq!(seen.iter().filter(|seen| **seen).count(), 600_000);
    });
}

#[test]
fn an_empty_result_has_no_files_and_a_manifest() {
    run(async {
        let setup = Setup::new().await;
        let unloaded = setup.unload("UNLOAD (SELECT 1 AS n WHERE false) TO 's3://b/c'").await.expect("unloaded");
        assert_eq!((unloaded.rows, result_files(&unloaded).len()), (0, 0));
        assert_eq!(setup.files(), ["b/c/Q1_manifest.json", "b/c/Q1_metadata.json"]);
    });
}

#[test]
fn what_cannot_be_is_said_before_anything_is_written() {
    run(async {
        let setup = Setup::new().await;
        let one = "UNLOAD (SELECT 1 AS a, 'x' AS b) TO";
        for (words, sql) in [
            ("may not write to 'file:///tmp'", format!("{one} 'file:///tmp'")),
            ("may not write to", format!("{one} 'file://{}x'", setup.out().display())),
            ("cannot write to", format!("{one} 's3://bucket/../../up'")),
            ("cannot write to", format!("{one} 'file://{}/../up'", setup.out().display())),
            ("cannot write to", format!("{one} 's3:///folder'")),
            ("must be the last columns", format!("{one} 's3://b' WITH (partitioned_by = ARRAY['a'])")),
            ("only partition columns", format!("{one} 's3://b' WITH (partitioned_by = ARRAY['a', 'b'])")),
            ("'c' is not in the result", format!("{one} 's3://b' WITH (partitioned_by = ARRAY['c'])")),
            ("16MB … 78GB", format!("{one} 's3://b' WITH (max_file_size = '1MB')")),
            ("must differ", format!("{one} 's3://b' WITH (field_delimiter = '\\')")),
            ("specified more than once", "UNLOAD (SELECT 1 AS a, 2 AS a) TO 's3://b'".into()),
            ("single values only", "UNLOAD (SELECT ARRAY[1] AS a) TO 's3://b'".into()),
            ("does not exist", "UNLOAD (SELECT * FROM meters.nothing) TO 's3://b'".into()),
        ] {
            let error = setup.unload(&sql).await.expect_err(&sql);
            assert!(error.is_validation() && error.to_string().contains(words), "{sql}: {error}");
        }
        let many = "UNLOAD (SELECT 1 AS a, CAST(n AS VARCHAR) AS n FROM (SELECT 1) CROSS JOIN UNNEST(sequence(1, 101)) AS t(n))
            TO 's3://b' WITH (partitioned_by = ARRAY['n'])";
        let error = setup.unload(many).await.expect_err("101 partitions");
        assert!(error.is_validation() && error.to_string().contains("at most 100 partitions"), "{error}");
        assert_eq!(setup.files(), [""; 0]);

        let nowhere = Queries::new(&setup._store, Default::default()).expect("queries");
        let statement = nowhere.prepare(&format!("{one} 's3://b'")).await.expect("a statement");
        let error = nowhere.unload("Q1", statement).expect_err("nowhere to write");
        assert!(error.to_string().contains("nowhere to write"), "{error}");
    });
}

#[test]
fn what_is_cancelled_or_fails_leaves_no_manifest() {
    run(async {
        let setup = Setup::new().await;
        let (tell, mut begun) = tokio::sync::mpsc::unbounded_channel();
        fail::cfg_callback("store-unload-piece", move || tell.send(()).unwrap_or(())).expect("a failpoint");
        // 3,600 times a million rows: it ends because it is dropped.
        let endless = "UNLOAD (SELECT x.meter, y.n FROM (SELECT a.meter FROM meters.readings a, meters.readings b) x
            CROSS JOIN (SELECT n FROM (SELECT 1) CROSS JOIN UNNEST(sequence(1, 1000000)) AS t(n)) y)
            TO 's3://b' WITH (compression = 'NONE')";
        let unload = setup.queries.unload("Q1", setup.queries.prepare(endless).await.expect("a statement"));
        let mut running = tokio::spawn(unload.expect("an UNLOAD").run());
        tokio::select! {
            ended = &mut running => panic!("it has ended: {ended:?}"),
            piece = begun.recv() => piece.expect("a piece was written"),
        }
        running.abort();
        assert!(running.await.expect_err("it was cancelled").is_cancelled());
        assert!(!setup.files().iter().any(|file| file.ends_with(".json")), "{:?}", setup.files());

        fail::cfg("store-unload-piece", "return").expect("a failpoint");
        let error = setup.unload(&format!("UNLOAD ({LARGE}) TO 's3://b'")).await.expect_err("it fails");
        assert!(matches!(error, Error::Unload(_)), "{error:?}");
        assert!(!setup.files().iter().any(|file| file.ends_with(".json")), "{:?}", setup.files());
        fail::remove("store-unload-piece");
        // Afterwards it goes, and its future can be polled by whoever has it.
        let unloaded = setup.unload("UNLOAD (SELECT 1 AS a) TO 's3://b'").boxed().await.expect("unloaded");
        assert_eq!(unloaded.rows, 1);
    });
}
