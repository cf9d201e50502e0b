//! The generator as a whole: the same again, and what it says it injected.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hurtig_engine::{
    source::{ReaderStatus, Source, SourceReader},
    time::{Clock, ManualClock},
};

use super::*;
use crate::connectors::testing::{Output, SourceHarness, enumerator_context};

fn config() -> GeneratorConfig {
    GeneratorConfig {
        meters: 1_003,
        interval: Duration::from_secs(60),
        count: Some(50_000),
        share_late: 0.02,
        share_duplicate: 0.03,
        share_null: 0.01,
        share_corrupt: 0.005,
        share_future: 0.004,
        ..GeneratorConfig::default()
    }
}

/// Events by index, read in polls of `size` with a new reader after each.
fn read(source: &GeneratorSource<Sent, impl EventMapper<Sent>>, size: usize) -> BTreeMap<u64, Sent> {
    let mut splits = source.splits();
    let mut all = BTreeMap::new();
    loop {
        let mut harness = SourceHarness::with_splits(source, splits).expect("started");
        let mut out = Output::default();
        let status = harness.reader.poll(size, &mut out).expect("read");
        for r in out.records {
            assert!(all.insert(r.position, (r.arrival, r.value.1, r.value.2)).is_none(), "twice");
        }
        for l in out.letters {
            assert!(all.insert(l.position, (l.arrival, None, l.raw)).is_none(), "twice");
        }
        splits = harness.snapshot().expect("snapshot");
        if status != ReaderStatus::MoreAvailable {
            return all;
        }
    }
}

/// Arrival, reading, corrupt bytes.
type Sent = (i64, Option<MeterReading>, Vec<u8>);

#[test]
fn the_same_again_wherever_it_is_cut() {
    let source = GeneratorSource::map(&config(), |e| (e.arrival, Some(e.reading), Vec::new())).expect("a source");
    let whole = read(&source, usize::MAX);
    assert_eq!(whole.keys().copied().collect::<Vec<_>>(), (0..50_000).collect::<Vec<u64>>());
    assert_eq!(read(&source, 777), whole);
    let fleet = source.fleet();
    for (i, (arrival, reading, raw)) in &whole {
        let event = fleet.event(*i);
        assert_eq!(event.arrival, *arrival);
        let mut line = Vec::new();
        fleet.write_line(&event, &mut line);
        match reading {
            Some(reading) => assert_eq!(event.reading, *reading),
            None => assert_eq!(&line, raw),
        }
        // No parser takes a corrupt line, and every other one says what the reading says.
        let parsed = serde_json::from_slice::<serde_json::Value>(&line);
        let by_sonic = sonic_rs::from_slice::<serde_json::Value>(&line);
        assert_eq!(parsed.is_err(), event.fault == Some(Fault::Corrupt), "{}", String::from_utf8_lossy(&line));
        assert_eq!(by_sonic.is_err(), parsed.is_err());
        if let Ok(json) = parsed {
            assert_eq!(json["meter_id"], event.reading.meter_id().as_str());
            assert_eq!(json["time"], event.reading.time);
            assert_eq!(json["region"], event.reading.region_name().as_str());
            assert_eq!(json["kwh_measure"].as_f64(), event.reading.kwh());
            assert_eq!(json["voltage_measure"], event.reading.voltage());
        }
    }
    let other = Fleet::new(&GeneratorConfig { seed: 43, ..config() }).expect("a fleet");
    assert_ne!(other.event(7).reading.wh, fleet.event(7).reading.wh);
}

/// Pinned: another machine, or another version, must make the same readings.
#[test]
fn the_same_for_ever() {
    let fleet = Fleet::new(&config()).expect("a fleet");
    let mut crc = flate2::Crc::new();
    let mut line = Vec::new();
    for i in 0..50_000 {
        line.clear();
        fleet.write_line(&fleet.event(i), &mut line);
        crc.update(&line);
    }
    assert_eq!(crc.sum(), 1_323_963_400, "the generator makes other readings than it did");
}

