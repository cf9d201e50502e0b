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

    /// A fleet without end, as soon as this run of its job has committed something.
    fn start_fleet(&self, more: &str) -> Fleet {
        let line = format!(
            "run smart-meters --meters 50 --rate 500 --data-dir data --checkpoint-interval 200ms --rest-port 18081 {more}"
        );
        let data = self.dir.path().join("data");
        let before = visible_files(&data.join("lake/raw"));
        let child = self.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut fleet = Fleet { child: Some(child) };
        self.until("a commit", || {
            if let Ok(Some(_)) = fleet.child.as_mut().expect("it runs").try_wait() {
                let ran = fleet.end();
                panic!("the fleet has ended with {}: {}", ran.code, ran.err);
            }
            data.join("rest.json").exists() && visible_files(&data.join("lake/raw")) > before
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

/// How many files below `dir` are not pending.
fn visible_files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let visible = entries.filter(|e| !e.file_name().to_string_lossy().starts_with('.'));
    visible.map(|e| if e.path().is_dir() { visible_files(&e.path()) } else { 1 }).sum()
}

/// A running job, which does not outlive its test.
struct Fleet {
    child: Option<Child>,
}

impl Fleet {
    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        // The shell's own `kill`: the program is not on every machine.
        assert!(Command::new("sh").args(["-c", &format!("kill {signal} {pid}")]).status().expect("a shell").success());
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

    /// What a sink's books say was written.
    fn written(&self, name: &str) -> u64 {
        self.books().iter().find(|(sink, _)| *sink == name).map_or(0, |(_, [_, written, ..])| *written)
    }

    /// The one line that says what went wrong.
    fn error(&self) -> &str {
        let errors: Vec<_> = self.err.lines().filter_map(|l| l.strip_prefix("error: ")).collect();
        assert_eq!(errors.len(), 1, "{}", self.err);
        errors[0]
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
    std::fs::write(hurtig.dir.path().join("section.toml"), "[smart-meter]\nparallelism = 2").expect("a file");
    for (line, words) in [
        ("run smart-meters --source kinesis:meters --start-from committed", "has no groups"),
        ("run smart-meters --sink influx:http://127.0.0.1:8086", "?db=DATABASE"),
        ("run smart-meters --source nonsense", "is no source"),
        ("run smart-meters --parallelism 0", "parallelism 0"),
        ("run smart-meters --config job.toml", "'paralelism'"),
        ("run smart-meters --config section.toml", "there are smart-meters"),
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
        assert!(ran.error().contains(words), "{line}: {}", ran.err);
    }
}

#[test]
fn what_a_library_says_is_said_once_and_without_its_noise() {
    let hurtig = Hurtig::new();
    let dir = hurtig.dir.path();
    std::fs::create_dir(dir.join("data")).expect("a directory");
    let ask = |sql: &str| {
        let ran = Ran::of(hurtig.command("query --data-dir data").arg(sql).output().expect("it starts"));
        assert_eq!(ran.code, 1, "{sql}: {}", ran.out);
        ran.err
    };
    assert_eq!(ask("SELEC 1"), "error: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1\n");
    let unknown = ask("SELECT nothing FROM readings");
    assert_eq!(unknown.matches("nothing").count(), 1, "{unknown}");
    std::fs::write(dir.join("file"), "").expect("a file");
    let taken = hurtig.run("run smart-meters --bounded --meters 1 --data-dir data --checkpoint-dir file/below");
    assert_eq!((taken.code, taken.error().matches("os error").count()), (1, 1), "{}", taken.err);
}

#[test]
fn a_lake_that_cannot_be_written_is_said_before_anything_runs() {
    let hurtig = Hurtig::new();
    std::fs::write(hurtig.dir.path().join("file"), "").expect("a file");
    for option in ["--lake", "--dead-letters"] {
        let ran = hurtig.run(&format!("run smart-meters --meters 1 --data-dir data {option} file/below"));
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.error().starts_with(&format!("{option} file/below: ")), "{}", ran.err);
    }
    assert!(!hurtig.dir.path().join("data").exists(), "nothing was begun");
}

#[test]
fn the_properties_of_the_job_on_aws_are_taken_as_they_are() {
    let hurtig = Hurtig::new();
    let dir = hurtig.dir.path();
    let properties = r#"[
        {"PropertyGroupId": "kinesis.analytics.flink.run.options", "PropertyMap": {"python": "main.py"}},
        {"PropertyGroupId": "FlinkApplicationProperties", "PropertyMap": {
            "InputStreamName": "TimestreamTestStream", "Region": "eu-west-1", "TimestreamDbName": "kdaflink",
            "TimestreamTableName": "kinesisdata1", "TimestreamIngestBatchSize": "50", "SHARD_USE_ADAPTIVE_READS": "true"}}]"#;
    std::fs::write(dir.join("application_properties.json"), properties).expect("a file");
    let line = "run smart-meters --config application_properties.json --bounded --rest-port off";
    // InputStreamName is a Kinesis stream, which has no groups: that is said before anybody is asked for it.
    let ran = hurtig.run(&format!("{line} --start-from committed"));
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.error().contains("a Kinesis stream has no groups"), "{}", ran.err);

    let ran = hurtig.run(&format!("{line} --source generator --meters 20 --readings-per-meter 5 --data-dir data"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.written("TimestreamSink<kdaflink, kinesisdata1>") > 100, "{}", ran.out);
    let count = "SELECT count(*) FROM timeseries";
    let asked = "query --data-dir data --TimestreamDbName kdaflink --TimestreamTableName kinesisdata1 --format csv";
    let asked = Ran::of(hurtig.command(asked).arg(count).output().expect("it starts"));
    assert_eq!(asked.out.lines().nth(1), Some(&*ran.written("TimestreamSink<kdaflink, kinesisdata1>").to_string()));
    // The command line goes before the properties.
    let ran = hurtig.run(&format!("{line} --source generator --TimestreamTableName other --explain"));
    assert!(ran.out.contains("TimestreamSink<kdaflink, other>"), "{} {}", ran.out, ran.err);
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
    assert!(ran.written("ReadingsLake") > 9_000, "{}", ran.out);
    for (table, sink) in
        [("readings", "ReadingsLake"), ("dead_letters", "DeadLetters"), ("aggregates_1h", "aggregates_1h")]
    {
        let count = hurtig.query(&format!("SELECT count(*) AS n FROM {table}"));
        assert_eq!(count, format!("n\n{}\n", ran.written(sink)), "{table}");
    }
    assert!(ran.out.contains(": 10,000 records, "), "all of them, however short it was: {}", ran.out);
    assert!(ran.out.contains("per million readings") && ran.out.contains("WriteRecords"), "{}", ran.out);
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
    assert_eq!(last["records"], 25, "{last}");
    let cost = last["cost"].as_array().expect("quantities");
    let of =
        |service: &str| cost.iter().find(|q| q["service"] == service).unwrap_or_else(|| panic!("{service}: {last}"));
    assert!(of("Kinesis")["per_million"].is_number() && of("Athena")["per_query"].is_number(), "{last}");
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
    let mut by_variable = hurtig.command("checkpoints smart-meters --json");
    let by_variable = Ran::of(by_variable.env("HURTIG_DATA_DIR", "data").output().expect("it starts"));
    assert_eq!(by_variable.out, stored.out);
    let misspelt = hurtig.run("checkpoints smart-meter --data-dir data");
    assert_eq!(misspelt.code, 1);
    assert!(misspelt.error().ends_with("there are checkpoints of smart-meters"), "{}", misspelt.err);

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
    let before = first.written("RawLake");
    assert!(before > 0, "{}", first.out);
    let count = |ran: &Ran| format!("n\n{}\n", ran.written("ReadingsLake"));
    let in_the_lake = "SELECT count(*) AS n FROM readings";
    assert_eq!(hurtig.query(in_the_lake), count(&first), "what the books say can be read at once");

    let mut fleet = hurtig.start_fleet("--from latest");
    fleet.signal("-INT");
    let second = fleet.end();
    assert_eq!(second.code, 130, "{}", second.err);
    assert!(second.err.contains("restored   from checkpoint"), "{}", second.err);
    assert!(second.written("RawLake") >= before, "the books go on: {before}, {}", second.out);
    assert_eq!(hurtig.query(in_the_lake), count(&second));
}

#[test]
fn a_script_gets_the_result_as_the_last_line_whatever_ended_the_job() {
    let hurtig = Hurtig::new();
    let mut fleet = hurtig.start_fleet("--json");
    fleet.signal("-INT");
    let ran = fleet.end();
    assert_eq!(ran.code, 130, "{}", ran.err);
    let last = ran.json_lines().last().expect("a last line");
    assert_eq!((&last["event"], &last["state"]), (&"finished".into(), &"CANCELED".into()));
    assert_eq!(last["go_on"], "--from latest");
    assert!(last["records"].as_u64() > Some(0), "{last}");
}

#[test]
fn a_cancelled_job_ends_at_once_and_can_be_taken_up_again() {
    let hurtig = Hurtig::new();
    let mut fleet = hurtig.start_fleet("");
    let ran = hurtig.run("cancel smart-meters --json");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.json_lines().next().expect("an answer")["state"], "CANCELED");
    let ended = fleet.end();
    assert_eq!(ended.code, 130, "{}", ended.err);
    assert!(ended.out.contains("CANCELED") && ended.err.contains("--from latest"), "{} {}", ended.out, ended.err);
    assert!(hurtig.run("jobs").out.contains("no job is running"));

    let mut fleet = hurtig.start_fleet("--from latest");
    let ran = hurtig.run("stop smart-meters");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let ended = fleet.end();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("restored   from checkpoint"), "{}", ended.err);
    assert!(ended.written("RawLake") > 0, "{}", ended.out);
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

#[test]
fn a_job_that_is_busy_is_not_forgotten() {
    let hurtig = Hurtig::new();
    let mut fleet = hurtig.start_fleet("");
    fleet.signal("-STOP");
    let ran = hurtig.run("jobs --data-dir data");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("does not answer") && !ran.out.contains("no job"), "{} {}", ran.out, ran.err);
    fleet.signal("-CONT");
    let ran = hurtig.run("stop smart-meters");
    assert_eq!(ran.code, 0, "{}", ran.err);
    fleet.end();
}
