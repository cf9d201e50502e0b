//! The builder of a file source, and the source itself.

use std::marker::PhantomData;

use hurtig_engine::{
    error::{Error, Result},
    record::Data,
    source::{Boundedness, EnumeratorContext, ReaderContext, Source, SplitEnumerator},
};

use super::{
    csv::{CsvFormat, CsvOptions},
    decoder::Format,
    discovery,
    enumerator::FileEnumerator,
    lines::{Deserializer, JsonLines, LineFormat},
    reader::FileReader,
    row::CsvRow,
    split::FileSplit,
    split_reader::SplitReader,
};

/// What errors call this source.
pub(super) const NAME: &str = "files";

/// Files to be read, before their format is chosen: see the [module](super).
#[derive(Debug, Clone)]
pub struct Files {
    path: String,
    suffixes: Option<Vec<String>>,
    max_record: usize,
    max_open: usize,
}

/// Reads files: see the [module](super).
pub struct FileSource<T, F> {
    files: Files,
    format: F,
    item: PhantomData<fn() -> T>,
}

impl FileSource<(), ()> {
    /// A file, a directory (everything in it and below it, but for what is hidden, starts with
    /// `_` or ends in `.pending`) or a pattern with `*`, `?`, `[..]` and `**`.
    #[expect(clippy::new_ret_no_self, reason = "the format decides which source it will be")]
    pub fn new(path: impl Into<String>) -> Files {
        Files { path: path.into(), suffixes: None, max_record: 16 << 20, max_open: 64 }
    }
}

impl Files {
    /// In directories, takes the files that end in one of these (each also with `.gz`); none:
    /// all. By default what the format is usually called.
    #[must_use]
    pub fn suffixes<S: Into<String>>(mut self, suffixes: impl IntoIterator<Item = S>) -> Self {
        self.suffixes = Some(suffixes.into_iter().map(Into::into).collect());
        self
    }

    /// A longer record goes to the dead letters, of which only the beginning is kept. 16 MiB
    /// by default.
    #[must_use]
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record = bytes.max(1);
        self
    }

    /// How many files a reader holds open, 64 by default. The one that was not used for
    /// longest is closed, and opened again at its position.
    #[must_use]
    pub fn max_open_files(mut self, files: usize) -> Self {
        self.max_open = files.max(1);
        self
    }

    /// Each line is one JSON `T`.
    pub fn json_lines<T: Data>(self) -> FileSource<T, LineFormat<T, JsonLines<T>>> {
        self.lines(JsonLines::new())
    }

    /// Each line is what `deserializer` makes of it.
    pub fn lines<T: Data, D: Deserializer<T>>(self, deserializer: D) -> FileSource<T, LineFormat<T, D>> {
        self.format(LineFormat::new(deserializer))
    }

    /// CSV, whose rows `map` turns into records. A row that `map` refuses goes to the dead
    /// letters.
    pub fn csv<T, F>(self, options: CsvOptions, map: F) -> FileSource<T, CsvFormat<F>>
    where
        T: Data,
        F: Fn(&CsvRow<'_>) -> Result<T, String> + Send + Sync + 'static,
    {
        self.format(CsvFormat::new(options, map))
    }

    /// A format of your own.
    pub fn format<T: Data, F: Format<T>>(self, format: F) -> FileSource<T, F> {
        FileSource { files: self, format, item: PhantomData }
    }
}

impl<T, D> FileSource<T, LineFormat<T, D>> {
    /// Where a record says when it reached the source; without it arrival is not known.
    #[must_use]
    pub fn arrival(mut self, arrival: impl Fn(&T) -> i64 + Send + Sync + 'static) -> Self {
        self.format.arrival = Some(std::sync::Arc::new(arrival));
        self
    }
}

impl<T: Data, F: Format<T>> FileSource<T, F> {
    /// The files that a first start would read, in the order in which they are dealt out. Each
    /// is opened once: what cannot be read, or lacks a column that was named, is said here.
    pub fn splits(&self) -> Result<Vec<FileSplit>> {
        self.format.check().map_err(|e| Error::Config(format!("source {NAME}: {e}")))?;
        let found = self.found()?;
        for (path, _) in &found.files {
            let decoder = self.format.decoder(path);
            SplitReader::new(&found.root, 0, FileSplit::new(path), decoder, self.files.max_record).open()?;
        }
        Ok(found.files.into_iter().map(|(path, _)| FileSplit::new(path)).collect())
    }

    fn found(&self) -> Result<discovery::Found> {
        let suffixes = self.files.suffixes.clone();
        let suffixes = suffixes.unwrap_or_else(|| self.format.suffixes().iter().map(|s| (*s).to_owned()).collect());
        discovery::find(&self.files.path, &suffixes)
    }
}

impl<T: Data, F: Format<T>> Source for FileSource<T, F> {
    type Item = T;
    type Split = FileSplit;
    type Reader = FileReader<T, F>;

    fn enumerator(
        &self,
        _ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<FileSplit>>> {
        Ok(Box::new(match restored {
            Some(bytes) => FileEnumerator::restore(&bytes)?,
            None => FileEnumerator::new(self.splits()?),
        }))
    }

    fn reader(&self, _ctx: ReaderContext) -> Result<FileReader<T, F>> {
        let root = discovery::root_of(&self.files.path);
        Ok(FileReader::new(root, self.format.clone(), self.files.max_open, self.files.max_record))
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }
}
