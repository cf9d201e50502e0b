//! Files: exactly once over restarts, rolled by size and time, plain and gzip.

use std::{fs, time::Duration};

use hurtig_engine::{
    record::Record,
    sink::{Sink, SinkWriter},
};
use hurtig_firehose::{FirehoseConfig, FirehoseSink};
use hurtig_operators::connectors::{
    part_files::PendingFile,
    testing::{SinkHarness, committer_context},
};

use crate::{NEWLINE, bytes, content, pending, query, start, visible, with_processors};

/// By the record's number modulo 10, and what is not a number is an error.
fn by_digit() -> FirehoseConfig {
    with_processors(
        "digit=!{partitionKeyFromQuery:d}/",
        &[("MetadataExtraction", &query("{d:(. % 10 | tostring)}")), NEWLINE],
    )
}

fn number(n: u64) -> Record<Vec<u8>> {
    let text = if n % 50 == 49 { format!("\"{n}\"") } else { n.to_string() };
    Record::new(text.into_bytes())
}

/// All numbers, good and bad, that can be seen.
fn seen(dir: &std::path::Path) -> Vec<u64> {
    let mut seen = Vec::new();
    for (path, text) in content(dir) {
        if path.starts_with("errors") {
            let raw = crate::error_records(&text).into_iter().map(|e| e.raw().expect("base64"));
            seen.extend(raw.map(|r| String::from_utf8(r).expect("text").trim_matches('"').parse::<u64>().expect("n")));
        } else {
            seen.extend(text.lines().map(|l| l.parse::<u64>().expect("a number")));
        }
    }
    seen.sort_unstable();
    seen
}

#[test]
fn exactly_once_over_restarts() {
    let dir = tempfile::tempdir().expect("dir");
    let config = by_digit();
    let mut checkpointed = 0; // where the source goes on
    let mut generation = 0;
    let mut held: Vec<Vec<u8>> = Vec::new();
    // Each attempt ends in another way.
    for ending in ["after a commit", "between flush and commit", "in mid-stream", "between flush and commit", "done"] {
        generation += 1;
        let mut harness = start(dir.path(), &config, &generation.to_string());
        let committer = harness.committer.as_mut().expect("a committer");
        committer.commit(&held).expect("committed");
        committer.remove_orphans().expect("removed");
        held.clear();
        assert_eq!(seen(dir.path()), (0..checkpointed).collect::<Vec<_>>());
        assert!(pending(dir.path()).is_empty(), "{:?}", pending(dir.path()));

        for n in checkpointed..checkpointed + 300 {
            harness.write(number(n)).expect("written");
        }
        assert_eq!(seen(dir.path()).len() as u64, checkpointed, "nothing is visible before its checkpoint");
        match ending {
            "in mid-stream" => drop(harness),
            "between flush and commit" => {
                // What the checkpoint holds is stored; then the process dies.
                held = harness.flush().expect("flushed");
                checkpointed += 300;
                assert!(harness.books.balance());
                assert!(!pending(dir.path()).is_empty());
            }
            _ => {
                harness.checkpoint().expect("committed");
                checkpointed += 300;
                assert_eq!((harness.books.read, harness.books.rejected), (300, 6));
                assert!(harness.books.balance());
            }
        }
    }
    assert_eq!(seen(dir.path()), (0..1_200).collect::<Vec<_>>());
    // What no checkpoint knows is removed by the sink's own uid, and by no other.
    let sink = FirehoseSink::<Vec<u8>>::new(dir.path(), config);
    let mut other = SinkHarness::start_subtask(&sink, "other", 0, "1").expect("started");
    other.write(number(1)).expect("written");
    let theirs = other.flush().expect("flushed");
    sink.committer(committer_context("sink")).expect("made").expect("a committer").remove_orphans().expect("removed");
    other.commit(&theirs).expect("committed");
    assert_eq!(seen(dir.path()).len(), 1_201);
}

