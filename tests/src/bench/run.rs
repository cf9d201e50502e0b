//! Runs one benchmark and watches it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use hurtig_engine::{
    checkpoint::CheckpointStatus,
    graph::JobGraph,
    runner::{CheckpointSettings, JobConfig, JobHandle, JobStatus, LocalRunner, RestartStrategy},
};

use super::{
    jobs,
    measure::{self, Moment, Stretch},
    report::{CheckpointFigures, Report, StateFigures},
    settings::{Job, Settings},
    tally::Tally,
};
use crate::{peer_gen::PeerSource, repeating_files::RepeatingFiles, stop::Stop};

/// How often figures are taken.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What is left out of the steady part at its beginning: files and tables get warm.
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs what `settings` says, to its end.
pub fn run(settings: &Settings) -> Result<Report> {
    let place = Place::new(settings)?;
    let (stop, tally) = (Stop::default(), Tally::default());
    let rounds = settings.rounds.unwrap_or(if settings.seconds.is_some() { u64::MAX } else { 1 });
    let (graph, readings) = graph(settings, rounds, &place, &stop, &tally)?;
    let config = JobConfig {
        checkpoints: CheckpointSettings { interval: settings.checkpoint_interval.0, ..Default::default() },
        state_backend: settings.backend.kind(),
        state_memory: settings.state_memory << 20,
        restart: RestartStrategy::None,
        ..JobConfig::new(&place.data)
    };
    let begin = Moment::now(0);
    let handle = LocalRunner::submit(graph, config)?;
    let moments = watch(&handle, settings.seconds.map(Duration::from_secs), &stop)?;
    let end = Moment::now(read(&handle));
    let status = handle.wait()?.status;

    let whole = Stretch::between(&begin, &end);
    let report = Report {
        job: settings.job,
        backend: settings.backend,
        parallelism: settings.parallelism,
        whole,
        steady: steady(&moments),
        peak_memory: measure::peak_memory(),
        checkpoints: checkpoints(&status),
        state: StateFigures::of(&tally.stats()),
        answers: answers(settings.job, &tally, end.records),
        books: status.books.clone(),
    };
    let expected = settings.seconds.is_none().then(|| readings * rounds);
    check(&report, expected, &tally)?;
    Ok(report)
}

/// Where things lie; what is of no use afterwards goes with it.
struct Place {
    data: PathBuf,
    output: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn new(settings: &Settings) -> Result<Self> {
        let (data, temporary) = match &settings.data_dir {
            Some(dir) => (dir.clone(), None),
            None => {
                let beside = settings.input.as_deref().and_then(|i| i.parent()).filter(|p| !p.as_os_str().is_empty());
                let dir =
                    tempfile::Builder::new().prefix("hurtig-bench-").tempdir_in(beside.unwrap_or(".".as_ref()))?;
                (dir.path().to_owned(), Some(dir))
            }
        };
        let output = settings.output.clone().unwrap_or_else(|| data.join("out"));
        for dir in [&data, &output] {
            match std::fs::remove_dir_all(dir) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => bail!("{}: {e}", dir.display()),
                _ => std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?,
            }
        }
        Ok(Place { data, output, _temporary: temporary })
    }
}

/// The job, and how many readings a round has.
fn graph(settings: &Settings, rounds: u64, place: &Place, stop: &Stop, tally: &Tally) -> Result<(JobGraph, u64)> {
    let (job, parallelism) = (settings.job, settings.parallelism);
    if job == Job::GeneratorTumble {
        let (n, m) = (settings.readings, settings.meters);
        let source = PeerSource::new(n, m, rounds, stop.clone());
        return Ok((jobs::graph(job, parallelism, source, &place.output, tally)?, n));
    }
    let Some(input) = &settings.input else {
        bail!("{} reads files: give their directory with --input (gen_peer writes it)", job.name());
    };
    let source = RepeatingFiles::new(&input.display().to_string(), rounds, stop.clone())?;
    let readings = source.readings();
    Ok((jobs::graph(job, parallelism, source, &place.output, tally)?, readings))
}

/// How many readings the source has given.
fn read(handle: &JobHandle) -> u64 {
    let vertices = handle.graph().vertices.iter().zip(handle.metrics());
    let sources = vertices.filter(|(v, _)| v.is_source()).flat_map(|(_, subtasks)| subtasks);
    sources.map(|m| m.records_in.load(std::sync::atomic::Ordering::Relaxed)).sum()
}

/// Takes figures while records are read, and stops the source when its time is up.
fn watch(handle: &JobHandle, length: Option<Duration>, stop: &Stop) -> Result<Vec<Moment>> {
    let mut moments: Vec<Moment> = Vec::new();
    while handle.wait_timeout(LOOK_EVERY)?.is_none() {
        let now = Moment::now(read(handle));
        match (moments.first(), moments.last()) {
            // Nothing read yet, or nothing more.
            _ if now.records == 0 => {}
            (Some(_), Some(last)) if now.records == last.records => {}
            (Some(first), Some(_)) if length.is_some_and(|l| now.at.duration_since(first.at) >= l) => {
                moments.push(now);
                stop.set();
                handle.wait()?;
            }
            _ => moments.push(now),
        }
    }
    Ok(moments)
}

/// From when it was warm until the source had given all, if that is long enough to mean anything.
fn steady(moments: &[Moment]) -> Option<Stretch> {
    let (first, last) = (moments.first()?, moments.last()?);
    let warm = moments.iter().find(|m| m.at.duration_since(first.at) >= WARM_UP)?;
    let stretch = Stretch::between(warm, last);
    (stretch.seconds >= 1.0).then_some(stretch)
}

fn checkpoints(status: &JobStatus) -> Vec<CheckpointFigures> {
    let completed = status.checkpoints.history.iter().filter(|c| c.status == CheckpointStatus::Completed);
    completed
        .map(|c| CheckpointFigures {
            id: c.id,
            full_bytes: c.full_bytes(),
            new_bytes: c.uploaded_bytes(),
            milliseconds: c.duration_ms(c.triggered_at),
        })
        .collect()
}

fn answers(job: Job, tally: &Tally, read: u64) -> Vec<(&'static str, u64)> {
    match job {
        Job::Passthrough => vec![("readings", tally.records())],
        Job::Talk => vec![("readings", tally.records()), ("nudged", tally.marked())],
        Job::Tumble | Job::GeneratorTumble => {
            vec![("windows", tally.records()), ("readings", tally.weight()), ("late", read - tally.weight())]
        }
        Job::Dedup => vec![("first", tally.records()), ("repeats", tally.marked())],
    }
}

/// Nothing may be lost or counted twice on the way.
fn check(report: &Report, expected: Option<u64>, tally: &Tally) -> Result<()> {
    let read = report.whole.records;
    if expected.is_some_and(|e| e != read) {
        bail!("{read} readings were read, not {}", expected.unwrap_or_default());
    }
    let arrived = match report.job {
        Job::Passthrough | Job::Talk => tally.records(),
        Job::Tumble | Job::GeneratorTumble => tally.weight(),
        Job::Dedup => tally.records() + tally.marked(),
    };
    if arrived != read {
        bail!("{read} readings were read, {arrived} arrived");
    }
    for sink in &report.books {
        if !sink.books.balance() || sink.books.written != tally.records() {
            bail!("the books of {} do not balance over {} records: {:?}", sink.name, tally.records(), sink.books);
        }
    }
    Ok(())
}
