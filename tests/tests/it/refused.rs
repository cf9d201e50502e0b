//! What cannot work is said in one line, before anything is lost.

use std::{path::Path, process::Command};

use hurtig_engine::{
    graph::JobGraph,
    runner::{JobConfig, LocalRunner, Restore},
    watermark::WatermarkStrategy,
};
use hurtig_operators::{connectors::discard::DiscardingSink, stream::Environment};
use hurtig_state::BackendKind;
use hurtig_tests::{
    chaos::{
        life::newest_checkpoint,
        visible::Visible,
        written::{Written, books},
    },
    gated::{Gate, Gated},
    peer_gen::{PeerSource, Reading},
    program::{self, Said},
    stop::Stop,
};

use crate::{
    running::Running,
    support::{books_hold, config, directory, submit, until_closed, words},
};

/// A job of one counting operator with this uid.
fn job(name: &str, uid: &str, gate: &Gate) -> JobGraph {
    let env = Environment::new(name);
    let source = PeerSource::new(10_000, 100, 1, Stop::default());
    env.from_source(Gated::new(source, gate), WatermarkStrategy::no_watermarks(), "readings")
        .uid("readings")
        .key_by(|r: &Reading| r.meter_id.clone())
        .reduce(|a: Reading, b: Reading| Reading { kwh: a.kwh + b.kwh, ..b })
        .name("sum")
        .uid(uid)
        .sink_to(DiscardingSink)
        .name("out")
        .uid("out");
    env.graph().expect("a graph")
}

/// A savepoint of `sums` with state under the uid `sum`.
fn savepoint(dir: &Path) -> String {
    let gate = Gate::default();
    let handle = submit(job("sums", "sum", &gate), config(&dir.join("data"), BackendKind::RocksDb));
    let handle = handle.expect("the job starts");
    gate.let_through(5_000);
    until_closed(&handle, &gate);
    let path = handle.stop(Some(dir.join("saved").display().to_string()), false).expect("a savepoint");
    books_hold("up to the savepoint", &handle.wait().expect("it ends").status.books, 5_000);
    path
}

