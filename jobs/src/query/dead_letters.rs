//! The dead letters as a table: JSON lines, read as they are streamed through.
//!
//! They are read by their own type and not by DataFusion's JSON reader, because a letter's raw
//! bytes are an array of numbers where they are no text.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringBuilder, TimestampMillisecondBuilder, UInt64Builder},
        datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    },
    catalog::{TableProvider, streaming::StreamingTable},
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchReceiverStreamBuilder, streaming::PartitionStream},
};
use hurtig_engine::dead_letter::DeadLetter;

use super::{
    QueryError,
    tables::{entries, text, utc},
};

/// Letters in a batch.
const BATCH: usize = 1024;

/// The table of all letters below `directory`, read by `partitions` threads.
pub fn table(directory: &Path, partitions: usize) -> std::result::Result<Arc<dyn TableProvider>, QueryError> {
    let schema = schema();
    let mut files = Vec::new();
    walk(directory, &mut files)?;
    let share = files.len().div_ceil(partitions).max(1);
    let mut streams: Vec<Arc<dyn PartitionStream>> = files
        .chunks(share)
        .map(|files| Arc::new(Letters { schema: schema.clone(), files: files.to_vec() }) as Arc<dyn PartitionStream>)
        .collect();
    if streams.is_empty() {
        streams.push(Arc::new(Letters { schema: schema.clone(), files: Vec::new() }));
    }
    Ok(Arc::new(StreamingTable::try_new(schema, streams)?))
}

/// Some of the files.
#[derive(Debug)]
struct Letters {
    schema: SchemaRef,
    files: Vec<PathBuf>,
}

impl PartitionStream for Letters {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (batches, files, schema) = (builder.tx(), self.files.clone(), self.schema.clone());
        builder.spawn_blocking(move || {
            let mut batch = Batch::default();
            for file in files {
                let named = |e: &dyn std::fmt::Display| DataFusionError::Execution(format!("{}: {e}", file.display()));
                for (number, line) in BufReader::new(File::open(&file).map_err(|e| named(&e))?).lines().enumerate() {
                    let line = line.map_err(|e| named(&e))?;
                    let letter: DeadLetter = serde_json::from_str(&line)
                        .map_err(|e| named(&format!("line {} is no dead letter: {e}", number + 1)))?;
                    batch.push(&letter);
                    if batch.rows == BATCH && batches.blocking_send(batch.finish(&schema)).is_err() {
                        // Nobody wants more: LIMIT.
                        return Ok(());
                    }
                }
            }
            if batch.rows > 0 {
                let _ = batches.blocking_send(batch.finish(&schema));
            }
            Ok(())
        });
        builder.build()
    }
}

#[derive(Debug, Default)]
struct Batch {
    rows: usize,
    time: TimestampMillisecondBuilder,
    split: StringBuilder,
    position: UInt64Builder,
    operator: StringBuilder,
    reason: StringBuilder,
    raw: StringBuilder,
}

impl Batch {
    fn push(&mut self, letter: &DeadLetter) {
        self.rows += 1;
        self.time.append_option(letter.time);
        self.split.append_value(&letter.split);
        self.position.append_option(letter.position);
        self.operator.append_value(&letter.operator);
        self.reason.append_value(&letter.reason);
        self.raw.append_value(String::from_utf8_lossy(&letter.raw));
    }

    fn finish(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish().with_timezone("UTC")),
            Arc::new(self.split.finish()),
            Arc::new(self.position.finish()),
            Arc::new(self.operator.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.raw.finish()),
        ];
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("time", utc(TimeUnit::Millisecond), true),
        text("split"),
        Field::new("position", DataType::UInt64, true),
        text("operator"),
        text("reason"),
        text("raw"),
    ]))
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> std::result::Result<(), QueryError> {
    for path in entries(directory)? {
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "json" || e == "jsonl") {
            files.push(path);
        }
    }
    Ok(())
}
