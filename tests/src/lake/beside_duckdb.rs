//! The same questions of the same files: asked here and of DuckDB, with as many threads, one after the other.

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use datafusion::prelude::{SessionConfig, SessionContext};
use hurtig_delta::{DeltaTableProvider, Table};

/// How often each is asked, after once to warm up.
const ROUNDS: usize = 7;

/// What is asked of the table of readings, `t`.
const QUESTIONS: [(&str, &str); 4] = [
    ("everything: count, sum, first, last", "SELECT count(*), sum(value), min(time), max(time) FROM t"),
    (
        "by day and measure",
        "SELECT date_trunc('day', time) AS day, measure, sum(value), avg(value) FROM t GROUP BY 1, 2",
    ),
    ("by meter", "SELECT meter_id, sum(value), count(*) FROM t WHERE measure = 'kwh' GROUP BY meter_id"),
    ("one meter", "SELECT time, measure, value FROM t WHERE meter_id = 'm-0000042' ORDER BY time"),
];

/// DuckDB's side, by the medians.
const SCRIPT: &str = "
import json, sys, time, duckdb
request = json.load(sys.stdin)
connection = duckdb.connect()
connection.execute(f\"SET threads = {request['threads']}\")
connection.execute(f\"CREATE VIEW t AS SELECT * FROM read_parquet({request['files']!r})\")
def ask(sql):
    start = time.perf_counter()
    connection.execute(sql).fetchall()
    return time.perf_counter() - start
for sql in request['questions']:
    ask(sql)
    print(sorted(ask(sql) for _ in range(request['rounds']))[request['rounds'] // 2])
";

/// Asks both; a line a question.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures by the wall clock")]
pub fn ask(python: &str, dir: &Path, threads: usize) -> Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let (files, ours) = runtime.block_on(async {
        let table = Table::open(dir).await?.context("there is no table")?;
        let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
        session.register_table("t", Arc::new(DeltaTableProvider::new(&table)?))?;
        let mut medians = Vec::new();
        for (_, sql) in QUESTIONS {
            let mut took = Vec::new();
            for _ in 0..=ROUNDS {
                let start = Instant::now();
                session.sql(sql).await?.collect().await?;
                took.push(start.elapsed());
            }
            took.remove(0);
            took.sort_unstable();
            medians.push(took[ROUNDS / 2]);
        }
        let files: Vec<_> = table.files().iter().map(|file| dir.join(&file.path).display().to_string()).collect();
        anyhow::Ok((files, medians))
    })?;
    let theirs = duckdb(python, &files, threads)?;
    let line = |((name, _), (ours, theirs)): (&(&str, &str), (&Duration, &Duration))| {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        format!("{name}: {} ms, DuckDB {} ms, {ratio:.2} times its time", ours.as_millis(), theirs.as_millis())
    };
    Ok(QUESTIONS.iter().zip(ours.iter().zip(&theirs)).map(line).collect())
}

fn duckdb(python: &str, files: &[String], threads: usize) -> Result<Vec<Duration>> {
    let questions: Vec<_> = QUESTIONS.iter().map(|(_, sql)| sql).collect();
    let request = serde_json::json!({ "files": files, "questions": questions, "threads": threads, "rounds": ROUNDS });
    let input = tempfile::NamedTempFile::new()?;
    std::fs::write(input.path(), request.to_string())?;
    let said =
        Command::new(python).args(["-c", SCRIPT]).stdin(input.reopen()?).output().with_context(|| python.to_owned())?;
    if !said.status.success() {
        bail!("{python}: {}", String::from_utf8_lossy(&said.stderr));
    }
    let seconds = String::from_utf8_lossy(&said.stdout).lines().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    Ok(seconds.into_iter().map(Duration::from_secs_f64).collect())
}
