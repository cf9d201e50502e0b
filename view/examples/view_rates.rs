//! How fast the panels answer over a store that `store_rates` has filled (an example of `hurtig-store`).
//!
//! `view_rates --dir DIR [--rounds 100] [--plans]` asks each panel so often over HTTP, with no answer given twice: the first time
//! cold, then warm; and runs each of its statements by itself, with `--plans` after how it is answered. What a poll of the whole
//! overview takes, as a browser does every two seconds, is at the end.

#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use datafusion::physical_plan::displayable;
use hurtig_state::ManualClock;
use hurtig_store::{Queries, Store, StoreOptions};
use hurtig_timestream_sql::EngineOptions;
use hurtig_view::{Question, Span, View, ViewOptions};

/// After all that `store_rates` writes, and before it expires: the readings have ended, so now is their end.
const LATER_MS: i64 = 1_720_000_000_000;
/// The one measure that `store_rates` writes, evenly from 0.00 to 4.99; as a voltage, one in a hundred is out of tolerance.
const MEASURE: &str = "kw";
const NOMINAL: f64 = 2.5;
const TOLERANCE: f64 = 0.99;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (mut dir, mut rounds, mut plans) = (PathBuf::from("store-rates"), 100, false);
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--dir" => dir = value()?.into(),
            "--rounds" => rounds = value()?.parse()?,
            "--plans" => plans = true,
            other => return Err(format!("{other}? --dir DIR --rounds N --plans").into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(dir, rounds, plans))
}

async fn run(dir: PathBuf, rounds: usize, plans: bool) -> Result<()> {
    let clock = Arc::new(ManualClock::new(LATER_MS));
    let store = Store::open(StoreOptions::new(&dir, clock.clone())).await?;
    let queries = Queries::new(&store, EngineOptions::default())?;
    let options = ViewOptions {
        listen: "127.0.0.1:0".parse()?,
        energy: MEASURE.into(),
        voltage: MEASURE.into(),
        nominal_voltage: NOMINAL,
        tolerance: TOLERANCE,
        fresh_for: Duration::ZERO,
        ..ViewOptions::default()
    };
    let fresh = ViewOptions { fresh_for: ViewOptions::default().fresh_for, ..options.clone() };
    let view = View::new(queries.clone(), clock.clone(), options);
    let server = view.clone().bind().await?;
    let url = server.url();
    let serving = tokio::spawn(server.serve(std::future::pending()));
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async |question: &str| -> Result<()> {
        client.get(format!("{url}api/{question}")).send().await?.error_for_status()?.bytes().await?;
        Ok(())
    };
    for (path, question) in [
        ("fleet", Question::Fleet),
        ("consumption?span=hour", Question::Consumption(Span::Hour)),
        ("consumption?span=day", Question::Consumption(Span::Day)),
        ("voltage", Question::Voltage),
        ("silent", Question::Silent),
        ("meter?id=meter-004711", Question::Meter { id: "meter-004711".into(), until: None }),
        ("meters?find=4711", Question::Meters { find: "4711".into() }),
    ] {
        measure(path, rounds, async || ask(path).await).await?;
        for (name, sql) in view.statements(&question).await? {
            let execute = async || -> Result<()> {
                queries.execute(&sql).await?.collect().await?;
                Ok(())
            };
            measure(&format!("  {name}"), rounds, execute).await?;
            if plans && let Some(plan) = queries.prepare(&sql).await?.physical_plan().await? {
                println!("{sql}\n{}", displayable(plan.as_ref()).indent(false));
            }
        }
    }
    // As a browser asks, every two seconds: what the panels share is asked once.
    serving.abort();
    let server = View::new(queries, clock.clone(), fresh).bind().await?;
    let url = server.url();
    let serving = tokio::spawn(server.serve(std::future::pending()));
    let ask = async |question: &str| -> Result<()> {
        client.get(format!("{url}api/{question}")).send().await?.error_for_status()?.bytes().await?;
        Ok(())
    };
    let all = async || -> Result<()> {
        clock.advance(2_000);
        let asked = tokio::join!(ask("fleet"), ask("consumption?span=hour"), ask("voltage"), ask("silent"));
        asked.0.and(asked.1).and(asked.2).and(asked.3)
    };
    measure("the overview, all at once", rounds, all).await?;
    serving.abort();
    Ok(())
}

async fn measure(what: &str, rounds: usize, act: impl AsyncFn() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    act().await?;
    let (cold, cpu) = (start.elapsed(), cpu_seconds());
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        act().await?;
        times.push(start.elapsed());
    }
    let cpu = (cpu_seconds() - cpu) * 1_000.0 / rounds as f64;
    times.sort();
    let at = |share: f64| times.get(((times.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or_default();
    println!("{what}: cold {cold:.1?}, p50 {:.1?}, p99 {:.1?}, {cpu:.0} ms of CPU", at(0.5), at(0.99));
    Ok(())
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    // In hundredths of a second.
    (field(11) + field(12)) / 100.0
}
