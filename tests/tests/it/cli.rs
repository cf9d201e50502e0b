//! The command line, from outside: a job that runs, what can be asked of it, and how it ends.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use hurtig_tests::{
    chaos::life::newest_checkpoint,
    program::{command, query, run, run_well},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{directory, words};

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn help_and_version() {
    let help = run_well(["--help"]).expect("help").out;
    for word in ["run", "jobs", "checkpoints", "savepoint", "stop", "cancel", "query"] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
    assert!(run_well(["--version"]).expect("a version").out.starts_with("hurtig "));
    let run = run_well(["run", "smart-meters", "--help"]).expect("help").out;
    for option in
        ["--source", "--data-dir", "--parallelism", "--checkpoint-interval", "--from", "--bounded", "--config"]
    {
        assert!(run.contains(option), "{option} is not in:\n{run}");
    }
}

#[test]
fn explain_as_text_and_as_flink_s_plan() {
    let text = run_well(words("run smart-meters --explain")).expect("a drawing").out;
    for name in ["MapToTimestreamPayload", "OffsetFutureTimestreamPoints", "TimestreamSink<meters, readings>"] {
        assert!(text.contains(name), "{name} is not in:\n{text}");
    }
    let json = run_well(words("run smart-meters --explain=json --parallelism 3")).expect("a plan").out;
    let plan: Value = serde_json::from_str(&json).expect("JSON");
    let nodes = plan["nodes"].as_array().or_else(|| plan["plan"]["nodes"].as_array()).expect("nodes");
    assert!(nodes.iter().any(|n| n["parallelism"] == 3), "{json}");
}

#[test]
fn a_bounded_run_ends_with_books_that_balance() {
    let dir = directory();
    let line = "run smart-meters --bounded --meters 500 --readings-per-meter 8 --late-share 0.02 --null-share 0.02 \
                --corrupt-share 0.02 --future-share 0.02 --duplicate-share 0.02 --rest-port off --data-dir";
    let said = run_well(words(line).into_iter().chain([path(&dir)])).expect("it ends well");
    let books: Vec<_> = said.out.lines().filter_map(|l| l.strip_prefix("books ")).collect();
    for name in ["RawLake", "ReadingsLake", "TimestreamSink<meters, readings>", "aggregates_1m", "DeadLetters"] {
        let line = books.iter().find(|l| l.starts_with(&format!("{name}: ")));
        let line = line.unwrap_or_else(|| panic!("no books of {name} in:\n{}", said.out));
        let figures: Vec<u64> = line.rsplit(": ").next().expect("figures").split(' ').map(figure).collect();
        let [read, written, rejected, dead_lettered] = figures[..] else { panic!("{line}") };
        assert_eq!(read, written + rejected + dead_lettered, "{line}");
        assert!(read > 0, "{line}");
    }
    // What was wrong with readings, counted where it ended.
    let letters = query(dir.path(), "SELECT count(*) FROM dead_letters").expect("an answer");
    assert_ne!(letters, ["0"]);
}

fn figure(text: &str) -> u64 {
    text.split('=').next_back().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// A job in a process of its own, that is never left behind.
struct Running {
    child: Child,
    data: PathBuf,
    dir: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// A fleet without end.
    fn start() -> Self {
        let dir = directory();
        let data = dir.path().join("data");
        Running { child: spawn(&dir, &data, ""), data, dir }
    }

    /// It has ended; starts it again where it was.
    fn start_again(&mut self, more: &str) {
        self.child = spawn(&self.dir, &self.data, more);
    }

    /// Waits until `what` gives something.
    #[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
    fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Path) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look(&self.data) {
                return found;
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "waiting for {what}: it has ended with {ended:?}");
            assert!(start.elapsed() < PATIENCE, "waiting for {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn until_checkpoint(&mut self, id: u64) {
        self.until("a checkpoint", |data| (newest_checkpoint(data).ok()? >= id).then_some(()));
    }

    fn ask(&self, line: &str) -> String {
        let arguments = words(line).into_iter().chain(["--data-dir".into(), self.data.display().to_string()]);
        run_well(arguments).unwrap_or_else(|e| panic!("{line}: {e:#}")).out
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

fn spawn(dir: &TempDir, data: &Path, more: &str) -> Child {
    let line = "run smart-meters --meters 200 --rate 5000 --checkpoint-interval 100ms --rest-port 18081 --data-dir";
    let arguments = words(line).into_iter().chain([data.display().to_string()]).chain(words(more));
    let mut command = command(arguments).expect("hurtig is there");
    // The list of running jobs is this test's own.
    command.env("XDG_RUNTIME_DIR", dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("a run")
}

fn path(dir: &TempDir) -> String {
    dir.path().display().to_string()
}

fn line(text: &str) -> Value {
    serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn a_running_job_is_asked_and_stopped_and_goes_on_from_its_savepoint() {
    let mut job = Running::start();
    job.until("its address", |data| data.join("rest.json").exists().then_some(()));
    job.until_checkpoint(2);

    let listed = line(&job.ask("jobs --json"));
    assert_eq!((&listed["name"], &listed["state"]), (&"smart-meters".into(), &"RUNNING".into()));
    let checkpoints = job.ask("checkpoints smart-meters --json");
    assert!(checkpoints.lines().count() >= 2, "{checkpoints}");
    // What is committed can be asked for while the job runs.
    let committed = |data: &Path| query(data, "SELECT count(*) FROM readings").ok().filter(|n| n != &["0"]);
    job.until("committed readings", committed);

    let saved = line(&job.ask("savepoint smart-meters --json"));
    let stopped = line(&job.ask("stop smart-meters --json"));
    assert_eq!(job.code(), Some(0));
    let path = |answer: &Value| PathBuf::from(answer["savepoint"].as_str().expect("a path"));
    assert!(path(&saved).join("_metadata").exists(), "{saved}");
    let newest = newest_checkpoint(&job.data).expect("checkpoints");
    job.start_again(&format!("--parallelism 3 --from {}", path(&stopped).display()));
    job.until_checkpoint(newest + 1);
}

#[test]
fn the_first_signal_takes_a_last_checkpoint() {
    let mut job = Running::start();
    job.until_checkpoint(1);
    let pid = i32::try_from(job.child.id()).expect("a process id");
    // SAFETY: sends a signal to a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    assert_eq!(job.code(), Some(128 + libc::SIGTERM));
    let line = format!("checkpoints smart-meters --json --data-dir {}", job.data.display());
    let stored = run_well(words(&line)).expect("what is stored").out;
    assert!(stored.lines().count() >= 1, "{stored}");
}

#[test]
fn nobody_answers_for_a_job_that_does_not_run() {
    let dir = directory();
    for line in ["savepoint smart-meters", "stop smart-meters", "cancel smart-meters"] {
        let arguments = words(line).into_iter().chain(["--data-dir".into(), path(&dir)]);
        let said = run(arguments).expect("it runs");
        assert_eq!(said.code, Some(1), "{said:?}");
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
    }
}
