//! Where a job's dead letters go: JSON lines, exactly once, like any other output.
//!
//! ```
//! let sink = hurtig_operators::connectors::dead_letters::dead_letters_to("out/dead-letters");
//! # let _ = sink;
//! ```

use std::path::PathBuf;

use hurtig_engine::dead_letter::DeadLetter;

use super::json_files::JsonFilesSink;

/// Dead letters as JSON lines in `dir`: one file a checkpoint, none where there are none.
pub fn dead_letters_to(dir: impl Into<PathBuf>) -> JsonFilesSink<DeadLetter> {
    JsonFilesSink::new(dir)
}

#[cfg(test)]
mod tests {
    use hurtig_engine::record::Record;

    use super::*;
    use crate::connectors::testing::SinkHarness;

    #[test]
    fn a_letter_can_be_read_back_from_its_line() {
        let dir = tempfile::tempdir().expect("dir");
        let letter = DeadLetter {
            time: Some(5),
            split: "a.json".into(),
            position: Some(77),
            operator: "readings".into(),
            reason: "not the expected JSON".into(),
            raw: b"{\"a\": \xff".to_vec(),
        };
        let mut harness = SinkHarness::start(&dead_letters_to(dir.path()), "1").expect("started");
        harness.checkpoint().expect("nothing to commit");
        assert_eq!(std::fs::read_dir(dir.path()).expect("dir").count(), 0);
        harness.write(Record::new(letter.clone())).expect("written");
        harness.checkpoint().expect("committed");
        let file = std::fs::read_dir(dir.path()).expect("dir").next().expect("a file").expect("a file").path();
        let line = std::fs::read_to_string(file).expect("text");
        assert_eq!(serde_json::from_str::<DeadLetter>(&line).expect("a letter"), letter);
    }
}
