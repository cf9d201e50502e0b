//! `storage.location.template`: where a partition's files are, from its values.

use crate::{error::Result, table::Table};

/// A location with places for the partition columns' values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A partition column's place in the table.
    Column {
        at: usize,
        escaped: bool,
    },
}

impl Template {
    /// The table's own, or Hive's layout below its location.
    pub fn of(table: &Table) -> Result<Self> {
        match table.properties.get("storage.location.template") {
            Some(text) => Template::parse(text, table),
            None => Ok(Template::hive(table)),
        }
    }

    fn hive(table: &Table) -> Self {
        let mut pieces = vec![Piece::Text(table.location.trim_end_matches('/').to_owned())];
        for (at, column) in table.partitions.iter().enumerate() {
            pieces.push(Piece::Text(format!("/{}=", escape(&column.name))));
            pieces.push(Piece::Column { at, escaped: true });
        }
        Template { pieces }
    }

    fn parse(text: &str, table: &Table) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, tail)) = after.split_once('}') else {
                return Err(
                    table.bad_property(format!("storage.location.template '{text}' has a '${{' without its '}}'"))
                );
            };
            let known = table.partitions.iter().position(|column| column.name.eq_ignore_ascii_case(name.trim()));
            let Some(at) = known else {
                return Err(table.bad_property(format!(
                    "storage.location.template has ${{{name}}}, and there is no partition column of that name"
                )));
            };
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Column { at, escaped: false });
            rest = tail;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let bucket = ["s3://", "s3a://", "s3n://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        if bucket
            .is_some_and(|rest| rest.find("${").is_some_and(|place| rest.find('/').is_none_or(|slash| place < slash)))
        {
            return Err(table.bad_property(format!(
                "storage.location.template '{text}' has a partition column in its bucket: all locations are in one bucket"
            )));
        }
        for (at, column) in table.partitions.iter().enumerate() {
            if !pieces.iter().any(|piece| matches!(piece, Piece::Column { at: found, .. } if *found == at)) {
                return Err(table.bad_property(format!(
                    "storage.location.template '{text}' must contain ${{{}}}: every partition column has to be in it",
                    column.name
                )));
            }
        }
        Ok(Template { pieces })
    }

    /// What stands before the first value: all locations begin with it.
    pub fn beginning(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// The location of a partition with these values, one text a partition column.
    pub fn fill(&self, values: &[&str]) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Column { at, escaped } => {
                    let value = values.get(*at).copied().unwrap_or_default();
                    if *escaped { out.push_str(&escape(value)) } else { out.push_str(value) }
                }
            }
        }
        out
    }
}

/// A name or a value as Hive writes it into a path.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for ch in text.chars() {
        if ch.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(ch) {
            out.push_str(&format!("%{:02X}", ch as u32));
        } else {
            out.push(ch);
        }
    }
    out
}

/// What [`escape`] wrote.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(code) if *first == b'%' => {
                out.push(code);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}
