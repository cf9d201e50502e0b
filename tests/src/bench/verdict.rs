//! Whether a run counts, and what it is short of.
//!
//! A wrong answer, books that do not balance, or a steady state without checkpoints is a failure:
//! the figures beside it mean nothing. A rate or a memory that misses what was aimed at is said.

use super::{
    answers::KNOWN,
    peers::{MOST_MEMORY, target},
    report::{Report, mebibytes},
    settings::{Backend, Form, Job},
    tally::Tally,
};

/// How many periodic checkpoints a steady state must have completed.
const LEAST_CHECKPOINTS: usize = 3;
/// How long it must be, in seconds.
const LEAST_SECONDS: f64 = 30.0;

/// Writes what is wrong and what is short into `report`. `expected`: how many readings the input has.
pub fn judge(report: &mut Report, expected: Option<u64>, tally: &Tally) {
    let mut failures = lost_or_doubled(report, expected, tally);
    if report.compared {
        failures.extend(wrong_answers(report));
    }
    if report.form == Form::Steady {
        failures.extend(not_steady(report));
        report.remarks = short(report);
    }
    report.failures = failures;
}

/// Nothing may be lost or counted twice on the way.
fn lost_or_doubled(report: &Report, expected: Option<u64>, tally: &Tally) -> Vec<String> {
    let mut wrong = Vec::new();
    let read = report.whole.records;
    if let Some(expected) = expected.filter(|e| *e != read) {
        wrong.push(format!("{read} readings were read, not {expected}"));
    }
    let arrived = match report.job {
        Job::Passthrough | Job::Talk => tally.records(),
        Job::Tumble | Job::GeneratorTumble => tally.weight(),
        Job::Dedup => tally.records() + tally.marked(),
    };
    if arrived != read {
        wrong.push(format!("{read} readings were read, {arrived} arrived"));
    }
    for sink in &report.books {
        let (name, books) = (&sink.name, &sink.books);
        if !books.balance() || books.written != tally.records() {
            wrong.push(format!("the books of {name} do not balance over {} records: {books:?}", tally.records()));
        }
    }
    if report.books.is_empty() {
        wrong.push("no sink has books".into());
    }
    if let Some(windows) = &report.windows {
        let written = (windows.windows, windows.readings, windows.distinct);
        if written != (tally.records(), tally.weight(), tally.records()) {
            wrong.push(format!(
                "the files hold {windows}, the job has made {} windows of {} readings",
                tally.records(),
                tally.weight()
            ));
        }
    }
    wrong
}

fn wrong_answers(report: &Report) -> Vec<String> {
    let found = |name: &str| report.answers.iter().find(|(n, _)| *n == name).map_or(0, |(_, found)| *found);
    let differ = |name: &str, expected: u64| {
        let found = found(name);
        (found != expected).then(|| format!("{found} {name}, and {expected} are right"))
    };
    match report.job {
        Job::Passthrough | Job::Talk => differ("readings", KNOWN.readings).into_iter().collect(),
        Job::Dedup => differ("repeats", KNOWN.repeats).into_iter().collect(),
        Job::Tumble | Job::GeneratorTumble => {
            let check = report.windows.as_ref().map(ToString::to_string).filter(|check| check != KNOWN.check);
            let check =
                check.map(|check| format!("the windows written are\n  {check}, and right are\n  {}", KNOWN.check));
            [differ("windows", KNOWN.windows), differ("readings", KNOWN.readings), check]
                .into_iter()
                .flatten()
                .collect()
        }
    }
}

fn not_steady(report: &Report) -> Vec<String> {
    let mut wrong = Vec::new();
    let periodic = report.checkpoints.iter().filter(|c| c.periodic).count();
    if periodic < LEAST_CHECKPOINTS {
        wrong.push(format!("{periodic} periodic checkpoints were completed, {LEAST_CHECKPOINTS} must be"));
    }
    if report.job == Job::Dedup && report.backend == Backend::Rocksdb {
        let state = report.state.unwrap_or_default();
        if state.flushes == 0 || state.compactions == 0 {
            wrong.push(format!("state must be flushed and compacted: {state}"));
        }
    }
    wrong
}