fn refusal(graph: JobGraph, config: JobConfig) -> String {
    match LocalRunner::submit(graph, config) {
        Ok(_) => panic!("it was not refused"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn a_checkpoint_of_another_job() {
    let dir = directory();
    let saved = savepoint(dir.path());
    let restore = Restore::Path(saved);
    let config = JobConfig { restore, ..config(&dir.path().join("other"), BackendKind::RocksDb) };
    let said = refusal(job("averages", "sum", &Gate::default()), config);
    assert!(said.contains("'sums'") && said.contains("'averages'") && !said.contains('\n'), "{said}");
}

#[test]
fn state_that_no_operator_takes_unless_it_may_be_dropped() {
    let dir = directory();
    let saved = savepoint(dir.path());
    let restore = Restore::Path(saved);
    let config = JobConfig { restore, ..config(&dir.path().join("other"), BackendKind::RocksDb) };
    let said = refusal(job("sums", "total", &Gate::default()), config.clone());
    assert!(said.contains("sum") && said.contains("--allow-non-restored-state"), "{said}");

    let gate = Gate::default();
    gate.open();
    let allowed = JobConfig { allow_non_restored_state: true, ..config };
    let handle = submit(job("sums", "total", &gate), allowed).expect("it may be dropped");
    books_hold("without the sums", &handle.wait().expect("it ends").status.books, 10_000);
}

#[test]
fn a_savepoint_that_is_not_there() {
    let dir = directory();
    let path = dir.path().join("nothing").display().to_string();
    let restore = Restore::Path(path.clone());
    let config = JobConfig { restore, ..config(&dir.path().join("data"), BackendKind::RocksDb) };
    let said = refusal(job("sums", "sum", &Gate::default()), config);
    assert!(said.contains(&path), "{said}");
}

#[test]
fn a_data_directory_in_use() {
    let dir = directory();
    let gate = Gate::default();
    let data = dir.path().join("data");
    let handle = submit(job("sums", "sum", &gate), config(&data, BackendKind::RocksDb)).expect("a job");
    let said = run(&format!("--meters 10 --data-dir {}", data.display()));
    one_line(&said, &["in use", "--data-dir", &data.display().to_string()]);
    gate.open();
    let result = handle.wait().expect("the first is not disturbed");
    books_hold("the first", &result.status.books, 10_000);
}

#[test]
fn a_data_directory_that_cannot_be_one() {
    let dir = directory();
    let file = dir.path().join("file");
    std::fs::write(&file, "not a directory").expect("a file");
    for data in [file.clone(), file.join("below")] {
        let said = run(&format!("--meters 10 --data-dir {}", data.display()));
        one_line(&said, &[&data.display().to_string()]);
    }
}

/// Where nothing can be made by anybody, root included.
#[test]
fn a_data_directory_that_cannot_be_written() {
    let said = run("--meters 10 --data-dir /proc/hurtig");
    one_line(&said, &["/proc/hurtig"]);
}

#[test]
fn a_source_that_is_not_there() {
    let dir = directory();
    let said = run(&format!("--source file:{0}/nothing --data-dir {0}/data", dir.path().display()));
    one_line(&said, &[&format!("{}/nothing", dir.path().display())]);
}

#[test]
fn options_that_do_not_exist_or_cannot_be() {
    let dir = directory();
    let data = dir.path().join("data");
    for (options, mentioned) in [
        ("--paralelism 2", "--parallelism"),
        ("--checkpoint-interval soon", "soon"),
        ("--late-share 2", "--late-share"),
    ] {
        let said = run(&format!("{options} --data-dir {}", data.display()));
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains(mentioned), "{said:?}");
    }
    assert!(!data.exists(), "nothing was begun");
}

fn run(options: &str) -> Said {
    let line = format!("run smart-meters --bounded --rest-port off {options}");
    program::run(words(&line)).expect("hurtig runs")
}

/// A failure, in one line that mentions all this.
fn one_line(said: &Said, mentioned: &[&str]) {
    assert!(said.code.is_some_and(|c| c != 0), "{said:?}");
    let errors: Vec<_> = said.err.lines().filter(|l| l.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "{said:?}");
    for words in mentioned {
        assert!(errors[0].contains(words), "'{words}' is not in: {}", errors[0]);
    }
}

/// The job of the full disk.
const FLEET: &str = "run smart-meters --bounded --meters 2000 --readings-per-meter 20 --parallelism 2 --rest-port off \
                     --checkpoint-interval 100ms --json --from latest --data-dir";

fn fleet(data: &Path) -> Command {
    let mut arguments = words(FLEET);
    arguments.push(data.display().to_string());
    program::command(arguments).expect("hurtig is there")
}

/// A disk on which nothing more can be written, as far as one can have that without being root: the
/// system refuses to make any file longer than a few KiB. It fills while the job runs, and has room
/// again later: the same process goes on.
#[test]
fn a_full_disk_is_said_and_nothing_that_was_committed_is_lost() {
    let dir = directory();
    let undisturbed = dir.path().join("undisturbed");
    let expected = program::finish(&mut fleet(&undisturbed)).expect("a run");
    assert_eq!(expected.code, Some(0), "{expected:?}");

    let data = dir.path().join("data");
    let mut command = fleet(&data);
    command.args(["--rate", "8000"]);
    let mut running = Running::start(&mut command);
    running.until("two checkpoints", || newest_checkpoint(&data).expect("checkpoints") >= 2);
    running.limit_files(Some(4 << 10));
    let committed = Visible::below(&data).expect("files");
    let said = running.until_said("File too large");
    assert!(said.contains(&data.display().to_string()), "where the disk is full: {said}");
    // It goes on trying.
    running.until_said("File too large");
    Visible::below(&data).expect("files").holds(&committed).expect("all that was committed is still there");

    running.limit_files(None);
    let end = running.end();
    assert_eq!(end.code, Some(0), "{end:?}");
    Visible::below(&data).expect("files").holds(&committed).expect("all that was committed is still there");
    let written = Written::below(&data).expect("what it wrote");
    let difference = written.difference(&Written::below(&undisturbed).expect("what it should write"));
    assert_eq!(difference, None);
    let finished = |said: &Said| said.event("finished").expect("a summary");
    let summary = |said: &Said| books(&finished(said)).expect("books");
    assert_eq!(summary(&end), summary(&expected));
    written.agrees_with(&summary(&end)).expect("as many rows as the books say");
    let (end, failed) = (finished(&end), |end: &serde_json::Value| end["checkpoints"]["failed"].as_u64());
    assert!(failed(&end).unwrap_or(0) + end["restarts"].as_u64().unwrap_or(0) > 0, "it was disturbed: {end}");
}
