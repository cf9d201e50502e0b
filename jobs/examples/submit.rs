//! A job that is run from code: started, watched, saved, ended, and taken up again elsewhere.
use std::{path::Path, sync::atomic::Ordering::Relaxed, time::Duration};

use hurtig::{
    connectors::generator::{GeneratorConfig, GeneratorSource, MeterReading},
    prelude::*,
};

/// How many readings each region has sent.
fn job(fleet: &GeneratorConfig) -> Result<Environment> {
    let env = Environment::new("readings-by-region");
    let watermarks = WatermarkStrategy::bounded_out_of_orderness(secs(5));
    env.from_source(
        GeneratorSource::readings(fleet)?,
        watermarks.with_timestamp_assigner(|r: &MeterReading, _arrival: i64| r.time),
        "fleet",
    )
    .uid("fleet")
    .map(|r: MeterReading| (r.region, 1_u64))
    .key_by(|(region, _): &(u16, u64)| *region)
    .reduce(|a, b| (a.0, a.1 + b.1))
    .name("Count")
    .uid("count")
    .sink_to(DiscardingSink);
    Ok(env)
}

/// How many records the operator `name` has taken in, over all its subtasks and all runs.
fn records(job: &JobHandle, name: &str) -> u64 {
    job.metrics_of(name).into_iter().flatten().map(|subtask| subtask.records_in.load(Relaxed)).sum()
}

/// Counts until there are some, saves that, and goes on from it with two workers. Returns how many
/// readings there were before and after.
pub fn run(dir: &Path) -> Result<(u64, u64)> {
    let endless = GeneratorConfig { meters: 1_000, regions: 4, rate: Some(50_000), ..Default::default() };
    let first = job(&endless)?.execute_async(job_config(dir.join("first")))?;
    while records(&first, "Count") < 1_000 {
        if let Some(ended) = first.wait_timeout(Duration::from_millis(10))? {
            return Err(Error::Config(format!("it was not to end, and is {}", ended.state)));
        }
    }
    let counted = records(&first, "Count");
    let savepoint = first.savepoint(Some(dir.join("saved").display().to_string()))?;
    println!("{} is {}: {counted} readings and more, saved at {savepoint}", first.name(), first.state());
    first.cancel()?;
    assert_eq!(first.wait()?.state, JobState::Canceled);

    let env = job(&endless)?;
    env.set_parallelism(2);
    let restore = Restore::Path(savepoint);
    let second = env.execute_async(JobConfig { restore, ..job_config(dir.join("second")) })?;
    second.stop(None, false)?;
    assert_eq!(second.wait()?.state, JobState::Finished);
    println!("taken up again: {} readings", records(&second, "Count"));
    Ok((counted, records(&second, "Count")))
}

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "hurtig-data".to_owned());
    run(dir.as_ref())?;
    Ok(())
}