fn short(report: &Report) -> Vec<String> {
    let mut short = Vec::new();
    let seconds = report.steady.map_or(0.0, |s| s.seconds);
    if seconds < LEAST_SECONDS {
        short.push(format!("{seconds:.0} s of steady state, {LEAST_SECONDS:.0} are meant"));
    }
    let target = target(report.job);
    if report.rate() < target {
        short.push(format!("{:.3} M records/s, {:.0} are aimed at", report.rate() / 1e6, target / 1e6));
    }
    if report.job != Job::Dedup && report.peak_memory > MOST_MEMORY {
        short.push(format!("{} MiB, {} are aimed at", mebibytes(report.peak_memory), mebibytes(MOST_MEMORY)));
    }
    short
}

#[cfg(test)]
mod tests {
    use hurtig_engine::{runner::SinkBooks, sink::Books};

    use super::*;
    use crate::bench::{
        machine::Machine,
        measure::Stretch,
        report::{CheckpointFigures, StateFigures},
        windows::Windows,
    };

    fn report(job: Job, form: Form, tally: &Tally) -> Report {
        let books = Books { read: tally.records(), written: tally.records(), rejected: 0, dead_lettered: 0 };
        let stretch = Stretch { records: KNOWN.readings, seconds: 40.0, cpu_seconds: 2.0 };
        Report {
            job,
            backend: Backend::Rocksdb,
            parallelism: 2,
            form,
            machine: Machine::this(),
            whole: stretch,
            steady: Some(Stretch { records: 1_000_000_000, ..stretch }),
            laps: Vec::new(),
            peak_memory: 100 << 20,
            checkpoints: Vec::new(),
            state: None,
            answers: Vec::new(),
            windows: None,
            compared: true,
            books: vec![SinkBooks { uid: "out".into(), name: "out".into(), books }],
            failures: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn tumbled() -> Tally {
        let tally = Tally::default();
        tally.count(KNOWN.readings - KNOWN.windows + 1);
        (1..KNOWN.windows).for_each(|_| tally.count(1));
        tally
    }

    #[test]
    fn a_wrong_window_is_seen_and_a_right_one_passes() {
        let tally = tumbled();
        let judged = |sha256: &str, windows: u64| {
            let mut report = report(Job::Tumble, Form::Once, &tally);
            report.answers = vec![("windows", windows), ("readings", KNOWN.readings)];
            report.windows = Some(Windows {
                windows: KNOWN.windows,
                readings: KNOWN.readings,
                distinct: KNOWN.windows,
                sha256: sha256.into(),
            });
            judge(&mut report, Some(KNOWN.readings), &tally);
            report.failures
        };
        let right = KNOWN.check.rsplit(' ').next().expect("a hash");
        assert!(judged(right, KNOWN.windows).is_empty());
        assert!(judged("00", KNOWN.windows)[0].contains(KNOWN.check));
        assert!(judged(right, KNOWN.windows - 1)[0].contains("are right"));
    }

    #[test]
    fn what_was_lost_or_written_twice_is_seen() {
        let tally = tumbled();
        let mut lost = report(Job::Tumble, Form::Once, &tally);
        lost.compared = false;
        lost.windows = Some(Windows {
            windows: KNOWN.windows,
            readings: KNOWN.readings,
            distinct: KNOWN.windows - 1,
            sha256: String::new(),
        });
        lost.books[0].books.read += 1;
        judge(&mut lost, Some(KNOWN.readings + 1), &tally);
        assert_eq!(lost.failures.len(), 3, "{:?}", lost.failures);
    }

    #[test]
    fn steady_state_needs_periodic_checkpoints_and_work_of_the_store() {
        let tally = Tally::default();
        (0..KNOWN.readings).for_each(|_| tally.count(1));
        let checkpoint = |periodic| CheckpointFigures { id: 1, periodic, full_bytes: 1, new_bytes: 1, milliseconds: 1 };
        let mut steady = report(Job::Dedup, Form::Steady, &tally);
        steady.compared = false;
        steady.checkpoints = [true, true, false].map(checkpoint).to_vec();
        judge(&mut steady, None, &tally);
        assert_eq!(steady.failures.len(), 2, "{:?}", steady.failures);
        assert!(steady.remarks.is_empty(), "{:?}", steady.remarks);

        steady.checkpoints.push(checkpoint(true));
        steady.state = Some(StateFigures { flushes: 1, compactions: 1, ..StateFigures::default() });
        steady.steady = Some(Stretch { records: 1_000_000, seconds: 20.0, cpu_seconds: 1.0 });
        judge(&mut steady, None, &tally);
        assert!(steady.failures.is_empty(), "{:?}", steady.failures);
        assert_eq!(steady.remarks.len(), 2, "short, and slow: {:?}", steady.remarks);
    }
}