#[test]
fn lines_are_as_received() {
    let dir = tempfile::tempdir().expect("dir");
    let lines: [&[u8]; 5] = [b"{ \"a\" : 1.50 }", b"not JSON", b"", b"two\nlines\n", b"\xff\xfe"];
    let mut plain = FirehoseConfig::from_json(r#"{"Prefix":"plain/"}"#).expect("a configuration");
    for (delimiter, expected) in [
        (b"".as_slice(), lines.concat()),
        (b"\n".as_slice(), lines.map(|l| [l, b"\n"].concat()).concat()),
        (b"\r\n".as_slice(), lines.map(|l| [l, b"\r\n"].concat()).concat()),
    ] {
        // Without a processor there is nothing between records, as in Firehose.
        if !delimiter.is_empty() {
            plain = plain.delimiter(delimiter);
        }
        let root = dir.path().join(delimiter.len().to_string());
        let mut harness = start(&root, &plain, "1");
        harness.write_all(lines.map(<[u8]>::to_vec)).expect("written");
        harness.checkpoint().expect("committed");
        let files = visible(&root);
        assert_eq!((files.len(), bytes(&files[0])), (1, expected));
        assert!(files[0].starts_with(root.join("plain/1970/01/01/00")), "{files:?}");
        assert!(files[0].extension().is_some_and(|e| e == "jsonl"));
    }
}

#[test]
fn files_are_closed_by_size_and_time() {
    let dir = tempfile::tempdir().expect("dir");
    let json = r#"{"Prefix":"a/","BufferingHints":{"SizeInMBs":1,"IntervalInSeconds":60},"CompressionFormat":"GZIP"}"#;
    let config = FirehoseConfig::from_json(json).expect("a configuration").delimiter("\n");
    let mut harness = start(dir.path(), &config, "1");
    let line = vec![b'x'; 1_023];
    for _ in 0..3_000 {
        harness.write(Record::new(line.clone())).expect("written");
    }
    harness.checkpoint().expect("committed");
    let files = visible(dir.path());
    // A megabyte of records, whatever becomes of them on disk.
    assert!((2..=3).contains(&files.len()), "{files:?}");
    assert!(files.iter().all(|f| f.to_string_lossy().ends_with(".jsonl.gz")));
    assert!(files.iter().all(|f| fs::metadata(f).expect("a file").len() < 50_000), "they are compressed");
    let sizes: Vec<_> = files.iter().map(|f| bytes(f).len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 3_000 << 10);
    assert!(sizes.iter().all(|s| *s < 3 << 19), "{sizes:?}");

    harness.write(Record::new(line.clone())).expect("written");
    harness.advance(59_999).expect("time");
    assert_eq!(harness.writer.partitions(), 1);
    harness.advance(1).expect("time");
    assert_eq!((harness.writer.partitions(), harness.writer.next_wakeup()), (0, None));
    harness.checkpoint().expect("committed");
    assert_eq!(visible(dir.path()).len(), files.len() + 1);

    // hurtig's own size is the file's, and no interval closes it.
    let root = dir.path().join("own");
    let config = config.target_file_bytes(2_000_000).buffering_interval(None);
    let mut harness = start(&root, &config, "1");
    for _ in 0..5_000 {
        harness.write(Record::new(line.clone())).expect("written");
    }
    harness.advance(1 << 40).expect("time");
    assert_eq!((harness.writer.partitions(), harness.writer.next_wakeup()), (1, None));
    harness.checkpoint().expect("committed");
    assert_eq!(visible(&root).len(), 1);
    let json =
        r#"{"FileExtension":".json","BufferingHints":{"IntervalInSeconds":0},"Hurtig":{"TargetFileSizeInMBs":300}}"#;
    let config = FirehoseConfig::from_json(json).expect("a configuration");
    let mut harness = start(&dir.path().join("named"), &config, "1");
    harness.write(Record::new(line)).expect("written");
    assert_eq!(harness.writer.next_wakeup(), None, "no interval: a checkpoint closes files");
    harness.checkpoint().expect("committed");
    assert!(visible(&dir.path().join("named"))[0].to_string_lossy().ends_with(".json"));
}

#[test]
fn a_file_that_is_changed_or_gone_is_said() {
    let dir = tempfile::tempdir().expect("dir");
    let config = FirehoseConfig::new("a/", "errors/").expect("a configuration").buffering_interval(Some(Duration::MAX));
    let mut harness = start(dir.path(), &config, "1");
    harness.write(Record::new(b"x".to_vec())).expect("written");
    let committables = harness.flush().expect("flushed");
    let file = PendingFile::from_bytes(&committables[0]).expect("a file");
    fs::write(file.pending_path(dir.path()), "y").expect("changed");
    let e = harness.commit(&committables).expect_err("changed").to_string();
    assert!(e.contains("it was changed") && !e.contains('\n'), "{e}");
    // One that is parked meanwhile.
    let many =
        with_processors("digit=!{partitionKeyFromQuery:d}/", &[("MetadataExtraction", &query("{d:.}")), NEWLINE]);
    let sink = FirehoseSink::<Vec<u8>>::new(dir.path().join("parked"), many.max_open_files(1)).max_buffered_bytes(1);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    harness.write_all((0..4).map(|n| n.to_string().into_bytes())).expect("written");
    // It waits until the last one is in its file.
    harness.write(Record::new(b"0".to_vec())).expect("written");
    let parked = pending(&dir.path().join("parked/digit=3"));
    fs::write(&parked[0], "").expect("changed");
    let e = harness.write(Record::new(b"3".to_vec())).and_then(|()| harness.flush().map(drop));
    let e = e.expect_err("changed").to_string();
    assert!(e.contains("has 0 bytes, not the") && !e.contains('\n'), "{e}");
    // A directory that cannot be made.
    let taken = dir.path().join("taken");
    fs::write(&taken, "x").expect("a file");
    let sink = FirehoseSink::<Vec<u8>>::new(&taken, config);
    let e = SinkHarness::start(&sink, "1").err().expect("an error").to_string();
    assert!(e.contains("taken") && !e.contains('\n'), "{e}");
}
