//! A delimited line as a row: Hive's own text, and CSV with quotes.

use crate::{
    error::{Error, Result},
    format::{Format, SerDe},
    table::Table,
    values::{NotOfType, Values},
};

/// How a line is cut.
#[derive(Debug, Clone)]
pub(crate) struct TextRules {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    null: Option<String>,
    /// Hive's own text takes what is not of the type for NULL; CSV does not.
    lenient: bool,
}

impl TextRules {
    /// What the SerDe's properties say.
    pub fn of(table: &Table) -> Result<Self> {
        let Format { serde, properties } = &table.format;
        let one = |property: &str| -> Result<Option<u8>> {
            let Some(text) = properties.get(property) else { return Ok(None) };
            match (text.as_bytes(), text.parse::<u8>()) {
                // Hive takes digits for the byte's number.
                (_, Ok(byte)) => Ok(Some(byte)),
                ([byte], _) => Ok(Some(*byte)),
                _ => Err(Error::NotSupported(format!(
                    "table {}: '{property}' = '{text}', it must be one byte",
                    table.name
                ))),
            }
        };
        if *serde == SerDe::OpenCsv {
            return Ok(TextRules {
                delimiter: one("separatorChar")?.unwrap_or(b','),
                quote: Some(one("quoteChar")?.unwrap_or(b'"')),
                escape: Some(one("escapeChar")?.unwrap_or(b'\\')),
                null: None,
                lenient: false,
            });
        }
        if let Some(end) = properties.get("line.delim").filter(|end| *end != "\n" && *end != "10") {
            return Err(Error::NotSupported(format!(
                "table {}: LINES TERMINATED BY '{}', lines end with \\n",
                table.name,
                end.escape_default()
            )));
        }
        let delimiter = match one("field.delim")? {
            Some(delimiter) => Some(delimiter),
            None => one("serialization.format")?,
        };
        Ok(TextRules {
            delimiter: delimiter.unwrap_or(1),
            quote: None,
            escape: one("escape.delim")?,
            null: Some(properties.get("serialization.null.format").cloned().unwrap_or_else(|| "\\N".into())),
            lenient: true,
        })
    }

    /// Appends a line: to the column at a place in the line, for each of `places`.
    pub fn push_line(&self, line: &[u8], places: &[usize], columns: &mut [Values]) -> Result<(), NotOfType> {
        let wanted = places.iter().max().map_or(0, |last| last + 1);
        let fields = self.cut(line, wanted);
        for (place, column) in places.iter().zip(columns) {
            match fields.get(*place) {
                Some(field) if self.null.as_ref().is_none_or(|null| field != null.as_bytes()) => {
                    let text = String::from_utf8_lossy(field);
                    self.push(&text, column)?;
                }
                _ => column.push_null(),
            }
        }
        Ok(())
    }

    fn push(&self, text: &str, column: &mut Values) -> Result<(), NotOfType> {
        let pushed = match (self.lenient, &mut *column) {
            // CSV's times are numbers: milliseconds, and days, since 1970.
            (false, Values::Timestamp(times)) if is_number(text) => {
                let millis: i64 = text.trim().parse().map_err(|_| format!("'{text}' is no timestamp"))?;
                times.append_value(millis.saturating_mul(1000));
                Ok(())
            }
            (false, Values::Date(dates)) if is_number(text) => {
                dates.append_value(text.trim().parse().map_err(|_| format!("'{text}' is no date"))?);
                Ok(())
            }
            _ => column.push_text(text),
        };
        if pushed.is_err() && self.lenient {
            column.push_null();
            return Ok(());
        }
        pushed
    }

    /// The first fields of a line.
    fn cut(&self, line: &[u8], wanted: usize) -> Vec<Vec<u8>> {
        let mut fields = Vec::with_capacity(wanted);
        let (mut field, mut quoted, mut at) = (Vec::new(), false, 0);
        while let Some(&byte) = line.get(at) {
            at += 1;
            if fields.len() == wanted {
                return fields;
            }
            if Some(byte) == self.quote {
                if quoted && line.get(at) == Some(&byte) {
                    field.push(byte);
                    at += 1;
                } else {
                    quoted = !quoted;
                }
            } else if Some(byte) == self.escape && at < line.len() {
                // The text of NULL begins with the escape, and is no escaped letter.
                if self.null.as_deref() == Some("\\N") && line[at] == b'N' {
                    field.push(byte);
                }
                field.push(line[at]);
                at += 1;
            } else if byte == self.delimiter && !quoted {
                fields.push(std::mem::take(&mut field));
            } else {
                field.push(byte);
            }
        }
        fields.push(field);
        fields
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.trim().strip_prefix('-').unwrap_or(text.trim());
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}
