//! What cannot work is said in one line, before anything is lost.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

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
        written::{Written, books},
    },
    gated::{Gate, Gated},
    peer_gen::{PeerSource, Reading},
    program::{self, Said},
    stop::Stop,
};

use crate::support::{config, directory, lines_below, until_closed, words};

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
    let handle = LocalRunner::submit(job("sums", "sum", &gate), config(&dir.join("data"), BackendKind::RocksDb));
    let handle = handle.expect("the job starts");
    gate.let_through(5_000);
    until_closed(&handle, &gate);
    let path = handle.stop(Some(dir.join("saved").display().to_string()), false).expect("a savepoint");
    handle.wait().expect("it ends");
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
    let handle = LocalRunner::submit(job("sums", "total", &gate), allowed).expect("it may be dropped");
    let books = handle.wait().expect("it ends").status.books;
    assert_eq!(books.iter().find(|b| b.uid == "out").expect("its books").books.read, 10_000);
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
    let handle = LocalRunner::submit(job("sums", "sum", &gate), config(&data, BackendKind::RocksDb)).expect("a job");
    let said = run(&format!("--meters 10 --data-dir {}", data.display()));
    one_line(&said, &["in use", "--data-dir", &data.display().to_string()]);
    gate.open();
    handle.wait().expect("the first is not disturbed");
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

/// A child that is never left behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
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

/// From now on no file of this process or its children may be longer than this.
fn limit_files(command: &mut Command, bytes: u64) {
    let limit = move || {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: both calls are async-signal-safe, and `limit` is a valid `rlimit`.
        let done = unsafe {
            // An error of the write, not a signal, is what a full disk gives.
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit)
        };
        if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(limit) };
}

/// A disk on which nothing more can be written, as far as one can have that without being root: the
/// system refuses to make any file longer than a few KiB.
#[test]
fn a_full_disk_is_said_and_nothing_that_was_committed_is_lost() {
    let dir = directory();
    let undisturbed = dir.path().join("undisturbed");
    let expected: Said = fleet(&undisturbed).output().expect("a run").into();
    assert_eq!(expected.code, Some(0), "{expected:?}");

    // Some checkpoints, then it is killed.
    let data = dir.path().join("data");
    let mut command = fleet(&data);
    command.args(["--rate", "20000"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn().expect("a run"));
    while newest_checkpoint(&data).expect("checkpoints") < 2 {
        assert!(running.0.try_wait().expect("a child").is_none(), "it has ended too early");
        std::thread::yield_now();
    }
    drop(running);
    let committed = lines_below_but_pending(&data.join("lake/raw"));

    // The disk is full: it says so and tries again.
    let mut command = fleet(&data);
    limit_files(&mut command, 4 << 10);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().expect("a run"));
    let out = BufReader::new(running.0.stdout.take().expect("its output"));
    let said: Vec<_> = out.lines().map(|l| l.expect("a line")).take_while(|l| !l.contains("File too large")).collect();
    assert!(running.0.try_wait().expect("a child").is_none(), "it has given up: {said:?}");
    drop(running);

    // There is room again.
    let end: Said = fleet(&data).output().expect("a run").into();
    assert_eq!(end.code, Some(0), "{end:?}");
    let written = Written::below(&data).expect("what it wrote");
    let difference = written.difference(&Written::below(&undisturbed).expect("what it should write"));
    assert_eq!(difference, None);
    let summary = |said: &Said| books(&said.event("finished").expect("a summary")).expect("books");
    assert_eq!(summary(&end), summary(&expected));
    let mut all = lines_below(&data.join("lake/raw")).into_iter();
    assert!(committed.iter().all(|line| all.any(|l| l == *line)), "all that was committed is still there");
}

/// All lines of all visible files, while a killed job's pending ones are still there.
fn lines_below_but_pending(dir: &Path) -> Vec<String> {
    let files = crate::support::files_below(dir).into_iter().filter(|f| f.extension().is_none_or(|e| e != "pending"));
    let text = files.map(|f| std::fs::read_to_string(&f).unwrap_or_else(|e| panic!("{}: {e}", f.display())));
    let mut lines: Vec<_> = text.flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.sort_unstable();
    lines
}
