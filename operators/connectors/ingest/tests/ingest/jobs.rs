//! Whole jobs: killed and restored, watching a directory.

use std::{path::Path, time::Duration};

use hurtig_engine::{
    runner::{CheckpointSettings, JobConfig, JobHandle, Restore},
    watermark::WatermarkStrategy,
};
use hurtig_ingest::{IngestFigures, Message, Messages, RangeOptions, RangeSource};
use hurtig_operators::{connectors::collect::CollectSink, stream::Environment};

/// Several files of CSV, JSON lines and gzip with so many readings, all different.
fn write_files(dir: &Path, rows: usize) -> usize {
    let csv = |from: usize| -> String {
        let rows = (from..from + rows).map(|n| format!("m-{},2023-01-02 01:15:00,{n},\"a\n,b\"\r\n", n % 7));
        std::iter::once("meter_id,time,kw,note\r\n".to_owned()).chain(rows).collect()
    };
    let json: String = (0..rows).map(|n| format!("{{\"meter_id\":\"j-{}\",\"kwh\":{n}}}\n", n % 5)).collect();
    std::fs::write(dir.join("a.csv"), csv(0)).expect("written");
    std::fs::write(dir.join("b.csv.gz"), crate::cuts::gzip(csv(rows).as_bytes())).expect("written");
    std::fs::write(dir.join("c.json"), json).expect("written");
    // Two measures a row.
    rows * 5
}

fn config(dir: &Path, restore: Restore) -> JobConfig {
    JobConfig {
        restore,
        checkpoints: CheckpointSettings { interval: None, ..CheckpointSettings::default() },
        ..JobConfig::new(dir)
    }
}

struct Started {
    job: JobHandle,
    sink: CollectSink<Message>,
    progress: std::sync::Arc<hurtig_ingest::IngestProgress>,
}

fn start(files: &Path, data: &Path, restore: Restore, parallelism: usize, watch: bool, slow: bool) -> Started {
    let env = Environment::new("ingest");
    env.set_parallelism(parallelism);
    let options = RangeOptions { min_range: 1_000, max_range: 20_000, request: 4_096, ..RangeOptions::default() };
    let mut ranges = RangeSource::new(files.to_str().expect("utf8")).options(options);
    if watch {
        ranges = ranges.watch(Duration::from_millis(200));
    }
    let source = ranges.schema(Messages::default());
    let progress = source.progress();
    let sink = CollectSink::new();
    env.from_source(source, WatermarkStrategy::no_watermarks(), "files")
        .map(move |m: Message| {
            if slow {
                std::thread::sleep(Duration::from_micros(200));
            }
            m
        })
        .name("slow")
        .sink_to(sink.clone());
    let job = env.execute_async(config(data, restore)).expect("started");
    Started { job, sink, progress }
}

fn ids(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::record_id).collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain for {what}");
}

#[test]
fn killed_again_and_again_each_record_is_there_once_after_its_id() {
    let dir = tempfile::tempdir().expect("dir");
    let (files, data) = (dir.path().join("files"), dir.path().join("data"));
    std::fs::create_dir(&files).expect("dir");
    let expected = write_files(&files, 6_000);
    let mut seen = Vec::new();
    let mut restore = Restore::Fresh;
    for round in 0..4 {
        let run = start(&files, &data, restore, 1 + round % 3, false, true);
        let target = 1_000 + 200 * round;
        until("records", || run.sink.values().len() >= target || run.job.state().is_terminal());
        if !run.job.state().is_terminal() {
            run.job.checkpoint().expect("a checkpoint");
            let before = run.sink.values().len();
            // What comes behind the checkpoint comes again.
            until("more", || run.sink.values().len() > before + 100 || run.job.state().is_terminal());
        }
        run.job.cancel().expect("cancelled");
        let _ = run.job.wait();
        seen.extend(ids(&run.sink.values()));
        restore = Restore::Latest;
    }
    let run = start(&files, &data, Restore::Latest, 2, false, false);
    run.job.wait().expect("it ends");
    seen.extend(ids(&run.sink.values()));
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), expected);
    assert!(all > expected, "the kills were felt: {all}");
    let figures = run.progress.figures();
    assert_eq!((figures.files_found, figures.files_finished), (3, 3), "{figures:?}");
    assert_eq!(figures.ranges_found, figures.ranges_finished, "{figures:?}");
    assert!(figures.bytes_read >= figures.bytes_found, "{figures:?}");

    // Everything is read: there is nothing left, and the files may go.
    std::fs::remove_dir_all(&files).expect("removed");
    std::fs::create_dir(&files).expect("dir");
    let again = start(&files, &data, Restore::Latest, 3, false, false);
    again.job.wait().expect("it ends at once");
    assert_eq!(again.sink.values(), []);
}

#[test]
fn new_files_are_taken_as_they_come_and_a_changed_one_is_read_again() {
    let dir = tempfile::tempdir().expect("dir");
    let (files, data) = (dir.path().join("files"), dir.path().join("data"));
    std::fs::create_dir(&files).expect("dir");
    let run = start(&files, &data, Restore::Fresh, 2, true, false);
    let put = |name: &str, text: &str| {
        let pending = files.join(format!("{name}.pending"));
        std::fs::write(&pending, text).expect("written");
        std::fs::rename(pending, files.join(name)).expect("renamed");
    };
    put("a.json", "{\"meter_id\":\"a\"}\n");
    until("the first file", || run.sink.values().len() == 1);
    std::fs::create_dir(files.join("deep")).expect("dir");
    put("deep/b.json", "{\"meter_id\":\"b\"}\n{\"meter_id\":\"b\"}\n");
    until("the second file", || run.sink.values().len() == 3);
    put("a.json", "{\"meter_id\":\"again\"}\n");
    until("the new version", || run.sink.values().len() == 4);
    let mut all = ids(&run.sink.values());
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4, "another version has other ids");
    until("the end of all", || run.progress.figures().files_finished == 3);
    run.job.checkpoint().expect("a checkpoint");
    run.job.cancel().expect("cancelled");
    let _ = run.job.wait();

    put("c.json", "{\"meter_id\":\"c\"}\n");
    let run = start(&files, &data, Restore::Latest, 1, true, false);
    until("what came while nothing ran", || run.progress.figures().files_finished == 4);
    assert_eq!(run.sink.values().iter().map(|m| m.key.to_string()).collect::<Vec<_>>(), ["c"]);
    let figures: IngestFigures = run.progress.figures();
    assert_eq!(figures.files_found, 4);
    run.job.cancel().expect("cancelled");
    let _ = run.job.wait();
}