#[test]
fn shares_are_as_asked_for_and_exactly_as_counted() {
    let config = GeneratorConfig { count: Some(200_000), ..config() };
    let source = GeneratorSource::json_lines(&config).expect("a source");
    let fleet = source.fleet();
    let injected = fleet.injected(0..200_000);
    for (found, share) in [
        (injected.late, 0.02),
        (injected.duplicates, 0.03),
        (injected.nulls, 0.01),
        (injected.corrupt, 0.005),
        (injected.future, 0.004),
    ] {
        let share_found = found as f64 / 200_000.0;
        assert!((share_found - share).abs() < share * 0.15, "{share_found} for {share}");
    }

    // The books by what a reader sees.
    let mut seen = Injected::default();
    let mut harness = SourceHarness::with_splits(&source, source.splits()).expect("started");
    let out = harness.run().expect("read");
    assert!(out.letters.is_empty(), "raw lines keep the corrupt ones");
    let mut by_index: Vec<_> = out.records.iter().collect();
    by_index.sort_by_key(|r| r.position);
    for r in by_index {
        seen.events += 1;
        let event = fleet.event(r.position);
        if let Some(original) = event.repeats {
            seen.duplicates += 1;
            let mut line = Vec::new();
            fleet.write_line(&fleet.event(original), &mut line);
            assert_eq!(r.value.0, line, "a repeat is the same byte for byte");
            assert!(original < r.position && fleet.event(original).repeats.is_none());
        }
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(&r.value.0) else {
            seen.corrupt += 1;
            continue;
        };
        let time = json["time"].as_i64().expect("a time");
        let due = event.repeats.map_or(r.arrival, |o| fleet.event(o).arrival);
        if json["kwh_measure"].is_null() {
            seen.nulls += 1;
        }
        if time > due + 15 * 60_000 {
            seen.future += 1;
        }
        if time < due - 59_000 {
            seen.late += 1;
            assert!(due - time < 6 * 3_600_000 + 5_000);
        }
    }
    assert_eq!(seen, injected);
    let two = [fleet.injected(0..70_000), fleet.injected(70_000..200_000)];
    assert_eq!(two[0].late + two[1].late, injected.late);
}

#[test]
fn every_meter_sends_once_a_round_in_its_own_split() {
    let config = GeneratorConfig {
        meters: 1_000,
        count: None,
        duration: Some(Duration::from_secs(3 * 60)),
        interval: Duration::from_secs(60),
        ..GeneratorConfig::default()
    };
    let source = GeneratorSource::readings(&config).expect("a source");
    let mut harness = SourceHarness::with_splits(&source, source.splits()).expect("started");
    let out = harness.run().expect("read");
    assert_eq!((out.records.len(), out.finished.len()), (3_000, 16));
    let mut by_meter: BTreeMap<u32, Vec<(u32, i64)>> = BTreeMap::new();
    for r in &out.records {
        by_meter.entry(r.value.meter).or_default().push((r.split, r.value.time));
        assert!((200..2_300).contains(&(r.arrival - r.value.time)));
        assert!((config.start..config.start + 180_000).contains(&r.value.time));
    }
    assert_eq!(by_meter.len(), 1_000);
    for sent in by_meter.values() {
        assert_eq!(sent.len(), 3);
        assert!(sent.windows(2).all(|w| w[0].0 == w[1].0 && w[1].1 - w[0].1 == 60_000), "{sent:?}");
    }
    // Splits stay within a slice of each other.
    let mut highest = 0;
    for r in &out.records {
        highest = highest.max(r.position);
        assert!(highest - r.position <= 500 * 16);
    }
}

#[test]
fn few_meters_many_splits_and_ends() {
    for (meters, splits, count) in [(1, 16, 100), (3, 2, 7), (5, 16, 3), (16, 16, 0), (7, 3, 1_000)] {
        let config = GeneratorConfig { meters, splits, count: Some(count), ..GeneratorConfig::default().with_faults() };
        let source = GeneratorSource::json_lines(&config).expect("a source");
        let mut harness = SourceHarness::with_splits(&source, source.splits()).expect("started");
        let out = harness.run().expect("read");
        let mut positions: Vec<_> = out.records.iter().map(|r| r.position).collect();
        positions.sort_unstable();
        assert_eq!(positions, (0..count).collect::<Vec<_>>(), "{meters} meters");
        assert_eq!(out.finished.len(), meters.min(splits) as usize);
    }
}

