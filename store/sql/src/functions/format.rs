//! Times as text and back: `date_format` and `date_parse` with MySQL's letters, `format_datetime` and
//! `parse_datetime` with Joda's, ISO 8601; all in UTC.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray, TimestampNanosecondArray},
    datatypes::{DataType, TimestampNanosecondType},
};
use datafusion::{
    common::{Result, exec_err, plan_datafusion_err, plan_err},
    logical_expr::{ScalarFunctionArgs, ScalarUDF},
};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    fmt::strtime,
};

use super::{
    arrays,
    calendar::{civil, nanoseconds, texts},
    columnar, is_text, is_time, unexpected,
};
use crate::series::TIMESTAMP;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        columnar("date_format", time_and_text, |_| Ok(DataType::Utf8), |a| format(a, mysql)),
        columnar("format_datetime", time_and_text, |_| Ok(DataType::Utf8), |a| format(a, joda)),
        columnar("date_parse", two_texts, |_| Ok(TIMESTAMP), |a| parse(a, mysql)),
        columnar("parse_datetime", two_texts, |_| Ok(TIMESTAMP), |a| parse(a, joda)),
        columnar("from_iso8601_timestamp", one_text, |_| Ok(TIMESTAMP), from_iso8601_timestamp),
        columnar("from_iso8601_date", one_text, |_| Ok(DataType::Date32), from_iso8601_date),
        columnar("to_iso8601", one_time, |_| Ok(DataType::Utf8), to_iso8601),
    ]
}

fn time_and_text(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [time, format] if is_time(time) && is_text(format) => Ok(vec![TIMESTAMP, DataType::Utf8]),
        _ => unexpected(name, types, &format!("{name}(timestamp, varchar)")),
    }
}

fn two_texts(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [text, format] if (is_text(text) || *text == DataType::Null) && is_text(format) => {
            Ok(vec![DataType::Utf8, DataType::Utf8])
        }
        _ => unexpected(name, types, &format!("{name}(varchar, varchar)")),
    }
}

fn one_text(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [text] if is_text(text) || *text == DataType::Null => Ok(vec![DataType::Utf8]),
        _ => unexpected(name, types, &format!("{name}(varchar)")),
    }
}

fn one_time(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [time] if is_time(time) => Ok(vec![TIMESTAMP]),
        _ => unexpected(name, types, &format!("{name}(timestamp)")),
    }
}

/// Translates a column of formats; nearly always it is the same one all the way.
struct Formats {
    translate: fn(&str) -> Result<String>,
    last: (String, String),
}

impl Formats {
    fn new(translate: fn(&str) -> Result<String>) -> Self {
        Formats { translate, last: Default::default() }
    }

    fn get(&mut self, format: &str) -> Result<&str> {
        if self.last.0 != format {
            self.last = (format.to_owned(), (self.translate)(format)?);
        }
        Ok(&self.last.1)
    }
}

fn format(args: &ScalarFunctionArgs, translate: fn(&str) -> Result<String>) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [times, formats] = columns.as_slice() else { return exec_err!("two arguments expected") };
    let (times, formats) = (times.as_primitive::<TimestampNanosecondType>(), texts(formats)?);
    let mut translated = Formats::new(translate);
    let out = (0..times.len())
        .map(|i| {
            if times.is_null(i) || formats.is_null(i) {
                return Ok(None);
            }
            let format = translated.get(formats.value(i))?;
            let text = strtime::format(format, civil(times.value(i)));
            text.map(Some).map_err(|e| plan_datafusion_err!("Invalid format '{}': {e}", formats.value(i)))
        })
        .collect::<Result<StringArray>>()?;
    Ok(Arc::new(out))
}

fn parse(args: &ScalarFunctionArgs, translate: fn(&str) -> Result<String>) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [times, formats] = columns.as_slice() else { return exec_err!("two arguments expected") };
    let (times, formats) = (texts(times)?, texts(formats)?);
    let mut translated = Formats::new(translate);
    let out = (0..times.len())
        .map(|i| {
            if times.is_null(i) || formats.is_null(i) {
                return Ok(None);
            }
            let (text, format) = (times.value(i), translated.get(formats.value(i))?);
            parse_one(text, format)
                .map_err(|e| plan_datafusion_err!("Invalid format: \"{text}\" is not of '{}': {e}", formats.value(i)))
                .and_then(nanoseconds)
                .map(Some)
        })
        .collect::<Result<TimestampNanosecondArray>>()?;
    Ok(Arc::new(out))
}

fn parse_one(text: &str, format: &str) -> Result<DateTime, jiff::Error> {
    let fields = strtime::parse(format, text)?;
    if fields.offset().is_some() {
        return Ok(jiff::tz::Offset::UTC.to_datetime(fields.to_timestamp()?));
    }
    let time = if fields.hour().is_some() { fields.to_time()? } else { Time::midnight() };
    Ok(fields.to_date()?.to_datetime(time))
}

fn from_iso8601_timestamp(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [all] = columns.as_slice() else { return exec_err!("one argument expected") };
    let out =
        texts(all)?.iter().map(|text| text.map(iso8601).transpose()).collect::<Result<TimestampNanosecondArray>>()?;
    Ok(Arc::new(out))
}

