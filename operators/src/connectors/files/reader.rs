//! Reads the files of one subtask, together in event time.

use std::{cmp::Reverse, collections::BinaryHeap, path::PathBuf};

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::Result,
    record::Data,
    source::{ReaderStatus, SourceOutput, SourceReader},
    time::MIN_WATERMARK,
};

use super::{decoder::Format, split::FileSplit, split_reader::SplitReader};

/// How many records are read from one file before another may come.
const SLICE: usize = 100;

/// Reads files in slices: always the file with the lowest watermark, and among equals the one
/// that has waited longest.
pub struct FileReader<T: Data, F: Format<T>> {
    root: PathBuf,
    format: F,
    max_open: usize,
    max_record: usize,
    /// Files by slot; a finished file leaves its slot empty.
    files: Vec<Option<SplitReader<F::Decoder>>>,
    /// Watermark, turn and slot of every file but the current one. Only the file that is being
    /// read moves its watermark, so what stands here stays right.
    waiting: BinaryHeap<Reverse<(i64, u64, usize)>>,
    /// The file that is being read and how much of its slice is left.
    current: Option<(usize, usize)>,
    /// Slots of the open files, the one used last at the end.
    open: Vec<usize>,
    turn: u64,
}

impl<T: Data, F: Format<T>> FileReader<T, F> {
    pub(super) fn new(root: PathBuf, format: F, max_open: usize, max_record: usize) -> Self {
        FileReader {
            root,
            format,
            max_open,
            max_record,
            files: Vec::new(),
            waiting: BinaryHeap::new(),
            current: None,
            open: Vec::new(),
            turn: 0,
        }
    }

    /// How many files are open.
    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.open.len()
    }

    /// Chooses the next file and sees that it is open.
    fn next_file(&mut self) -> Result<Option<(usize, usize)>> {
        let Some(Reverse((_, _, slot))) = self.waiting.pop() else { return Ok(None) };
        match self.open.iter().position(|&s| s == slot) {
            Some(i) => {
                self.open.remove(i);
            }
            None => {
                if self.open.len() >= self.max_open
                    && let Some(file) = self.files[self.open.remove(0)].as_mut()
                {
                    file.close();
                }
                if let Some(file) = self.files[slot].as_mut()
                    && !file.is_open()
                {
                    file.open()?;
                }
            }
        }
        self.open.push(slot);
        Ok(Some((slot, SLICE)))
    }
}

impl<T: Data, F: Format<T>> SourceReader for FileReader<T, F> {
    type Item = T;
    type Split = FileSplit;

    fn add_split(&mut self, number: u32, split: FileSplit) -> Result<()> {
        let decoder = self.format.decoder(&split.path);
        self.turn += 1;
        self.waiting.push(Reverse((MIN_WATERMARK, self.turn, self.files.len())));
        self.files.push(Some(SplitReader::new(&self.root, number, split, decoder, self.max_record)));
        Ok(())
    }

    fn poll<O: SourceOutput<T>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        let mut left = max;
        while left > 0 && !out.is_full() {
            let (slot, rest) = match self.current.take() {
                Some(current) => current,
                None => match self.next_file()? {
                    Some(next) => next,
                    None => return Ok(ReaderStatus::NothingAvailable { until: None }),
                },
            };
            let Some(file) = self.files[slot].as_mut() else { continue };
            let number = file.number();
            let slice = match file.read(rest.min(left), out) {
                Ok(slice) => slice,
                Err(e) => {
                    self.current = Some((slot, rest));
                    return Err(e);
                }
            };
            left = left.saturating_sub(slice.records);
            if slice.finished {
                self.files[slot] = None;
                self.open.retain(|&s| s != slot);
                out.finish_split(number);
            } else if slice.records < rest {
                self.current = Some((slot, rest - slice.records));
            } else {
                self.turn += 1;
                self.waiting.push(Reverse((out.split_watermark(number), self.turn, slot)));
            }
        }
        let done = self.current.is_none() && self.waiting.is_empty();
        Ok(if done { ReaderStatus::NothingAvailable { until: None } } else { ReaderStatus::MoreAvailable })
    }

    fn snapshot(&mut self, _checkpoint: CheckpointId) -> Result<Vec<(u32, FileSplit)>> {
        Ok(self.files.iter().flatten().map(|f| (f.number(), f.split())).collect())
    }
}
