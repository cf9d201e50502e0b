//! The binary as its users have it: options, output, exit codes, and talking to running jobs.
#![cfg(all(feature = "cli", feature = "sql"))]

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// The binary in a directory of its own, away from this user's jobs and variables.
struct Hurtig {
    dir: TempDir,
}

impl Hurtig {
    fn new() -> Self {
        Hurtig { dir: tempfile::tempdir().expect("a directory") }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hurtig"));
        command.args(line.split_whitespace()).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HURTIG_")) {
            command.env_remove(name);
        }
        command.env("XDG_RUNTIME_DIR", self.dir.path().join("runtime"));
        command
    }

    fn run(&self, line: &str) -> Ran {
        Ran::of(self.command(line).output().expect("it starts"))
    }

    fn query(&self, sql: &str) -> String {
        let output = self.command("query --data-dir data --format csv").arg(sql).output().expect("it starts");
        let ran = Ran::of(output);
        assert_eq!(ran.code, 0, "{sql}: {}", ran.err);
        ran.out
    }

    /// A fleet without end, as soon as its job has a completed checkpoint.
    fn start_fleet(&self, more: &str) -> Fleet {
        let line = format!(
            "run smart-meters --meters 50 --rate 500 --data-dir data --checkpoint-interval 200ms --rest-port 18081 {more}"
        );
        let child = self.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut fleet = Fleet { child: Some(child) };
        self.until("a checkpoint", || {
            if let Ok(Some(_)) = fleet.child.as_mut().expect("it runs").try_wait() {
                let ran = fleet.end();
                panic!("the fleet has ended with {}: {}", ran.code, ran.err);
            }
            self.run("checkpoints smart-meters --json --data-dir data").json_lines().any(|c| c["status"] == "COMPLETED")
        });
        fleet
    }

    fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..300 {
            if done() {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("half a minute without {what}");
    }
}

/// A running job, which does not outlive its test.
struct Fleet {
    child: Option<Child>,
}

