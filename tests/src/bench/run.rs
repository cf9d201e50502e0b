//! Runs one benchmark and watches it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};
use hurtig_engine::{
    checkpoint::{CheckpointKind, CheckpointStatus},
    graph::JobGraph,
    runner::{CheckpointSettings, JobConfig, JobHandle, JobStatus, LocalRunner, RestartStrategy},
};

use super::{
    answers, jobs,
    machine::Machine,
    measure::{self, Moment, Stretch},
    report::{CheckpointFigures, Report, StateFigures},
    settings::{Form, Job, Settings},
    tally::Tally,
    verdict,
    windows::Windows,
};
use crate::{peer_gen::PeerSource, repeating_files::RepeatingFiles, scratch, stop::Stop};

/// How often figures are taken.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What is left out of the steady part at its beginning: files and tables get warm.
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs what `settings` says, to its end. What is wrong with the result is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    let place = Place::new(settings)?;
    let (stop, tally) = (Stop::default(), Tally::default());
    let form = settings.form();
    let rounds = settings.rounds.unwrap_or(if form == Form::Steady { u64::MAX } else { 1 });
    let (graph, readings) = graph(settings, rounds, &place, &stop, &tally)?;
    let compared = form == Form::Once && rounds == 1 && is_known(settings, readings)?;
    let config = JobConfig {
        checkpoints: CheckpointSettings { interval: settings.checkpoint_interval.0, ..Default::default() },
        state_backend: settings.backend.kind(),
        state_memory: settings.state_memory() << 20,
        restart: RestartStrategy::None,
        ..JobConfig::new(&place.data)
    };
    let begin = Moment::now(0);
    let handle = LocalRunner::submit(graph, config)?;
    let watched = watch(&handle, settings.seconds.map(Duration::from_secs), &stop)?;
    let end = Moment::now(read(&handle));
    let status = handle.wait()?.status;

    let mut report = Report {
        job: settings.job,
        backend: settings.backend,
        parallelism: settings.parallelism,
        form,
        machine: Machine::this(),
        whole: Stretch::between(&begin, &end),
        steady: steady(&watched.moments),
        laps: watched.laps.windows(2).map(|lap| Stretch::between(&lap[0], &lap[1])).collect(),
        // Before the output is read back: that takes memory too.
        peak_memory: measure::peak_memory(),
        checkpoints: checkpoints(&status),
        state: StateFigures::of(&tally.stats()),
        answers: answers(settings.job, &tally, end.records),
        windows: written(settings.job, form, &place.output)?,
        compared,
        books: status.books.clone(),
        failures: Vec::new(),
        remarks: Vec::new(),
    };
    let expected = (form == Form::Once).then(|| readings * rounds);
    verdict::judge(&mut report, expected, &tally);
    Ok(report)
}

/// Whether the right answers over this input are known.
fn is_known(settings: &Settings, readings: u64) -> Result<bool> {
    match &settings.input {
        _ if settings.job == Job::GeneratorTumble => {
            Ok((readings, settings.meters) == (answers::KNOWN.readings, answers::KNOWN.meters))
        }
        Some(input) => answers::are_the_comparisons(input, readings),
        None => Ok(false),
    }
}

/// What tumble has committed. In steady state that is too much to be read back.
fn written(job: Job, form: Form, output: &Path) -> Result<Option<Windows>> {
    Ok(if job == Job::Tumble && form == Form::Once { Some(Windows::below(output)?) } else { None })
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
        scratch::claim(&data)?;
        scratch::claim(&output)?;
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

/// What was seen of a run.
struct Watched {
    /// While records were read.
    moments: Vec<Moment>,
    /// The first record, and every completed checkpoint.
    laps: Vec<Moment>,
}

/// Takes figures while records are read, and stops the source when its time is up.
fn watch(handle: &JobHandle, length: Option<Duration>, stop: &Stop) -> Result<Watched> {
    let (mut moments, mut laps): (Vec<Moment>, Vec<Moment>) = Default::default();
    let mut completed = 0;
    while handle.wait_timeout(LOOK_EVERY)?.is_none() {
        let now = Moment::now(read(handle));
        let newly = handle.status().checkpoints.counts.completed;
        if newly > completed && !laps.is_empty() {
            laps.push(now);
        }
        completed = newly;
        match (moments.first(), moments.last()) {
            // Nothing read yet, or nothing more.
            _ if now.records == 0 => {}
            (Some(_), Some(last)) if now.records == last.records => {}
            (Some(first), Some(_)) if length.is_some_and(|l| now.at.duration_since(first.at) >= l) => {
                moments.push(now);
                stop.set();
                handle.wait()?;
            }
            (first, _) => {
                if first.is_none() {
                    laps.push(now);
                }
                moments.push(now);
            }
        }
    }
    Ok(Watched { moments, laps })
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
            periodic: c.kind == CheckpointKind::Checkpoint,
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
