//! How fast the panels answer over a store that `store_rates` has filled (an example of `hurtig-store`).
//!
//! `view_rates --dir DIR [--rounds 100]` asks each panel so often over HTTP, as a browser does, with no answer given twice:
//! the first time cold, then warm. What a poll of the whole overview takes is at the end.

#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use hurtig_state::ManualClock;
use hurtig_store::{Queries, Store, StoreOptions};
use hurtig_timestream_sql::EngineOptions;
use hurtig_view::{View, ViewOptions};

/// After all that `store_rates` writes, and before it expires: the readings have ended, so now is their end.
const LATER_MS: i64 = 1_720_000_000_000;
/// The one measure that `store_rates` writes; as a voltage, all of it is out of tolerance.
const MEASURE: &str = "kw";

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (mut dir, mut rounds) = (PathBuf::from("store-rates"), 100);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match name.as_str() {
            "--dir" => dir = value.into(),
            "--rounds" => rounds = value.parse()?,
            other => return Err(format!("{other}? --dir DIR --rounds N").into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(dir, rounds))
}

async fn run(dir: PathBuf, rounds: usize) -> Result<()> {
    let clock = Arc::new(ManualClock::new(LATER_MS));
    let store = Store::open(StoreOptions::new(&dir, clock.clone())).await?;
    let options = ViewOptions {
        listen: "127.0.0.1:0".parse()?,
        energy: MEASURE.into(),
        voltage: MEASURE.into(),
        fresh_for: Duration::ZERO,
        ..ViewOptions::default()
    };
    let server = View::new(Queries::new(&store, EngineOptions::default())?, clock, options).bind().await?;
    let url = server.url();
    let serving = tokio::spawn(server.serve(std::future::pending()));
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async |question: &str| -> Result<Duration> {
        let start = Instant::now();
        let response = client.get(format!("{url}api/{question}")).send().await?.error_for_status()?;
        response.bytes().await?;
        Ok(start.elapsed())
    };
    let overview = ["fleet", "consumption?span=hour", "voltage", "silent"];
    for question in [&overview[..], &["consumption?span=day", "meter?id=meter-004711", "meters?find=4711"]].concat() {
        let cold = ask(question).await?;
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            times.push(ask(question).await?);
        }
        tell(question, cold, times);
    }
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        for asked in futures::future::join_all(overview.map(&ask)).await {
            asked?;
        }
        times.push(start.elapsed());
    }
    tell("the overview, all at once", Duration::ZERO, times);
    serving.abort();
    Ok(())
}

fn tell(question: &str, cold: Duration, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times.get(((times.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or_default();
    println!("{question}: cold {cold:.1?}, p50 {:.1?}, p99 {:.1?}", at(0.5), at(0.99));
}
