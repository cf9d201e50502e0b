//! The command line from outside, where the binary's own tests do not look: what it says of itself.

use hurtig_tests::program::run_well;
use serde_json::Value;

use crate::support::words;

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