#[test]
fn the_rate_follows_the_clock_and_changes_nothing_else() {
    let config = GeneratorConfig { rate: Some(1_000), ..config() };
    let source = GeneratorSource::readings(&config).expect("a source");
    let mut harness = SourceHarness::with_splits(&source, source.splits()).expect("started");
    let mut out = Output::default();
    let first = harness.reader.poll(10_000, &mut out).expect("polled");
    assert_eq!((first, out.len()), (ReaderStatus::NothingAvailable { until: Some(1) }, 0));
    let mut polls = 0;
    while harness.clock.now_ms() < 10_000 {
        polls += 1;
        match harness.reader.poll(10_000, &mut out).expect("polled") {
            ReaderStatus::NothingAvailable { until: Some(at) } => harness.clock.set(at),
            _ => assert!(out.len() as i64 <= harness.clock.now_ms(), "too fast"),
        }
    }
    assert!((9_990..=10_000).contains(&out.len()), "{}", out.len());
    assert!(polls <= 20_001);
    // After a long pause it does not try to make up for all of it.
    harness.clock.advance(60_000);
    let before = out.len();
    while harness.reader.poll(10_000, &mut out).expect("polled") == ReaderStatus::MoreAvailable {}
    assert!((900..=1_100).contains(&(out.len() - before)), "{}", out.len() - before);

    // Half of the splits get half of the rate.
    let half = source.splits().into_iter().take(8).collect();
    let mut harness = SourceHarness::with_splits(&source, half).expect("started");
    let mut out = Output::default();
    let _ = harness.reader.poll(10_000, &mut out).expect("polled");
    harness.clock.set(1_000);
    while harness.reader.poll(10_000, &mut out).expect("polled") == ReaderStatus::MoreAvailable {}
    assert_eq!(out.len(), 500);
    let fleet = source.fleet();
    assert!(out.records.iter().all(|r| fleet.event(r.position).arrival == r.arrival));
}

#[test]
fn wrong_settings_are_said() {
    for (wrong, word) in [
        (GeneratorConfig { meters: 0, ..config() }, "at least 1"),
        (GeneratorConfig { interval: Duration::ZERO, ..config() }, "interval"),
        (GeneratorConfig { rate: Some(0), ..config() }, "rate"),
        (GeneratorConfig { share_late: 0.9, share_null: 0.2, ..config() }, "at most 1 together"),
        (GeneratorConfig { late_by: Duration::ZERO, ..config() }, "late_by"),
        (GeneratorConfig { start: i64::MAX, ..config() }, "start"),
    ] {
        let e = Fleet::new(&wrong).expect_err("an error").to_string();
        assert!(e.contains(word) && !e.contains('\n'), "{e}");
    }
    let sixteen = GeneratorSource::readings(&config()).expect("a source");
    let state = sixteen
        .enumerator(enumerator_context(1, Arc::new(ManualClock::new(0))), None)
        .expect("an enumerator")
        .snapshot()
        .expect("bytes");
    for (other, words) in [
        (GeneratorConfig { splits: 8, ..config() }, "splits=16, now it is 8"),
        (GeneratorConfig { seed: 7, ..config() }, "seed=42, now it is 7"),
        (GeneratorConfig { meters: 1_004, ..config() }, "meters=1003, now it is 1004"),
        (GeneratorConfig { interval: Duration::from_secs(61), ..config() }, "interval=60s, now it is 61s"),
        (GeneratorConfig { start: 0, ..config() }, "start=1704067200000, now it is 0"),
        (GeneratorConfig { regions: 1, ..config() }, "regions=100, now it is 1"),
        (GeneratorConfig { share_late: 0.0, ..config() }, "share_late=0.02, now it is 0"),
        (GeneratorConfig { late_by: Duration::from_secs(60), ..config() }, "late_by=21600s, now it is 60s"),
        (GeneratorConfig { share_duplicate: 0.0, ..config() }, "share_duplicate=0.03, now it is 0"),
        (GeneratorConfig { share_null: 0.0, ..config() }, "share_null=0.01, now it is 0"),
        (GeneratorConfig { share_corrupt: 0.0, ..config() }, "share_corrupt=0.005, now it is 0"),
        (GeneratorConfig { share_future: 0.0, ..config() }, "share_future=0.004, now it is 0"),
    ] {
        let source = GeneratorSource::readings(&other).expect("a source");
        let e = source
            .enumerator(enumerator_context(1, Arc::new(ManualClock::new(0))), Some(state.clone()))
            .err()
            .expect("an error")
            .to_string();
        assert!(e.contains(words) && !e.contains('\n'), "{e}");
    }
    // The fleet is the same, however much of it is wanted and however fast.
    let more = GeneratorConfig { count: None, duration: Some(Duration::from_secs(9)), rate: Some(5), ..config() };
    GeneratorSource::readings(&more)
        .expect("a source")
        .enumerator(enumerator_context(1, Arc::new(ManualClock::new(0))), Some(state))
        .expect("goes on");
}

#[test]
fn raw_lines_survive_both_forms() {
    for bytes in [&b"{\"a\":1}"[..], &[0xff, 0x00][..], b""] {
        let line = JsonLine(bytes.to_vec());
        let compact = hurtig_engine::error::to_bytes("a line", &line).expect("bytes");
        assert_eq!(hurtig_engine::error::from_bytes::<JsonLine>("a line", &compact).expect("back"), line);
        let json = serde_json::to_vec(&line).expect("json");
        assert_eq!(serde_json::from_slice::<JsonLine>(&json).expect("back"), line);
    }
}
