//! From a record of a file to values.

use std::{marker::PhantomData, sync::Arc};

use hurtig_engine::record::Data;
use hurtig_operators::{
    connectors::files::{CsvColumns, CsvOptions, CsvRow},
    schema::{DeserializationSchema, SchemaError},
};

use crate::split::FileVersion;

/// One record as it stands in its file.
#[derive(Debug, Clone, Copy)]
pub struct FileRecord<'a> {
    pub(crate) file: &'a FileVersion,
    pub(crate) hash: u64,
    pub(crate) offset: u64,
    pub(crate) body: Body<'a>,
}

/// What a record consists of.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// A CSV row.
    Row(CsvRow<'a>),
}

impl<'a> FileRecord<'a> {
    /// The file's path below the source's root.
    pub fn path(&self) -> &'a str {
        &self.file.path
    }

    /// The file's version.
    pub fn etag(&self) -> &'a str {
        &self.file.etag
    }

    /// The offset of the record's first byte (of what comes out of a compressed file).
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The line or row.
    pub fn body(&self) -> Body<'a> {
        self.body
    }

    /// What this record is called wherever it is read again: the same bytes at the same place in the
    /// same version of a file. Whoever has seen an id may drop what comes with it again.
    pub fn id(&self) -> RecordId {
        RecordId { file: self.hash, offset: self.offset }
    }
}

/// A record's name: file and ETag as a hash, and the offset. Written `91f0c2aa35b7d804-1f00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RecordId {
    /// Which version of which file.
    pub file: u64,
    /// Where in it.
    pub offset: u64,
}

impl RecordId {
    /// The `record_id` of one of the messages that the record becomes: `91f0c2aa35b7d804-1f00.2` of
    /// the third.
    pub fn of_part(&self, part: u32) -> String {
        if part == 0 { self.to_string() } else { format!("{self}.{part}") }
    }
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{:x}", self.file, self.offset)
    }
}

/// Makes values of records.
pub trait FileSchema: Clone + Send + Sync + 'static {
    /// What is made.
    type Item: Data;

    /// Appends what `record` holds: nothing, one, or many. Refused: the record goes to the dead letters, and
    /// nothing of it must have been appended.
    fn deserialize(&mut self, record: &FileRecord<'_>, out: &mut Vec<Self::Item>) -> Result<(), SchemaError>;

    /// What a CSV file's columns mean, by their names. `Err(reason)`: no row of such a file can be
    /// understood, each range of it is one dead letter.
    fn columns(&self, names: Vec<String>) -> Result<CsvColumns, String> {
        CsvColumns::resolve(&CsvOptions::default(), names)
    }
}

/// Lines as a [`DeserializationSchema`] reads messages; CSV has no message to read.
#[derive(Debug, Clone)]
pub struct Lines<D>(pub D);

impl<D: DeserializationSchema> FileSchema for Lines<D> {
    type Item = D::Item;

    fn deserialize(&mut self, record: &FileRecord<'_>, out: &mut Vec<D::Item>) -> Result<(), SchemaError> {
        match record.body {
            Body::Line(line) => self.0.deserialize(line, out),
            Body::Row(_) => Err("a CSV row where a line was expected; read the file as lines (`format`)".into()),
        }
    }
}

/// A function as a schema.
pub struct FromFn<T, F> {
    function: Arc<F>,
    item: PhantomData<fn() -> T>,
}

impl<T, F> FromFn<T, F> {
    /// `function` appends what a record holds, or says why it goes to the dead letters.
    pub fn new(function: F) -> Self {
        FromFn { function: Arc::new(function), item: PhantomData }
    }
}

impl<T, F> Clone for FromFn<T, F> {
    fn clone(&self) -> Self {
        FromFn { function: self.function.clone(), item: PhantomData }
    }
}

impl<T, F> FileSchema for FromFn<T, F>
where
    T: Data,
    F: Fn(&FileRecord<'_>, &mut Vec<T>) -> Result<(), String> + Send + Sync + 'static,
{
    type Item = T;

    fn deserialize(&mut self, record: &FileRecord<'_>, out: &mut Vec<T>) -> Result<(), SchemaError> {
        Ok((self.function)(record, out)?)
    }
}
