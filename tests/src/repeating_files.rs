//! A directory of JSON lines read over and over, with event time moving on: steady state for
//! jobs that read files.
//!
//! It is the file source itself, given its files again whenever they are at their end; every
//! reading's time is moved on by what the rounds before it covered. A split is a file, a position
//! in it, and the round, so that checkpoints hold all of it.
//!
//! ```no_run
//! use hurtig_tests::{repeating_files::RepeatingFiles, stop::Stop};
//!
//! let source = RepeatingFiles::new("readings", 3, Stop::default())?;
//! println!("{} readings, three times", source.readings());
//! # Ok::<(), hurtig_engine::Error>(())
//! ```

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::{Error, Result},
    source::{
        Boundedness, EnumeratorContext, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader, Split,
        SplitEnumerator,
    },
};
use hurtig_operators::connectors::files::{FileReader, FileSource, FileSplit, JsonLines, LineFormat};
use serde::{Deserialize, Serialize};

use crate::{all_at_once::AllAtOnce, peer_gen::Reading, stop::Stop};

type Format = LineFormat<Reading, JsonLines<Reading>>;

/// The peers' files, `rounds` times over.
pub struct RepeatingFiles {
    files: FileSource<Reading, Format>,
    readings: u64,
    rounds: u64,
    stop: Stop,
}

impl RepeatingFiles {
    /// The files in `dir`, which [`gen_peer`](crate::peer_gen) wrote.
    pub fn new(dir: &str, rounds: u64, stop: Stop) -> Result<Self> {
        let files = FileSource::new(dir).json_lines();
        let splits = files.splits()?;
        let mut readings = 0;
        for split in &splits {
            let path = Path::new(dir).join(&split.path);
            readings += lines(&path).map_err(|e| Error::io(&path, e))?;
        }
        Ok(RepeatingFiles { files, readings, rounds, stop })
    }

    /// How many readings one round has.
    pub fn readings(&self) -> u64 {
        self.readings
    }
}

/// How many lines a file has. All lines of the peers' files are equally long, which saves
/// reading a gigabyte; otherwise they are counted.
fn lines(path: &Path) -> std::io::Result<u64> {
    let length = std::fs::metadata(path)?.len();
    let mut file = BufReader::new(File::open(path)?);
    let mut first = Vec::new();
    let line = file.read_until(b'\n', &mut first)? as u64;
    if line > 0 && length.is_multiple_of(line) {
        return Ok(length / line);
    }
    let mut count = u64::from(line > 0);
    while file.skip_until(b'\n')? > 0 {
        count += 1;
    }
    Ok(count)
}

/// A file, how far it was read, and in which round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RepeatingSplit {
    /// The file at its position.
    pub file: FileSplit,
    /// The round, from 0.
    pub round: u64,
}

impl Split for RepeatingSplit {
    fn id(&self) -> String {
        self.file.id()
    }
}

impl Source for RepeatingFiles {
    type Item = Reading;
    type Split = RepeatingSplit;
    type Reader = RepeatingReader;

    fn enumerator(
        &self,
        _ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<RepeatingSplit>>> {
        let all = || Ok(self.files.splits()?.into_iter().map(|file| RepeatingSplit { file, round: 0 }).collect());
        AllAtOnce::boxed(restored, all)
    }

    fn reader(&self, ctx: ReaderContext) -> Result<RepeatingReader> {
        Ok(RepeatingReader {
            files: self.files.reader(ctx)?,
            splits: Vec::new(),
            moved_on: Vec::new(),
            // 10,000 readings a second of event time.
            round_ms: (self.readings / 10) as i64,
            rounds: self.rounds,
            stop: self.stop.clone(),
        })
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }
}

/// Reads its files, round after round.
pub struct RepeatingReader {
    files: FileReader<Reading, Format>,
    splits: Vec<Open>,
    /// By split number: how far event time is moved on.
    moved_on: Vec<i64>,
    round_ms: i64,
    rounds: u64,
    stop: Stop,
}

/// A split that is not at its end.
struct Open {
    number: u32,
    path: String,
    round: u64,
}

impl RepeatingReader {
    fn move_on(&mut self, number: u32, round: u64) {
        let i = number as usize;
        if self.moved_on.len() <= i {
            self.moved_on.resize(i + 1, 0);
        }
        self.moved_on[i] = round as i64 * self.round_ms;
    }
}

impl SourceReader for RepeatingReader {
    type Item = Reading;
    type Split = RepeatingSplit;

    fn add_split(&mut self, number: u32, split: RepeatingSplit) -> Result<()> {
        self.move_on(number, split.round);
        self.splits.push(Open { number, path: split.file.path.clone(), round: split.round });
        self.files.add_split(number, split.file)
    }