fn iso8601(text: &str) -> Result<i64> {
    let out = || plan_datafusion_err!("Invalid format: \"{text}\" is not of ISO 8601");
    if let Ok(time) = text.parse::<Timestamp>() {
        return i64::try_from(time.as_nanosecond()).map_err(|_| out());
    }
    // Without an offset it is UTC.
    match text.parse::<DateTime>() {
        Ok(civil) => nanoseconds(civil),
        Err(_) => Err(out()),
    }
}

fn from_iso8601_date(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [all] = columns.as_slice() else { return exec_err!("one argument expected") };
    let out = texts(all)?
        .iter()
        .map(|text| {
            text.map(|text| match text.parse::<Date>() {
                Ok(date) => Ok((nanoseconds(date.to_datetime(Time::midnight()))? / 86_400_000_000_000) as i32),
                Err(_) => plan_err!("Invalid format: \"{text}\" is not a date of ISO 8601"),
            })
            .transpose()
        })
        .collect::<Result<arrow::array::Date32Array>>()?;
    Ok(Arc::new(out))
}

fn to_iso8601(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [times] = columns.as_slice() else { return exec_err!("one argument expected") };
    let out: StringArray = times
        .as_primitive::<TimestampNanosecondType>()
        .iter()
        .map(|t| t.map(|t| strtime::format("%Y-%m-%dT%H:%M:%S.%9fZ", civil(t)).unwrap_or_default()))
        .collect();
    Ok(Arc::new(out))
}

/// MySQL's letters as strtime's.
fn mysql(format: &str) -> Result<String> {
    let mut out = String::with_capacity(format.len() + 8);
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        out.push_str(match chars.next() {
            Some('a') => "%a",
            Some('b') => "%b",
            Some('c') => "%-m",
            Some('d') => "%d",
            Some('e') => "%-d",
            Some('f') => "%6f",
            Some('H') => "%H",
            Some('h' | 'I') => "%I",
            Some('i') => "%M",
            Some('j') => "%j",
            Some('k') => "%-H",
            Some('l') => "%-I",
            Some('M') => "%B",
            Some('m') => "%m",
            Some('p') => "%p",
            Some('r') => "%I:%M:%S %p",
            Some('S' | 's') => "%S",
            Some('T') => "%H:%M:%S",
            Some('v') => "%V",
            Some('W') => "%A",
            Some('x') => "%G",
            Some('Y') => "%Y",
            Some('y') => "%y",
            Some('%') => "%%",
            Some(other) => return plan_err!("%{other} is not supported in a date format string"),
            None => return plan_err!("a date format string ends with %"),
        });
    }
    Ok(out)
}

/// Joda's letters as strtime's.
fn joda(format: &str) -> Result<String> {
    let mut out = String::with_capacity(format.len() + 8);
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            // Two quotes are one; otherwise what is between is taken as it is.
            if chars.next_if_eq(&'\'').is_some() {
                out.push('\'');
                continue;
            }
            for literal in chars.by_ref().take_while(|l| *l != '\'') {
                push_literal(&mut out, literal);
            }
            continue;
        }
        if !c.is_ascii_alphabetic() {
            push_literal(&mut out, c);
            continue;
        }
        let mut count = 1;
        while chars.next_if_eq(&c).is_some() {
            count += 1;
        }
        match (c, count) {
            ('y' | 'Y', 2) => out.push_str("%y"),
            ('y' | 'Y', _) => out.push_str("%Y"),
            ('x', _) => out.push_str("%G"),
            ('M', 1) => out.push_str("%-m"),
            ('M', 2) => out.push_str("%m"),
            ('M', 3) => out.push_str("%b"),
            ('M', _) => out.push_str("%B"),
            ('d', 1) => out.push_str("%-d"),
            ('d', _) => out.push_str("%d"),
            ('D', _) => out.push_str("%j"),
            ('w', _) => out.push_str("%V"),
            ('e', _) => out.push_str("%u"),
            ('E', 1..=3) => out.push_str("%a"),
            ('E', _) => out.push_str("%A"),
            ('a', _) => out.push_str("%p"),
            ('H', 1) => out.push_str("%-H"),
            ('H', _) => out.push_str("%H"),
            ('h', 1) => out.push_str("%-I"),
            ('h', _) => out.push_str("%I"),
            ('m', 1) => out.push_str("%-M"),
            ('m', _) => out.push_str("%M"),
            ('s', 1) => out.push_str("%-S"),
            ('s', _) => out.push_str("%S"),
            ('S', 1..=9) => {
                out.push('%');
                out.push_str(&count.to_string());
                out.push('f');
            }
            ('Z', 1) => out.push_str("%z"),
            ('Z', 2) => out.push_str("%:z"),
            _ => return plan_err!("{c} is not supported in a pattern of dates"),
        }
    }
    Ok(out)
}

fn push_literal(out: &mut String, literal: char) {
    if literal == '%' {
        out.push('%');
    }
    out.push(literal);
}
