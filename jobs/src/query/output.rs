//! The answer, as a table, CSV or JSON lines. The latter two are streamed.

use std::{future::poll_fn, io::Write};

use datafusion::{
    arrow::{
        array::RecordBatch, csv, error::ArrowError, json::LineDelimitedWriter, util::pretty::pretty_format_batches,
    },
    dataframe::DataFrame,
};

use super::QueryError;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Format {
    /// For people; the first [`TABLE_ROWS`] rows.
    #[default]
    Table,
    /// With a header line.
    Csv,
    /// One object a line.
    Json,
}

/// A table's columns are as wide as their widest cell, so all of it is in memory.
pub const TABLE_ROWS: usize = 10_000;

/// Writes the answer and returns how many rows it has.
pub(super) async fn write(answer: DataFrame, format: Format, out: &mut impl Write) -> Result<u64, QueryError> {
    let schema = answer.schema().inner().clone();
    let mut stream = answer.execute_stream().await?;
    let mut sheet = Sheet::new(format, out);
    let mut rows = 0;
    // An answer without rows has a header too.
    sheet.write(&RecordBatch::new_empty(schema))?;
    while let Some(batch) = poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        if !sheet.write(&batch)? {
            break;
        }
    }
    sheet.finish()?;
    Ok(rows)
}

/// Writes an answer that is there, and returns how many rows it has.
pub(super) fn write_all(answer: &[RecordBatch], format: Format, out: &mut impl Write) -> Result<u64, QueryError> {
    let mut sheet = Sheet::new(format, out);
    for batch in answer {
        sheet.write(batch)?;
    }
    sheet.finish()?;
    Ok(answer.iter().map(|batch| batch.num_rows() as u64).sum())
}

enum Sheet<'a, W: Write> {
    Table { out: &'a mut W, batches: Vec<RecordBatch>, rows: usize },
    Csv(Box<csv::Writer<&'a mut W>>),
    Json(LineDelimitedWriter<&'a mut W>),
}

impl<'a, W: Write> Sheet<'a, W> {
    fn new(format: Format, out: &'a mut W) -> Self {
        match format {
            Format::Table => Sheet::Table { out, batches: Vec::new(), rows: 0 },
            Format::Csv => Sheet::Csv(Box::new(csv::WriterBuilder::new().with_header(true).build(out))),
            Format::Json => Sheet::Json(LineDelimitedWriter::new(out)),
        }
    }

    /// Takes a batch, and says whether there is room for more.
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, QueryError> {
        match self {
            Sheet::Table { batches, rows, .. } => {
                let taken = batch.num_rows().min(TABLE_ROWS + 1 - *rows);
                batches.push(batch.slice(0, taken));
                *rows += taken;
                Ok(*rows <= TABLE_ROWS)
            }
            Sheet::Csv(writer) => writer.write(batch).map(|()| true).map_err(arrow_error),
            Sheet::Json(writer) => writer.write(batch).map(|()| true).map_err(arrow_error),
        }
    }

    fn finish(self) -> Result<(), QueryError> {
        let out = match self {
            Sheet::Table { out, mut batches, rows } => {
                if rows > TABLE_ROWS
                    && let Some(last) = batches.last_mut()
                {
                    *last = last.slice(0, last.num_rows() - 1);
                }
                let table = pretty_format_batches(&batches).map_err(arrow_error)?;
                writeln!(out, "{table}").map_err(QueryError::Io)?;
                if rows > TABLE_ROWS {
                    let hint = format!("the first {TABLE_ROWS} rows: --format csv or json has all of them");
                    writeln!(out, "{hint}").map_err(QueryError::Io)?;
                }
                out
            }
            Sheet::Csv(writer) => writer.into_inner(),
            Sheet::Json(mut writer) => {
                writer.finish().map_err(arrow_error)?;
                writer.into_inner()
            }
        };
        out.flush().map_err(QueryError::Io)
    }
}

fn arrow_error(error: ArrowError) -> QueryError {
    match error {
        ArrowError::IoError(_, source) => QueryError::Io(source),
        other => QueryError::Sql(other.into()),
    }
}
