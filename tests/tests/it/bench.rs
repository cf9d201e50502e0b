//! The benchmarks themselves: what they count over a small input is what a plain computation over
//! the same readings finds, on both back ends, once and repeated.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    process::Command,
};

use compact_str::format_compact;
use hurtig_tests::{
    bench::windows::{Window, Windows},
    peer_gen::{SPLITS, reading, write_line},
    program::{Said, finish},
};
use serde_json::Value;

use crate::support::{directory, words};

const READINGS: u64 = 200_000;
const METERS: u64 = 5_000;
const MINUTE: i64 = 60_000;

fn write_input(dir: &Path) {
    for split in 0..SPLITS {
        let mut lines = Vec::new();
        (split..READINGS).step_by(SPLITS as usize).for_each(|i| write_line(&mut lines, &reading(i, METERS)));
        std::fs::write(dir.join(format!("part-{split}.json")), lines).expect("a file");
    }
}

fn bench(input: &Path, line: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(words(line)).arg("--input").arg(input).arg("--json");
    finish(&mut command).expect("it runs")
}

fn report(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
}

/// What is right over so many rounds.
struct Expected {
    repeats: u64,
    windows: Windows,
}

/// Whole numbers all the way, and nothing of hurtig but the readings.
fn expected(rounds: u64) -> Expected {
    let mut seen = HashSet::new();
    let mut windows: BTreeMap<(u32, i64), (u64, u64, u32)> = BTreeMap::new();
    let mut repeats = 0;
    for round in 0..rounds {
        for i in 0..READINGS {
            let r = reading(i, METERS);
            let ts = r.ts + (round * READINGS / 10) as i64;
            repeats += u64::from(!seen.insert((r.meter, ts)));
            let (watt_hours, count, voltage) = windows.entry((r.meter, ts - ts.rem_euclid(MINUTE))).or_default();
            *watt_hours += u64::from(r.kwh_milli);
            *count += 1;
            *voltage = r.voltage_deci.max(*voltage);
        }
    }
    let windows = windows.into_iter().map(|((meter, window_start), (watt_hours, count, voltage))| Window {
        meter_id: format_compact!("m-{meter:07}"),
        window_start,
        count,
        max_voltage: f64::from(voltage) / 10.0,
        sum_kwh: watt_hours as f64 / 1000.0,
    });
    Expected { repeats, windows: Windows::of(windows) }
}

#[test]
fn every_job_counts_what_is_there() {
    let dir = directory();
    write_input(dir.path());
    for rounds in [1, 2] {
        let Expected { repeats, windows } = expected(rounds);
        let read = rounds * READINGS;
        for backend in ["rocksdb", "heap"] {
            for (job, answers) in [
                ("passthrough", vec![("readings", read)]),
                ("talk", vec![("readings", read)]),
                ("tumble", vec![("windows", windows.windows), ("readings", read), ("late", 0)]),
                ("generator_tumble", vec![("windows", windows.windows), ("readings", read), ("late", 0)]),
                ("dedup", vec![("first", read - repeats), ("repeats", repeats)]),
            ] {
                let line = format!(
                    "{job} --backend {backend} --rounds {rounds} --readings {READINGS} --meters {METERS} \
                     --state-memory 4 --checkpoint-interval 200ms"
                );
                let said = bench(dir.path(), &line);
                assert_eq!(said.code, Some(0), "{line}: {said:?}");
                let report = report(&said);
                for (name, right) in answers {
                    assert_eq!(report["answers"][name], right, "{line}: {name} in {report}");
                }
                let check = (job == "tumble").then(|| windows.to_string());
                assert_eq!(report["check"].as_str(), check.as_deref(), "{line}");
            }
        }
    }
}

#[test]
fn steady_state_has_checkpoints_while_it_lasts() {
    let dir = directory();
    write_input(dir.path());
    let said = bench(dir.path(), "dedup --seconds 4 --checkpoint-interval 200ms --state-memory 1");
    assert_eq!(said.code, Some(0), "{said:?}");
    let long = report(&said);
    let checkpoints = long["checkpoints"].as_array().expect("checkpoints");
    let (last, periodic) = checkpoints.split_last().expect("some");
    assert!(periodic.len() >= 3 && periodic.iter().all(|c| c["periodic"] == true), "{long}");
    assert_eq!(last["periodic"], false, "{long}");
    assert!(long["state"]["flushes"].as_u64() > Some(0) && long["state"]["compactions"].as_u64() > Some(0), "{long}");
    assert!(long["remarks"][0].as_str().is_some_and(|r| r.contains("s of steady state")), "{long}");

    let said = bench(dir.path(), "passthrough --seconds 1 --checkpoint-interval off");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("0 periodic checkpoints were completed"), "{said:?}");
}
