//! Reads ranges without an engine.

use std::sync::OnceLock;

use hurtig_engine::source::{Source, SourceReader};
use hurtig_ingest::{Body, FileRecord, FileSchema, FromFn, RangeOptions, RangeSource, RangeSplit};
use hurtig_operators::connectors::testing::{Output, SourceHarness};
use tokio::runtime::{Builder, Handle, Runtime};

/// A record as a test looks at it: where it begins, and its fields (of a line: itself).
pub type Seen = (u64, Vec<Vec<u8>>);

pub fn runtime() -> Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let build = || Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    RUNTIME.get_or_init(build).handle().clone()
}

/// Hands records over as they are.
pub fn seen() -> impl FileSchema<Item = Seen> {
    FromFn::new(|record: &FileRecord<'_>, out: &mut Vec<Seen>| {
        out.push((
            record.offset(),
            match record.body() {
                Body::Line(line) => vec![line.to_vec()],
                Body::Row(row) => row.fields().map(|f| f.as_bytes().to_vec()).collect(),
            },
        ));
        Ok(())
    })
}

pub fn source(location: &str, options: RangeOptions) -> RangeSource<impl FileSchema<Item = Seen>> {
    RangeSource::new(location).options(options).schema(seen())
}

/// Reads `splits` to their end; `until`: stops with at least so many records or letters.
pub fn read<S: Source>(source: &S, splits: Vec<S::Split>, until: usize) -> (SourceHarness<S>, Output<S::Item>) {
    let count = splits.len();
    let mut harness = SourceHarness::with_splits(source, splits).expect("a reader");
    let mut out = Output::with_capacity(until);
    while out.finished.len() < count && out.len() < until {
        harness.reader.poll(7, &mut out).expect("it is read");
        std::thread::yield_now();
    }
    (harness, out)
}

/// Everything in the splits, by offset.
pub fn all<S: Source<Item = Seen, Split = RangeSplit>>(source: &S, splits: Vec<RangeSplit>) -> (Vec<Seen>, Vec<u64>) {
    let (_, out) = read(source, splits, usize::MAX);
    sorted(&[out])
}

/// Records and the positions of letters of some outputs, by offset.
pub fn sorted(outputs: &[Output<Seen>]) -> (Vec<Seen>, Vec<u64>) {
    let mut records: Vec<_> = outputs.iter().flat_map(Output::values).collect();
    let mut letters: Vec<_> = outputs.iter().flat_map(|o| o.letters.iter().map(|l| l.position)).collect();
    records.sort();
    letters.sort_unstable();
    (records, letters)
}
