//! Reading text files: of each partition's files, line by line, the columns that are asked for.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{DataFusionError, ScalarValue},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchReceiverStreamBuilder, streaming::PartitionStream},
};
use object_store::{ObjectMeta, ObjectStore};

use crate::{
    error::{Error, Result},
    format::SerDe,
    json::{BadJson, JsonRules},
    lines::{Lines, packed_otherwise},
    listing::FoundFile,
    location::Location,
    table::Table,
    text::TextRules,
    values::Values,
};

/// How to read a table's lines into the columns a query wants.
#[derive(Debug)]
pub(crate) struct LineReader {
    table: Arc<Table>,
    rules: Rules,
    /// Of the table's columns, those that are wanted, in the order they are wanted in.
    wanted: Vec<Wanted>,
    /// The table's columns that are read.
    read: Vec<usize>,
    schema: SchemaRef,
    header: u64,
}

#[derive(Debug)]
enum Rules {
    Json { rules: JsonRules, places: HashMap<String, usize> },
    Text(TextRules),
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// One of the columns that are read, by its number among those.
    Read(usize),
    /// A partition's value.
    Partition(usize),
}

impl LineReader {
    /// `projection` counts through the table's columns, then through its partitions.
    pub fn new(table: Arc<Table>, projection: Option<&Vec<usize>>) -> Result<Self> {
        let all = table.schema();
        let every = (0..all.fields().len()).collect();
        let projection = projection.unwrap_or(&every);
        let schema = all.project(projection).map_err(|e| Error::from(DataFusionError::from(e)))?;
        let (mut wanted, mut read) = (Vec::new(), Vec::new());
        for column in projection {
            match column.checked_sub(table.columns.len()) {
                Some(partition) => wanted.push(Wanted::Partition(partition)),
                None => {
                    wanted.push(Wanted::Read(read.len()));
                    read.push(*column);
                }
            }
        }
        let rules = match table.format.serde {
            SerDe::OpenXJson | SerDe::HiveJson => {
                let rules = JsonRules::of(&table.format);
                // A key's place is that among the columns that are read.
                let names = read.iter().map(|column| table.columns[*column].name.as_str());
                Rules::Json { places: rules.places(names), rules }
            }
            _ => Rules::Text(TextRules::of(&table)?),
        };
        let header = match table.properties.get("skip.header.line.count") {
            None => 0,
            Some(text) => text.trim().parse().map_err(|_| {
                table.bad_property(format!("skip.header.line.count is '{text}', and must be a whole number"))
            })?,
        };
        Ok(LineReader { table, rules, wanted, read, schema: Arc::new(schema), header })
    }

    /// What is read.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn columns(&self) -> Vec<Values> {
        self.read.iter().map(|column| Values::of(&self.table.columns[*column].kind)).collect()
    }

    /// A blank line is no JSON; in delimited text it is a row.
    fn is_between(&self, line: &[u8]) -> bool {
        matches!(self.rules, Rules::Json { .. }) && line.iter().all(u8::is_ascii_whitespace)
    }

    fn push(&self, line: &[u8], columns: &mut [Values]) -> std::result::Result<(), (&'static str, String)> {
        match &self.rules {
            Rules::Json { rules, places } => rules.push_line(line, places, columns).map_err(|bad| match bad {
                BadJson::Malformed(reason) => {
                    let hint = match self.table.format.serde {
                        SerDe::OpenXJson => {
                            "SERDEPROPERTIES ('ignore.malformed.json'='true') reads such lines as NULLs"
                        }
                        _ => "each line must be one JSON object",
                    };
                    ("HIVE_CURSOR_ERROR: Row is not a valid JSON Object", format!("{reason}; {hint}"))
                }
                BadJson::Value(reason) => {
                    let hint = match self.table.format.serde {
                        SerDe::OpenXJson => {
                            "; SERDEPROPERTIES ('use.null.for.invalid.data'='true') reads such values as NULL"
                        }
                        _ => "",
                    };
                    ("HIVE_BAD_DATA", format!("{reason}{hint}"))
                }
            }),
            Rules::Text(rules) => {
                rules.push_line(line, &self.read, columns).map_err(|reason| ("HIVE_BAD_DATA", reason))
            }
        }
    }

    fn batch(
        &self,
        columns: &mut [Values],
        rows: usize,
        partition: &[ScalarValue],
    ) -> Result<RecordBatch, DataFusionError> {
        let read = columns.iter_mut().map(Values::finish).collect::<Result<Vec<_>, _>>()?;
        let array = |wanted: &Wanted| -> Result<ArrayRef, DataFusionError> {
            match wanted {
                Wanted::Read(at) => Ok(read[*at].clone()),
                Wanted::Partition(at) => partition[*at].to_array_of_size(rows),
            }
        };
        let arrays = self.wanted.iter().map(array).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }
}

/// Some of a table's files.
#[derive(Debug)]
pub(crate) struct LineFiles {
    pub reader: Arc<LineReader>,
    pub store: Arc<dyn ObjectStore>,
    /// Any location of the store, to name files by.
    pub location: Location,
    pub files: Vec<FoundFile>,
}

impl PartitionStream for LineFiles {
    fn schema(&self) -> &SchemaRef {
        self.reader.schema()
    }

    fn execute(&self, ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.reader.schema().clone(), 2);
        let batches = builder.tx();
        let (reader, store, location, files) =
            (self.reader.clone(), self.store.clone(), self.location.clone(), self.files.clone());
        let size = ctx.session_config().batch_size().max(1);
        builder.spawn(async move {
            for file in files {
                let mut columns = reader.columns();
                let (mut rows, mut number) = (0, 0);
                let name = location.at(&file.meta.location).to_string();
                let mut lines = open(&*store, &file.meta, &name).await?;
                let partition = &file.partition;
                loop {
                    let line = lines.next().await;
                    let Some(line) = line.map_err(|reason| unread(&name, reason))? else { break };
                    number += 1;
                    if number <= reader.header || reader.is_between(line) {
                        continue;
                    }
                    reader.push(line, &mut columns).map_err(|(code, message)| Error::BadLine {
                        code,
                        file: name.clone(),
                        line: number,
                        message,
                    })?;
                    rows += 1;
                    if rows == size {
                        if batches.send(reader.batch(&mut columns, rows, partition)).await.is_err() {
                            // Nobody wants more: LIMIT.
                            return Ok(());
                        }
                        rows = 0;
                    }
                }
                if rows > 0 && batches.send(reader.batch(&mut columns, rows, partition)).await.is_err() {
                    return Ok(());
                }
            }
            Ok(())
        });
        builder.build()
    }
}

async fn open(store: &dyn ObjectStore, meta: &ObjectMeta, name: &str) -> Result<Lines> {
    if let Some(ending) = packed_otherwise(meta) {
        return Err(Error::BadFile {
            file: name.to_owned(),
            message: format!("files packed as .{ending} are not read: .gz and plain ones are"),
        });
    }
    Lines::open(store, meta).await.map_err(|reason| unread(name, reason.into()))
}

fn unread(name: &str, reason: crate::error::Cause) -> Error {
    Error::Store { location: name.to_owned(), action: "read", reason }
}
