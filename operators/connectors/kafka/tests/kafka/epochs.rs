//! What an epoch is stored as, what says that it is published, and what keeps it small.

use hurtig_kafka::{Chunk, ChunkHeader, EpochPace, Published, StoredRecord};
use proptest::prelude::*;

fn header(attempt: &str, subtask: u32, epoch: u64) -> ChunkHeader {
    ChunkHeader { attempt: attempt.into(), subtask, epoch, part: 0, records: 0, raw_bytes: 0 }
}

type Owned = (String, Option<i32>, Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn any_record() -> impl Strategy<Value = Owned> {
    let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    (
        "[a-z]{1,9}",
        prop::option::of(0..i32::MAX),
        prop::option::of(0..i64::MAX),
        bytes(),
        bytes(),
        prop::collection::vec(("[a-zü]{0,5}", bytes()), 0..4),
    )
}

fn borrowed(r: &Owned) -> StoredRecord<'_> {
    StoredRecord {
        topic: &r.0,
        partition: r.1,
        timestamp: r.2,
        key: r.3.as_deref(),
        value: r.4.as_deref(),
        headers: r.5.iter().map(|(n, v)| (n.as_str(), v.as_deref())).collect(),
    }
}

proptest! {
    #[test]
    fn records_come_back_as_they_were(records in prop::collection::vec(any_record(), 0..30)) {
        let mut bytes = Vec::new();
        for r in &records {
            borrowed(r).encode(&mut bytes);
        }
        let mut rest = bytes.as_slice();
        for r in &records {
            prop_assert_eq!(StoredRecord::decode(&mut rest).expect("a record"), Some(borrowed(r)));
        }
        prop_assert_eq!(StoredRecord::decode(&mut rest).expect("the end"), None);
    }

    /// Never a panic, never a record out of nothing.
    #[test]
    fn broken_bytes_are_an_error(record in any_record(), cut in 1..1000usize, junk in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut bytes = Vec::new();
        borrowed(&record).encode(&mut bytes);
        let mut cut = &bytes[..cut % bytes.len()];
        if !cut.is_empty() {
            prop_assert!(StoredRecord::decode(&mut cut).is_err());
        }
        let mut junk = junk.as_slice();
        while let Ok(Some(_)) = StoredRecord::decode(&mut junk) {}
        let mut chunk = vec![1];
        chunk.extend(junk);
        if let Ok((header, chunk)) = Chunk::open(&chunk) {
            let _ = chunk.unpack(&ChunkHeader { raw_bytes: header.raw_bytes.min(1 << 20), ..header });
        }
    }

    /// An epoch is published exactly if it, or a later one of the same writer, was added.
    #[test]
    fn what_is_published_is_known(added in prop::collection::vec((0..3u32, 0..4u32, 1..6u64), 0..20)) {
        let name = |attempt: u32, subtask: u32| format!("abcg1a{attempt}s{subtask}");
        let mut published = Published::default();
        for (attempt, subtask, epoch) in &added {
            published.add(&header(&name(*attempt, *subtask), *subtask, *epoch));
        }
        let published = Published::from_json(&published.to_json().expect("json")).expect("a token");
        for attempt in 0..3 {
            for subtask in 0..4 {
                let last = added.iter().filter(|(a, s, _)| (*a, *s) == (attempt, subtask)).map(|(_, _, e)| *e).max();
                for epoch in 1..7 {
                    let is = published.contains(&header(&name(attempt, subtask), subtask, epoch));
                    prop_assert_eq!(is, last.is_some_and(|l| epoch <= l), "{} {} {}", attempt, subtask, epoch);
                }
            }
        }
    }

    /// However fast records come, and however long the checkpoint takes: an epoch stays near its bound, and never
    /// stands still for good.
    #[test]
    fn an_epoch_is_slowed_down_and_never_stopped(per_ms in 1..5_000u64, minutes in 1..20i64) {
        let limit = 1_000_000u64;
        let mut pace = EpochPace::new(limit);
        let (mut used, mut last) = (0, 0);
        for now in 0..minutes * 60_000 {
            if pace.allows(used, 0, now) {
                used += per_ms;
                last = now;
            }
        }
        let end = minutes * 60_000;
        prop_assert!(used <= limit + limit * minutes as u64 * 60 / 1000 + per_ms, "{}", used);
        prop_assert!(end - last <= 10_000, "nothing for {} ms", end - last);
        pace.restart();
        prop_assert!(pace.allows(0, 0, end));
    }
}

#[test]
fn half_of_an_epoch_is_free() {
    let mut pace = EpochPace::new(1000);
    assert!((0..500).all(|used| pace.allows(used, 0, 7)));
    assert!(!pace.allows(500, 0, 7), "at once");
    assert!(pace.allows(500, 0, 7 + 200), "later");
}

/// Checkpoint after checkpoint is given up: what they leave behind counts, so that all of it stays near the bound too.
#[test]
fn what_was_given_up_is_taken_off_the_bound() {
    let limit = 1_000_000u64;
    let mut pace = EpochPace::new(limit);
    let mut given_up = 0;
    for epoch in 0..20 {
        pace.restart();
        let (mut used, mut last) = (0, 0);
        for now in 0..10_000 {
            if pace.allows(used, given_up, now) {
                used += 1000;
                last = now;
            }
        }
        assert!(last > 5_000, "nothing after {last} ms of epoch {epoch}");
        given_up += used;
    }
    // The bound, and a thousandth of it a second.
    assert!(given_up <= limit + limit / 1000 * 200 + 20 * 1000, "{given_up}");
    pace.restart();
    assert!((0..500_000).step_by(1000).all(|used| pace.allows(used, 0, 0)), "once it is published half is free again");
}

#[test]
fn the_token_does_not_grow_for_ever() {
    let mut published = Published::default();
    for attempt in 0..1000 {
        for subtask in 0..128 {
            published.add(&header(&format!("0123abcdg{attempt}a1s{subtask}"), subtask, 1_000_000));
        }
    }
    let json = published.to_json().expect("json");
    assert!(json.len() < 128 << 10, "{} bytes", json.len());
    assert!(published.contains(&header("0123abcdg999a1s127", 127, 1_000_000)));
    assert!(!published.contains(&header("0123abcdg1a1s127", 127, 1_000_000)));
}

#[test]
fn a_chunk_of_a_newer_version_is_refused() {
    let e = Chunk::open(&[9, 0, 0, 0, 0]).expect_err("newer").to_string();
    assert!(e.contains("version is 9"), "{e}");
    Chunk::open(&[]).expect_err("empty");
}
