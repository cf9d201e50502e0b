//! The small form of `state_size`: 300,000 keys under one MiB, and what it must refuse.

use std::process::Command;

use hurtig_tests::program::{Said, finish};
use serde_json::Value;

use crate::support::{directory, words};

fn state_size(line: &str) -> Said {
    finish(Command::new(env!("CARGO_BIN_EXE_state_size")).args(words(line))).expect("it runs")
}

#[test]
fn state_ten_times_its_memory_is_kept_and_restored() {
    let said = state_size("--keys 300000 --updates 50000 --state-memory 1 --key text --json");
    assert_eq!(said.code, Some(0), "{said:?}");
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    assert!(report["times_budget"].as_f64() > Some(10.0), "{report}");
    assert!(report["peak_memory_bytes"].as_u64() < report["bound_bytes"].as_u64(), "{report}");
    assert!(report["restore_seconds"].as_f64() > Some(0.0), "{report}");
    for phase in [&report["phases"][0], &report["phases"][1]] {
        assert!(phase["checkpoint"]["full_bytes"].as_u64() > Some(0), "{report}");
    }
}

#[test]
fn less_state_than_that_or_too_much_memory_does_not_count() {
    let said = state_size("--keys 10000 --updates 1000 --state-memory 1 --beside 1");
    assert_eq!(said.code, Some(1), "{said:?}");
    for words in ["times its budget", "MiB were resident"] {
        assert!(said.err.contains(words), "'{words}' is not in {said:?}");
    }
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let dir = directory();
    let letters = dir.path().join("letters");
    std::fs::write(&letters, "dear").expect("a file");
    let said = state_size(&format!("--keys 1000 --data-dir {}", dir.path().display()));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("not empty"), "{said:?}");
    assert!(letters.exists());
}
