//! How fast the store takes readings and answers the operational page's questions.
//!
//! `store_rates --dir DIR --readings 10000000 [--meters 100000]` writes so many single-measure readings of a fleet, every 15
//! minutes one of each meter, opens the store again, and asks each question `--rounds` times (31): the first cold. With
//! `--plans` it shows how each is answered. `--duckdb PYTHON`, a Python that has DuckDB, asks DuckDB the questions that read
//! everything, over the same files with as many threads.

#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::util::pretty::pretty_format_batches;
use datafusion::{
    physical_plan::{collect, displayable},
    prelude::{SessionConfig, SessionContext},
};
use hurtig_state::ManualClock;
use hurtig_store::{LastPoints, Measure, MeasureValue, NewTable, Record, Retention, Store, StoreOptions, StoreTable};

const QUARTER: i64 = 15 * 60 * 1_000_000_000;
const BEGIN: i64 = 1_700_000_100_000_000_000;
const BATCH: usize = 10_000;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// On so many threads it works, and DuckDB too.
const THREADS: usize = 2;

struct Options {
    dir: PathBuf,
    readings: i64,
    meters: i64,
    rounds: usize,
    plans: bool,
    duckdb: Option<String>,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut options = Options {
        dir: "store-rates".into(),
        readings: 10_000_000,
        meters: 100_000,
        rounds: 31,
        plans: false,
        duckdb: None,
    };
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} takes a value"));
        match name.as_str() {
            "--dir" => options.dir = value()?.into(),
            "--readings" => options.readings = value()?.parse()?,
            "--meters" => options.meters = value()?.parse()?,
            "--rounds" => options.rounds = value()?.parse::<usize>()?.max(2),
            "--duckdb" => options.duckdb = Some(value()?),
            "--plans" => options.plans = true,
            other => {
                let usage = "--dir DIR --readings N --meters N --rounds N --plans --duckdb PYTHON";
                return Err(format!("{other}? {usage}").into());
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> Result<()> {
    let Options { dir, readings, meters, .. } = options;
    let clock = Arc::new(ManualClock::new(BEGIN / 1_000_000));
    if !dir.join("manifest").exists() {
        let store = Store::open(StoreOptions::new(dir, clock.clone())).await?;
        write(&store, &clock, *readings, *meters).await?;
    }
    let rounds = readings / meters;
    let now = BEGIN + (rounds - 1) * QUARTER;
    clock.advance((now - BEGIN) / 1_000_000 - (clock_ms(&clock) - BEGIN / 1_000_000));
    let start = Instant::now();
    let store = Store::open(StoreOptions::new(dir, clock.clone())).await?;
    println!("opened in {:?}", start.elapsed());
    let questions = questions(now);
    for Question { name, sql, .. } in &questions {
        ask(&store, name, sql, options).await?;
    }
    println!("{} MiB resident at most", peak_mebibytes());
    if let Some(python) = &options.duckdb {
        let whole: Vec<_> = questions.into_iter().filter(|q| q.reads_everything).collect();
        ask_duckdb(python, dir, &whole, options.rounds)?;
    }
    Ok(())
}

/// What is asked.
struct Question {
    name: &'static str,
    sql: String,
    reads_everything: bool,
}

/// Asks DuckDB over all files of the store.
fn ask_duckdb(python: &str, dir: &Path, questions: &[Question], rounds: usize) -> Result<()> {
    const SCRIPT: &str = r#"
import json, sys, time, duckdb
files, threads, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = duckdb.connect()
connection.execute(f"SET threads={threads}")
table = f"read_parquet('{files}', hive_partitioning=false)"
for name, sql in zip(sys.argv[4::2], sys.argv[5::2]):
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        rows = connection.execute(sql.replace("FROM readings", "FROM " + table)).fetchall()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"name": name, "seconds": seconds, "rows": len(rows), "first": str(rows[0])}))
print(json.dumps({"version": duckdb.__version__}))
"#;
    let files = dir.join("magnetic/**/*.parquet");
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).arg(files).args([THREADS.to_string(), rounds.to_string()]);
    command.args(questions.iter().flat_map(|q| [q.name, &q.sql]));
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("DuckDB: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    for line in String::from_utf8(output.stdout)?.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        if let Some(version) = line["version"].as_str() {
            println!("that was DuckDB {version}, {THREADS} threads");
            continue;
        }
        let seconds = line["seconds"].as_array().ok_or("no seconds")?;
        let times = seconds.iter().filter_map(|s| s.as_f64()).map(Duration::from_secs_f64).collect();
        println!("DuckDB, {}: {}; {} rows", line["name"], spread(times), line["rows"]);
        println!("  {}", line["first"].as_str().unwrap_or_default());
    }
    Ok(())
}

/// The first one, and the others' middle and end.
fn spread(mut times: Vec<Duration>) -> String {
    let cold = times.remove(0);
    times.sort_unstable();
    let at = |share: usize| times[((times.len() - 1) * share).div_ceil(100)];
    format!("cold {cold:.1?}, warm p50 {:.1?}, p99 {:.1?}", at(50), at(99))
}

fn clock_ms(clock: &ManualClock) -> i64 {
    use hurtig_state::Clock;
    clock.now_ms()
}

