//! UNLOAD: what its options say.

use datafusion::sql::sqlparser::ast::{Expr, Ident, SqlOption, Value};

use crate::error::{Error, Result};

/// `UNLOAD (…) TO 's3://bucket/prefix' WITH (…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnloadOptions {
    /// Where to: `s3://bucket/prefix`, or `file:///directory`, which Timestream does not have.
    pub to: String,
    /// The columns whose values make the directories; they are the query's last columns.
    pub partitioned_by: Vec<String>,
    /// The files' format; CSV unless said otherwise.
    pub format: UnloadFormat,
    /// The files' compression; GZIP unless said otherwise.
    pub compression: UnloadCompression,
    /// Whether a CSV file begins with its columns' names.
    pub include_header: bool,
    /// Between a CSV file's fields; a comma unless said otherwise.
    pub field_delimiter: char,
    /// Within a CSV file's quotes, before a quote; a backslash unless said otherwise.
    pub escaped_by: char,
    /// The size that a file shall not exceed (`78GB` …), in bytes.
    pub max_file_size: Option<u64>,
}

/// A file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnloadFormat {
    /// `CSV`
    Csv,
    /// `PARQUET`
    Parquet,
}

/// A file's compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnloadCompression {
    /// `NONE`
    None,
    /// `GZIP`
    Gzip,
}

impl UnloadOptions {
    pub(crate) fn parse(to: &Ident, with: &[SqlOption]) -> Result<Self> {
        let mut options = UnloadOptions {
            to: to.value.clone(),
            partitioned_by: Vec::new(),
            format: UnloadFormat::Csv,
            compression: UnloadCompression::Gzip,
            include_header: false,
            field_delimiter: ',',
            escaped_by: '\\',
            max_file_size: None,
        };
        if !options.to.starts_with("s3://") && !options.to.starts_with("file://") {
            return Err(Error::validation("UNLOAD writes to 's3://bucket/prefix', or to 'file:///directory'"));
        }
        for option in with {
            let SqlOption::KeyValue { key, value } = option else {
                return Err(Error::validation(format!("UNLOAD does not know the option {option}")));
            };
            options.set(&key.value.to_ascii_lowercase(), value)?;
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &Expr) -> Result<()> {
        match key {
            "partitioned_by" => {
                let Expr::Array(array) = value else {
                    return Err(Error::validation("partitioned_by takes ARRAY['column', …]"));
                };
                self.partitioned_by = array.elem.iter().map(|e| text("partitioned_by", e)).collect::<Result<_>>()?;
            }
            "format" => {
                self.format = match text(key, value)?.to_ascii_uppercase().as_str() {
                    "CSV" => UnloadFormat::Csv,
                    "PARQUET" => UnloadFormat::Parquet,
                    other => return Err(Error::validation(format!("format is CSV or PARQUET, not {other}"))),
                }
            }
            "compression" => {
                self.compression = match text(key, value)?.to_ascii_uppercase().as_str() {
                    "NONE" => UnloadCompression::None,
                    "GZIP" => UnloadCompression::Gzip,
                    other => return Err(Error::validation(format!("compression is NONE or GZIP, not {other}"))),
                }
            }
            "include_header" => {
                self.include_header = match text(key, value)?.to_ascii_lowercase().as_str() {
                    "true" => true,
                    "false" => false,
                    other => return Err(Error::validation(format!("include_header is true or false, not {other}"))),
                }
            }
            "field_delimiter" => self.field_delimiter = one_character(key, value)?,
            "escaped_by" => self.escaped_by = one_character(key, value)?,
            "max_file_size" => self.max_file_size = Some(size(&text(key, value)?)?),
            // The store has one way to keep files; what AWS encrypts with is not ours to choose.
            "encryption" | "kms_key" => {}
            other => return Err(Error::validation(format!("UNLOAD does not know the option '{other}'"))),
        }
        Ok(())
    }
}

fn text(key: &str, value: &Expr) -> Result<String> {
    match value {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(s) | Value::DoubleQuotedString(s) => Ok(s.clone()),
            Value::Boolean(b) => Ok(b.to_string()),
            other => Err(Error::validation(format!("{key} takes a string, not {other}"))),
        },
        other => Err(Error::validation(format!("{key} takes a string, not {other}"))),
    }
}

fn one_character(key: &str, value: &Expr) -> Result<char> {
    let text = text(key, value)?;
    if matches!(text.as_str(), "\\t" | "/t") {
        return Ok('\t');
    }
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii() => Ok(c),
        _ => Err(Error::validation(format!("{key} takes one ASCII character, not '{text}'"))),
    }
}

/// `16MB` … `78GB`.
fn size(text: &str) -> Result<u64> {
    let wrong =
        || Error::validation(format!("max_file_size is written 16MB … 78GB, and is from there to there, not '{text}'"));
    let upper = text.to_ascii_uppercase();
    let (number, unit) = match (upper.strip_suffix("MB"), upper.strip_suffix("GB")) {
        (Some(n), _) => (n, 1 << 20),
        (_, Some(n)) => (n, 1 << 30),
        _ => return Err(wrong()),
    };
    let size = number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)?;
    if !(16 << 20..=78 << 30).contains(&size) {
        return Err(wrong());
    }
    Ok(size)
}
