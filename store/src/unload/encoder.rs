//! Rows as the bytes of one file: CSV or Parquet, compressed or not.

use std::{io::Write, mem::take};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use csv::QuoteStyle;
use flate2::{Compression, write::GzEncoder};
use hurtig_timestream_sql::{
    Error, Result,
    column_info::{ColumnInfo, ScalarType, Type},
    datum::{self, Datum},
    unload::{UnloadCompression, UnloadFormat, UnloadOptions},
};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};

use super::failed;

/// Rows of a Parquet file's row group at most.
const ROW_GROUP: usize = 128 << 10;

/// Encodes one file.
pub enum Encoder {
    /// CSV.
    Csv(Box<Csv>),
    /// Parquet.
    Parquet(Box<ArrowWriter<Vec<u8>>>),
}

/// How fields are written, and where they go.
pub struct Csv {
    fields: csv::WriterBuilder,
    /// Before this character and before quotes, where it is not the quote.
    escape: Option<char>,
    out: Out,
}

enum Out {
    Plain(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

/// Whether a result of these columns can be written so.
pub fn check(columns: &[ColumnInfo], options: &UnloadOptions) -> Result<()> {
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_deref().unwrap_or_default()).collect();
    if let Some((_, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(Error::Validation(format!("Column name '{name}' specified more than once")));
    }
    for column in columns {
        check_type(column, options.format)?;
    }
    let by = &options.partitioned_by;
    if let Some(name) = by.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Error::Validation(format!("Partition column '{name}' is not in the result")));
    }
    if !by.is_empty() && by.len() >= names.len() {
        return Err(Error::validation("The result contains only partition columns"));
    }
    if !names.ends_with(&by.iter().map(String::as_str).collect::<Vec<_>>()) {
        return Err(Error::Validation(format!(
            "Partition keys must be the last columns of the SELECT, in the order of partitioned_by: [{}]",
            by.join(", ")
        )));
    }
    let is_scalar =
        |name: &String| columns.iter().any(|c| c.name.as_ref() == Some(name) && matches!(c.data_type, Type::Scalar(_)));
    if let Some(name) = by.iter().find(|name| !is_scalar(name)) {
        return Err(Error::Validation(format!("The partition column '{name}' must have single values")));
    }
    let (delimiter, escape) = (options.field_delimiter, options.escaped_by);
    if options.format == UnloadFormat::Csv
        && (delimiter == escape || [delimiter, escape].iter().any(|c| matches!(c, '\n' | '\r')) || delimiter == '"')
    {
        return Err(Error::validation(
            "field_delimiter, escaped_by and the quote must differ from each other, and from the end of a line",
        ));
    }
    Ok(())
}

fn check_type(column: &ColumnInfo, format: UnloadFormat) -> Result<()> {
    let name = column.name.as_deref().unwrap_or_default();
    let refused = |what: &str| Err(Error::Validation(format!("UNLOAD cannot write the column '{name}': {what}")));
    match (&column.data_type, format) {
        (Type::Scalar(ScalarType::Time | ScalarType::Unknown), _) => {
            refused("values of the types time and unknown are not exported")
        }
        (Type::Scalar(ScalarType::IntervalDayToSecond | ScalarType::IntervalYearToMonth), UnloadFormat::Parquet) => {
            refused("Parquet has no such intervals; CAST(… AS VARCHAR) is exported")
        }
        (Type::Array(_) | Type::TimeSeries(_) | Type::Row(_), UnloadFormat::Csv) => {
            refused("CSV has single values only; format = 'PARQUET' takes arrays, rows and time series")
        }
        _ => Ok(()),
    }
}

/// What a file of these options is called behind its name.
pub fn extension(options: &UnloadOptions) -> &'static str {
    match (options.format, options.compression) {
        (UnloadFormat::Csv, UnloadCompression::None) => "csv",
        (UnloadFormat::Csv, UnloadCompression::Gzip) => "csv.gz",
        (UnloadFormat::Parquet, UnloadCompression::None) => "parquet",
        (UnloadFormat::Parquet, UnloadCompression::Gzip) => "gz.parquet",
    }
}