async fn write(store: &Store, clock: &ManualClock, readings: i64, meters: i64) -> Result<()> {
    store.create_database("meters", None)?;
    let retention = Retention { memory_hours: 24, magnetic_days: 400, magnetic_writes: true };
    store.create_table("meters", "readings", NewTable { retention, ..NewTable::default() })?;
    let maintenance = store.spawn_maintenance(std::time::Duration::from_millis(200));
    let (start, mut said) = (Instant::now(), Instant::now());
    let (mut records, mut position) = (Vec::with_capacity(BATCH), 0);
    for n in 0..readings {
        let (round, meter) = (n / meters, n % meters);
        if meter == 0 && round > 0 {
            clock.advance(QUARTER / 1_000_000);
        }
        records.push(reading(meter, BEGIN + round * QUARTER));
        if records.len() == BATCH || n + 1 == readings {
            let taken = store.take("meters", "readings", &records).await?;
            assert_eq!(taken.outcome.taken(), records.len(), "{:?}", taken.outcome.rejected.first());
            position = taken.position;
            records.clear();
            if said.elapsed().as_secs() >= 5 {
                let rate = n as f64 / start.elapsed().as_secs_f64();
                println!("  {n} readings, {rate:.0}/s, {} MiB in memory", store.memory_in_use() >> 20);
                said = Instant::now();
            }
        }
    }
    store.durable(position).await?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{readings} readings taken and durable in {seconds:.1} s: {:.0}/s, {:.2} CPU s a million",
        readings as f64 / seconds,
        cpu_seconds() * 1e6 / readings as f64
    );
    maintenance.abort();
    let _ = maintenance.await;
    store.flush().await?;
    store.maintain().await?;
    println!("all in files after {:.1} s, {} MiB resident at most", start.elapsed().as_secs_f64(), peak_mebibytes());
    Ok(())
}

fn reading(meter: i64, time: i64) -> Record {
    let id = format!("meter-{meter:06}");
    let region = ["NORTH", "EAST", "SOUTH", "WEST", "CENTRE"][(meter % 5) as usize];
    // A household's load of two digits behind the point, as meters send it.
    let kw = ((meter * 7_919 + time / QUARTER * 104_729) % 500) as f64 / 100.0;
    Record {
        dimensions: [("meter_id".into(), id.into()), ("region".into(), region.into())].into_iter().collect(),
        measure_name: "kw".into(),
        measure: Measure::Single(MeasureValue::Double(kw)),
        time,
        version: 1,
    }
}

fn questions(now: i64) -> Vec<Question> {
    let (hour, day) = (now - 3_600_000_000_000, now - 86_400_000_000_000);
    let question = |name, sql: String| Question { name, sql, reads_everything: false };
    let whole = |name, sql: &str| Question { name, sql: sql.to_owned(), reads_everything: true };
    vec![
        question(
            "last value's time of each meter",
            "SELECT meter_id, max(time) AS time FROM readings GROUP BY meter_id".into(),
        ),
        question(
            "one meter's day",
            format!(
                "SELECT time, \"measure_value::double\" FROM readings WHERE meter_id = 'meter-004711' \
                 AND time > to_timestamp_nanos({day}) ORDER BY time"
            ),
        ),
        question(
            "a region's last hour by quarter",
            format!(
                "SELECT date_bin(interval '15 minutes', time) AS t, sum(\"measure_value::double\") FROM readings \
                 WHERE region = 'EAST' AND time > to_timestamp_nanos({hour}) GROUP BY t ORDER BY t"
            ),
        ),
        question(
            "silent meters",
            format!(
                "SELECT meter_id FROM readings GROUP BY meter_id HAVING max(time) < to_timestamp_nanos({hour}) LIMIT 100"
            ),
        ),
        whole("full scan", "SELECT count(*), sum(\"measure_value::double\"), min(time), max(time) FROM readings"),
        whole(
            "group by region",
            "SELECT region, avg(\"measure_value::double\"), count(*) FROM readings GROUP BY region",
        ),
    ]
}

async fn ask(store: &Store, name: &str, sql: &str, options: &Options) -> Result<()> {
    let mut times = Vec::new();
    let mut answer = Vec::new();
    for round in 0..options.rounds {
        let start = Instant::now();
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(THREADS));
        context.add_optimizer_rule(Arc::new(LastPoints));
        context.register_table("readings", Arc::new(StoreTable::new(store, "meters", "readings")?))?;
        let plan = context.sql(sql).await?.create_physical_plan().await?;
        answer = collect(plan.clone(), context.task_ctx()).await?;
        times.push(start.elapsed());
        if round == 0 && options.plans {
            println!("{sql}\n{}", displayable(plan.as_ref()).indent(false));
        }
    }
    let rows: usize = answer.iter().map(|batch| batch.num_rows()).sum();
    println!("{name}: {}; {rows} rows", spread(times));
    if rows <= 10 {
        println!("{}", pretty_format_batches(&answer)?);
    }
    Ok(())
}

fn proc_field(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn peak_mebibytes() -> u64 {
    proc_field("/proc/self/status", "VmHWM:").unwrap_or(0) / 1_024
}

fn cpu_seconds() -> f64 {
    // User and system time in hundredths of a second.
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (field(11) + field(12)) / 100.0
}