impl Fleet {
    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    }

    fn end(&mut self) -> Ran {
        Ran::of(self.child.take().expect("it runs").wait_with_output().expect("it ends"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    fn json_lines(&self) -> impl Iterator<Item = Value> {
        self.out.lines().filter_map(|line| serde_json::from_str(line).ok())
    }

    /// The books by sink: read, written, rejected, dead-lettered.
    fn books(&self) -> Vec<(&str, [u64; 4])> {
        self.out.lines().filter_map(|line| line.strip_prefix("books ")).map(books_of).collect()
    }
}

fn books_of(line: &str) -> (&str, [u64; 4]) {
    let (sink, counts) = line.rsplit_once(": ").expect("a sink");
    let names = ["read=", "written=", "rejected=", "dead_lettered="];
    let parts: Vec<&str> = counts.split(' ').collect();
    assert_eq!(parts.len(), 4, "{line}");
    let mut values = [0; 4];
    for ((value, name), part) in values.iter_mut().zip(names).zip(parts) {
        *value = part.strip_prefix(name).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{name} in {line}"));
    }
    (sink, values)
}

#[test]
fn usage_errors_are_one_line_and_code_2() {
    let hurtig = Hurtig::new();
    std::fs::write(hurtig.dir.path().join("job.toml"), "paralelism = 2").expect("a file");
    for (line, words) in [
        ("run smart-meters --source kinesis:meters", "no Kinesis source yet"),
        ("run smart-meters --sink timestream:a/b", "no Timestream sink yet"),
        ("run smart-meters --source nonsense", "is no source"),
        ("run smart-meters --parallelism 0", "parallelism 0"),
        ("run smart-meters --config job.toml", "'paralelism'"),
        ("run smart-meters --config missing.toml", "cannot be read"),
        ("run smart-meters --checkpoint-interval often", "'often' is no duration"),
        ("nothing", "unrecognized subcommand"),
    ] {
        let ran = hurtig.run(line);
        assert_eq!(ran.code, 2, "{line}: {}", ran.err);
        assert!(ran.err.contains(words) && ran.err.starts_with("error: "), "{line}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{line}: {}", ran.err);
    }
    assert!(!hurtig.dir.path().join("hurtig-data").exists(), "nothing was begun");
}

#[test]
fn failures_are_one_line_and_code_1() {
    let hurtig = Hurtig::new();
    for (line, words) in [
        ("run smart-meters --source file:missing --bounded", "missing"),
        ("run smart-meters --from nowhere --bounded", "nowhere"),
        ("query --data-dir none SELECT", "no data directory"),
        ("cancel smart-meters", "no job is running"),
        ("jobs --rest http://127.0.0.1:1", "does not answer"),
    ] {
        let ran = hurtig.run(line);
        assert_eq!(ran.code, 1, "{line}: {} {}", ran.out, ran.err);
        let errors: Vec<_> = ran.err.lines().filter(|l| l.starts_with("error: ")).collect();
        assert!(matches!(errors.as_slice(), [e] if e.contains(words)), "{line}: {}", ran.err);
    }
}

#[test]
fn explain_runs_nothing_and_variables_count() {
    let hurtig = Hurtig::new();
    let mut command = hurtig.command("run smart-meters --explain");
    let ran = Ran::of(command.env("HURTIG_PARALLELISM", "3").output().expect("it starts"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("Source: readings") && ran.out.contains("parallelism 3"), "{}", ran.out);
    let ran = hurtig.run("run smart-meters --explain=json --parallelism 2");
    let plan: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(plan["nodes"][0]["optimizer_properties"], serde_json::json!({}));
    assert!(!hurtig.dir.path().join("hurtig-data").exists());
}

#[test]
fn a_bounded_run_ends_by_itself_with_books_that_balance() {
    let hurtig = Hurtig::new();
    let ran =
        hurtig.run("run smart-meters --meters 200 --readings-per-meter 50 --bounded --data-dir data --rest-port 18181");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("http://127.0.0.1:18") && ran.err.contains("starting fresh"), "{}", ran.err);
    let books = ran.books();
    assert!(books.len() >= 6, "{}", ran.out);
    for (sink, [read, written, rejected, dead_lettered]) in &books {
        assert_eq!(*read, written + rejected + dead_lettered, "{sink}");
    }
    let written = |name: &str| books.iter().find(|(sink, _)| *sink == name).map_or(0, |(_, [_, written, ..])| *written);
    assert!(written("ReadingsLake") > 9_000, "{}", ran.out);
    assert_eq!(hurtig.query("SELECT count(*) AS n FROM readings"), format!("n\n{}\n", written("ReadingsLake")));
    assert_eq!(hurtig.query("SELECT count(*) AS n FROM dead_letters"), format!("n\n{}\n", written("DeadLetters")));
    assert_eq!(hurtig.query("SELECT count(*) AS n FROM aggregates_1h"), format!("n\n{}\n", written("aggregates_1h")));
    assert!(!hurtig.dir.path().join("data/rest.json").exists(), "it is over");

    // The whole of it again as a script would have it, beside what is there already.
    let ran = hurtig
        .run("run smart-meters --meters 5 --readings-per-meter 5 --bounded --data-dir data --rest-port off --json");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let events: Vec<Value> = ran.json_lines().collect();
    assert_eq!(events.len(), ran.out.lines().count(), "every line is JSON: {}", ran.out);
    assert!(events.iter().any(|e| e["event"] == "warning"), "there is a checkpoint: {}", ran.out);
    let last = events.last().expect("a last line");
    assert_eq!((&last["event"], &last["state"]), (&"finished".into(), &"FINISHED".into()));
    assert!(last["books"].as_array().is_some_and(|books| books.len() >= 6), "{last}");
}

#[test]
fn a_running_job_is_found_asked_and_stopped() {
    let hurtig = Hurtig::new();
    let mut fleet = hurtig.start_fleet("");
    let jobs: Vec<Value> = hurtig.run("jobs --json").json_lines().collect();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!((&jobs[0]["name"], &jobs[0]["state"]), (&"smart-meters".into(), &"RUNNING".into()));
    let id = jobs[0]["id"].as_str().expect("an id").to_owned();
    assert!(hurtig.run("jobs").out.contains(&id));

    let second = hurtig.run("run smart-meters --bounded --data-dir data");
    assert_eq!(second.code, 1);
    assert!(second.err.contains("in use"), "{}", second.err);

    let ran = hurtig.run(&format!("savepoint {} saved --json", &id[..6]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let savepoint = ran.json_lines().next().expect("an answer")["savepoint"].as_str().expect("a path").to_owned();
    assert!(Path::new(&savepoint).starts_with(hurtig.dir.path().join("saved")), "{savepoint}");
    assert!(Path::new(&savepoint).join("_metadata").exists(), "{savepoint}");

    let ran = hurtig.run("stop smart-meters --drain");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("stopped with savepoint"), "{}", ran.out);
    let fleet = fleet.end();
    assert_eq!(fleet.code, 0, "{}", fleet.err);
    assert!(fleet.out.contains("FINISHED"), "{}", fleet.out);
    assert!(hurtig.run("jobs").out.contains("no job is running"));
    // What is stored can be listed without anybody to ask.
    let stored = hurtig.run("checkpoints smart-meters --data-dir data --json");
    assert!(stored.json_lines().count() > 0, "{} {}", stored.out, stored.err);

    let ran = hurtig.run(&format!(
        "run smart-meters --meters 50 --bounded --duration 30m --data-dir other --from {savepoint} --parallelism 1"
    ));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("from checkpoint"), "{}", ran.err);
}

#[test]
fn sigterm_takes_a_last_checkpoint_and_latest_goes_on() {
    let hurtig = Hurtig::new();
    let mut fleet = hurtig.start_fleet("");
    fleet.signal("-TERM");
    let first = fleet.end();
    assert_eq!(first.code, 143, "{}", first.err);
    assert!(first.out.contains("CANCELED") && first.err.contains("--from latest"), "{} {}", first.out, first.err);
    let read = |ran: &Ran| ran.books().iter().find(|(sink, _)| *sink == "RawLake").map_or(0, |(_, [read, ..])| *read);
    let before = read(&first);
    assert!(before > 0, "{}", first.out);

    let mut fleet = hurtig.start_fleet("--from latest");
    fleet.signal("-INT");
    let second = fleet.end();
    assert_eq!(second.code, 130, "{}", second.err);
    assert!(second.err.contains("restored   from checkpoint"), "{}", second.err);
    assert!(read(&second) >= before, "the books go on: {before}, {}", second.out);
    assert_eq!(hurtig.query("SELECT count(*) > 0 AS some FROM readings"), "some\ntrue\n");
}

#[test]
fn a_killed_job_is_not_listed() {
    let hurtig = Hurtig::new();
    let mut fleet = hurtig.start_fleet("");
    fleet.signal("-KILL");
    fleet.end();
    assert!(hurtig.dir.path().join("data/rest.json").exists(), "it could not clean up");
    assert!(hurtig.run("jobs").out.contains("no job is running"));
    assert!(hurtig.run("jobs --data-dir data").out.contains("no job is running"));
    assert!(!hurtig.dir.path().join("data/rest.json").exists(), "whoever asked has cleaned up");
}
