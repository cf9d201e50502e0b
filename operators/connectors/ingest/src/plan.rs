//! From a file to its ranges: looks at its head, reads its header, finds legal cuts.

use std::{io::Read, sync::Arc};

use flate2::read::MultiGzDecoder;
use futures::{StreamExt, stream};
use hurtig_engine::error::Result;

use crate::{
    fields::Fields,
    options::{Format, RangeOptions},
    scan::{CutFinder, Step},
    split::{FileFormat, FileVersion, RangeSplit},
    store::{FileStore, Found},
};

/// What is read of a file to see what it is.
const HEAD: u64 = 64 << 10;
/// How many requests are on their way when a file is looked through for quotes.
const REQUESTS_AHEAD: usize = 3;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// The size of a file's ranges: one for each worker, but none larger than what a shard takes in
/// five minutes (300 MB), none smaller than is worth a request, and never 0.
pub fn range_size(file: u64, workers: usize, options: &RangeOptions) -> u64 {
    let largest = options.max_range.max(1);
    (file / workers.max(1) as u64).clamp(options.min_range.max(1).min(largest), largest)
}

/// The ranges of one file; none if there is no record in it. What is wrong with the file itself (no
/// end of its header) is no error: it becomes a dead letter when its only range is read.
pub(crate) async fn plan(
    store: &FileStore,
    found: &Found,
    workers: usize,
    options: &RangeOptions,
) -> Result<Vec<RangeSplit>> {
    let mut file = FileVersion {
        path: found.path.clone(),
        etag: found.etag.clone(),
        size: found.size,
        format: FileFormat::JsonLines,
        gzip: false,
        max_record: options.max_record,
        unreadable: None,
    };
    if found.size == 0 {
        return Ok(Vec::new());
    }
    let mut length = HEAD;
    let start = loop {
        let stored = store.read(&found.path, &found.etag, 0..length.min(found.size), options.seed).await?;
        let whole = length >= found.size;
        file.gzip = stored.starts_with(&[0x1f, 0x8b]);
        let mut unpacked = Vec::new();
        let (bytes, last) = if file.gzip {
            // Ends in an error where the piece ends; a stream that is broken is seen when it is read.
            let limit = options.max_record as u64 + HEAD;
            let end = MultiGzDecoder::new(&*stored).take(limit).read_to_end(&mut unpacked);
            (&*unpacked, whole && (end.is_err() || (unpacked.len() as u64) < limit))
        } else {
            (&*stored, whole)
        };
        match head(&mut file, bytes, last, options) {
            Head::Data(start) => break start as u64,
            Head::Unreadable(reason) => {
                file.unreadable = Some(reason);
                return Ok(vec![RangeSplit::new(&Arc::new(file), 0, found.size, true)]);
            }
            Head::Starved => length *= 4,
        }
    };
    if file.gzip {
        return Ok(vec![RangeSplit::new(&Arc::new(file), start, u64::MAX, true)]);
    }
    let size = range_size(found.size, workers, options);
    let (cuts, aligned) = if found.size - start <= size {
        (Vec::new(), true)
    } else if file.rules().cuts_freely() {
        let step = usize::try_from(size).unwrap_or(usize::MAX);
        ((start + size..found.size).step_by(step).collect(), false)
    } else {
        (legal_cuts(store, &file, start, size, options).await?, true)
    };
    let file = Arc::new(file);
    let starts = std::iter::once(start).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([found.size]);
    let ranges = starts.zip(ends).filter(|(start, end)| start < end);
    Ok(ranges.map(|(from, to)| RangeSplit::new(&file, from, to, aligned || from == start)).collect())
}

/// Goes over the whole file once to know where quotes are open: a reader that begins at a cut
/// cannot know it.
async fn legal_cuts(
    store: &FileStore,
    file: &FileVersion,
    start: u64,
    size: u64,
    options: &RangeOptions,
) -> Result<Vec<u64>> {
    let mut finder = CutFinder::new(file.rules(), start, file.size, size);
    let request = options.request.max(1);
    let offsets = (start..file.size).step_by(usize::try_from(request).unwrap_or(usize::MAX));
    let get = |at| store.read(&file.path, &file.etag, at..(at + request).min(file.size), options.seed);
    let mut pieces = std::pin::pin!(stream::iter(offsets.map(get)).buffered(REQUESTS_AHEAD));
    let mut at = start;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        at += piece.len() as u64;
        finder.push(&piece, at >= file.size);
    }
    Ok(finder.cuts())
}

enum Head {
    /// Where the data begins.
    Data(usize),
    Unreadable(String),
    Starved,
}

/// Says what the file is made of, and where its data begins.
fn head(file: &mut FileVersion, bytes: &[u8], last: bool, options: &RangeOptions) -> Head {
    if bytes.len() < MARK.len() && !last {
        return Head::Starved;
    }
    let mark = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
    let csv = match options.format {
        Format::Csv => true,
        Format::Json => false,
        Format::Auto => looks_like_csv(&file.path, &bytes[mark..]),
    };
    if !csv {
        file.format = FileFormat::JsonLines;
        return Head::Data(mark);
    }
    let (delimiter, quoting) = (options.delimiter, options.quoting);
    file.format = FileFormat::Csv { delimiter, quoting, columns: options.columns.clone() };
    if !options.header {
        return Head::Data(mark);
    }
    let rules = file.rules();
    let mut at = mark;
    loop {
        match rules.step(&bytes[at..], last) {
            Step::Blank(n) => at += n,
            Step::Record(n) => {
                let mut fields = Fields::new(delimiter, quoting);
                let Some(columns) = fields.split(&bytes[at..at + n]) else {
                    return Head::Unreadable("its header is not UTF-8".into());
                };
                let columns = columns.map(|name| name.trim().to_owned()).collect();
                file.format = FileFormat::Csv { delimiter, quoting, columns };
                return Head::Data(at + n);
            }
            Step::Unclosed(_) => return Head::Unreadable("its header has a quote that is not closed".into()),
            Step::Overlong => {
                return Head::Unreadable(format!(
                    "its header is longer than {} bytes; is it a CSV file?",
                    file.max_record
                ));
            }
            // Nothing but blank lines.
            Step::Starved if last => return Head::Data(bytes.len()),
            Step::Starved => return Head::Starved,
        }
    }
}

/// By its name, or else by its first character.
fn looks_like_csv(path: &str, bytes: &[u8]) -> bool {
    let name = path.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if [".csv", ".tsv"].iter().any(|s| name.ends_with(s)) {
        return true;
    }
    if [".json", ".jsonl", ".ndjson"].iter().any(|s| name.ends_with(s)) {
        return false;
    }
    !bytes.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|b| matches!(b, b'{' | b'['))
}