    fn poll<O: SourceOutput<Reading>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        if self.stop.is_set() {
            self.splits.drain(..).for_each(|open| out.finish_split(open.number));
            return Ok(ReaderStatus::NothingAvailable { until: None });
        }
        let mut shifted = Shifted { out, moved_on: &self.moved_on, finished: Vec::new() };
        let status = self.files.poll(max, &mut shifted)?;
        let finished = shifted.finished;
        for number in &finished {
            let Some(i) = self.splits.iter().position(|open| open.number == *number) else { continue };
            let open = &mut self.splits[i];
            open.round += 1;
            let (number, round) = (open.number, open.round);
            if round < self.rounds {
                let file = FileSplit::new(open.path.clone());
                self.move_on(number, round);
                self.files.add_split(number, file)?;
            } else {
                self.splits.swap_remove(i);
                out.finish_split(number);
            }
        }
        Ok(if finished.is_empty() || self.splits.is_empty() { status } else { ReaderStatus::MoreAvailable })
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<(u32, RepeatingSplit)>> {
        let round = |number| self.splits.iter().find(|open| open.number == number).map(|open| open.round);
        let files = self.files.snapshot(checkpoint)?.into_iter();
        // After a stop the files are still open, but their splits are finished.
        Ok(files.filter_map(|(n, file)| round(n).map(|round| (n, RepeatingSplit { file, round }))).collect())
    }
}

/// Moves event time on, and keeps the ends of files to itself.
struct Shifted<'a, O> {
    out: &'a mut O,
    moved_on: &'a [i64],
    finished: Vec<u32>,
}

impl<O: SourceOutput<Reading>> SourceOutput<Reading> for Shifted<'_, O> {
    #[inline]
    fn emit(&mut self, split: u32, position: u64, arrival: i64, mut reading: Reading) {
        reading.ts += self.moved_on.get(split as usize).copied().unwrap_or_default();
        self.out.emit(split, position, arrival, reading);
    }

    fn dead_letter(&mut self, split: u32, position: u64, arrival: i64, raw: &[u8], reason: &str) {
        self.out.dead_letter(split, position, arrival, raw, reason);
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.out.is_full()
    }

    fn split_watermark(&self, split: u32) -> i64 {
        self.out.split_watermark(split)
    }

    fn finish_split(&mut self, split: u32) {
        self.finished.push(split);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer_gen::{reading, write_line};
    use hurtig_operators::connectors::testing::{Output, SourceHarness};

    #[test]
    fn rounds_follow_one_another_with_time_moved_on() {
        let dir = tempfile::tempdir().expect("a directory");
        for split in 0..2 {
            let mut lines = Vec::new();
            (split..1_000).step_by(2).for_each(|i| write_line(&mut lines, &reading(i, 10)));
            std::fs::write(dir.path().join(format!("part-{split}.json")), lines).expect("a file");
        }
        let source = RepeatingFiles::new(&dir.path().display().to_string(), 3, Stop::default()).expect("files");
        assert_eq!(source.readings(), 1_000);
        let splits = source.files.splits().expect("splits").into_iter();
        let mut splits: Vec<_> = splits.map(|file| RepeatingSplit { file, round: 0 }).collect();
        let mut times = Vec::new();
        // A new reader goes on every 700 readings.
        loop {
            let mut harness = SourceHarness::with_splits(&source, splits).expect("a reader");
            let mut out = Output::default();
            out.capacity = 700;
            harness.run_into(100, &mut out).expect("read");
            times.extend(out.records.iter().map(|r| (r.value.ts, r.value.meter_id.clone())));
            splits = harness.snapshot().expect("a snapshot");
            if splits.is_empty() {
                break;
            }
        }
        let mut expected: Vec<_> = (0..3_000)
            .map(|i| (reading(i % 1_000, 10), (i / 1_000) as i64 * 100))
            .map(|(r, moved_on)| (r.ts + moved_on, Reading::from(r).meter_id))
            .collect();
        times.sort();
        expected.sort();
        assert_eq!(times, expected);
    }

    #[test]
    fn a_stop_ends_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut lines = Vec::new();
        (0..100).for_each(|i| write_line(&mut lines, &reading(i, 10)));
        std::fs::write(dir.path().join("part-0.json"), lines).expect("a file");
        let stop = Stop::default();
        let source = RepeatingFiles::new(&dir.path().display().to_string(), u64::MAX, stop.clone()).expect("files");
        let splits = vec![RepeatingSplit { file: FileSplit::new("part-0.json"), round: 0 }];
        let mut harness = SourceHarness::with_splits(&source, splits).expect("a reader");
        let mut out = Output::default();
        out.capacity = 1_234;
        harness.run_into(100, &mut out).expect("read");
        stop.set();
        out.capacity = usize::MAX;
        harness.run_into(100, &mut out).expect("read");
        assert_eq!(out.finished, [0]);
        assert!(harness.snapshot().expect("a snapshot").is_empty());
    }
}
