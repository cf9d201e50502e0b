//! A table's DDL, as Athena takes it: it reads back as the same table.

use std::{collections::BTreeMap, fmt::Write};

use crate::table::{Column, Table};

impl Table {
    /// `CREATE EXTERNAL TABLE …`, without a semicolon.
    pub fn to_ddl(&self) -> String {
        let mut out = format!("CREATE EXTERNAL TABLE {}.{}", name(&self.name.database), name(&self.name.table));
        // Writing into a String cannot fail.
        if self.is_delta() {
            out.push('\n');
            self.write_place(&mut out);
            return out;
        }
        out.push_str(" (\n");
        let _ = write_columns(&mut out, &self.columns);
        if let Some(comment) = &self.comment {
            let _ = writeln!(out, "COMMENT {}", text(comment));
        }
        if !self.partitions.is_empty() {
            out.push_str("PARTITIONED BY (\n");
            let _ = write_columns(&mut out, &self.partitions);
        }
        let _ = writeln!(out, "ROW FORMAT SERDE\n  {}", text(self.format.serde.class()));
        if !self.format.properties.is_empty() {
            out.push_str("WITH SERDEPROPERTIES (\n");
            let _ = write_properties(&mut out, &self.format.properties);
            out.push('\n');
        }
        let (input, output) = self.format.serde.file_formats();
        let _ = writeln!(out, "STORED AS INPUTFORMAT\n  {}\nOUTPUTFORMAT\n  {}", text(input), text(output));
        self.write_place(&mut out);
        out
    }

    fn write_place(&self, out: &mut String) {
        let _ = write!(out, "LOCATION\n  {}", text(&self.location));
        if !self.properties.is_empty() {
            out.push_str("\nTBLPROPERTIES (\n");
            let _ = write_properties(out, &self.properties);
        }
    }
}

/// A struct's field as a type has it: quoted where it has to be.
pub(crate) fn struct_name(name: &str) -> String {
    let plain = name.starts_with(|ch: char| ch.is_ascii_lowercase() || ch == '_')
        && name.chars().all(|ch| ch.is_ascii_lowercase() || ch.is_ascii_digit() || ch == '_');
    if plain { name.to_owned() } else { self::name(name) }
}

fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn write_columns(out: &mut String, columns: &[Column]) -> std::fmt::Result {
    for (at, column) in columns.iter().enumerate() {
        write!(out, "  {} {}", name(&column.name), column.kind)?;
        if let Some(comment) = &column.comment {
            write!(out, " COMMENT {}", text(comment))?;
        }
        out.push_str(if at + 1 < columns.len() { ",\n" } else { ")\n" });
    }
    Ok(())
}

fn write_properties(out: &mut String, properties: &BTreeMap<String, String>) -> std::fmt::Result {
    for (at, (property, value)) in properties.iter().enumerate() {
        write!(out, "  {} = {}", text(property), text(value))?;
        out.push_str(if at + 1 < properties.len() { ",\n" } else { ")" });
    }
    Ok(())
}

fn text(text: &str) -> String {
    let mut out = String::from("'");
    for ch in text.chars() {
        match ch {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ch if ch.is_ascii_control() => {
                let _ = write!(out, "\\u{:04x}", ch as u32);
            }
            ch => out.push(ch),
        }
    }
    out.push('\'');
    out
}