impl Encoder {
    /// A file of rows of this schema.
    pub fn new(schema: &SchemaRef, options: &UnloadOptions) -> Result<Self> {
        match options.format {
            UnloadFormat::Csv => Ok(Encoder::Csv(Box::new(Csv::new(schema, options)?))),
            UnloadFormat::Parquet => {
                let compression = match options.compression {
                    UnloadCompression::None => parquet::basic::Compression::UNCOMPRESSED,
                    UnloadCompression::Gzip => parquet::basic::Compression::GZIP(Default::default()),
                };
                let properties = WriterProperties::builder()
                    .set_compression(compression)
                    .set_max_row_group_row_count(Some(ROW_GROUP))
                    .build();
                let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).map_err(failed)?;
                Ok(Encoder::Parquet(Box::new(writer)))
            }
        }
    }

    /// Adds rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Encoder::Csv(csv) => csv.write(batch),
            Encoder::Parquet(writer) => writer.write(batch).map_err(failed),
        }
    }

    /// Bytes of memory that are not in what [`Encoder::take`] gives.
    pub fn memory(&self) -> usize {
        match self {
            Encoder::Csv(_) => 0,
            Encoder::Parquet(writer) => writer.memory_size(),
        }
    }

    /// About how many bytes the rows that were not given yet will make.
    pub fn size_to_come(&self) -> usize {
        match self {
            Encoder::Csv(_) => 0,
            Encoder::Parquet(writer) => writer.in_progress_size(),
        }
    }

    /// Makes bytes of what is in memory.
    pub fn flush(&mut self) -> Result<()> {
        match self {
            Encoder::Csv(_) => Ok(()),
            Encoder::Parquet(writer) => writer.flush().map_err(failed),
        }
    }

    /// The bytes so far that were not taken yet.
    pub fn take(&mut self) -> Vec<u8> {
        match self {
            Encoder::Csv(csv) => match &mut csv.out {
                Out::Plain(bytes) => take(bytes),
                Out::Gzip(gzip) => take(gzip.get_mut()),
            },
            Encoder::Parquet(writer) => take(writer.inner_mut()),
        }
    }

    /// The last bytes.
    pub fn finish(self) -> Result<Vec<u8>> {
        match self {
            Encoder::Csv(csv) => match csv.out {
                Out::Plain(bytes) => Ok(bytes),
                Out::Gzip(gzip) => gzip.finish().map_err(failed),
            },
            Encoder::Parquet(writer) => writer.into_inner().map_err(failed),
        }
    }
}

impl Csv {
    fn new(schema: &SchemaRef, options: &UnloadOptions) -> Result<Self> {
        let mut fields = csv::WriterBuilder::new();
        let escapes = options.escaped_by != '"';
        fields
            .has_headers(false)
            .flexible(true)
            .quote_style(QuoteStyle::Necessary)
            .delimiter(u8::try_from(options.field_delimiter).unwrap_or(b','))
            .double_quote(!escapes)
            .escape(u8::try_from(options.escaped_by).unwrap_or(b'\\'));
        let out = match options.compression {
            UnloadCompression::None => Out::Plain(Vec::new()),
            UnloadCompression::Gzip => Out::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::default()))),
        };
        let mut csv = Csv { fields, escape: escapes.then_some(options.escaped_by), out };
        if options.include_header {
            let names = schema.fields().iter().map(|field| field.name().clone());
            csv.lines(std::iter::once(names.collect()))?;
        }
        Ok(csv)
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let text = |datum| match datum {
            Datum::Scalar(text) => text,
            // NULL; there are no others in CSV.
            _ => String::new(),
        };
        self.lines(datum::rows(batch)?.into_iter().map(|row| row.data.into_iter().map(text).collect()))
    }

    fn lines(&mut self, lines: impl Iterator<Item = Vec<String>>) -> Result<()> {
        let mut writer = self.fields.from_writer(Vec::new());
        for line in lines {
            let fields = line.into_iter().map(|field| match self.escape {
                // The writer puts it before quotes only, and quotes what has it.
                Some(escape) if field.contains(escape) => field.replace(escape, &format!("{escape}{escape}")),
                _ => field,
            });
            writer.write_record(fields).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|e| failed(std::io::Error::other(e.to_string())))?;
        match &mut self.out {
            Out::Plain(out) => out.write_all(&bytes).map_err(failed),
            Out::Gzip(out) => out.write_all(&bytes).map_err(failed),
        }
    }
}
