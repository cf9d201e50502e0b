//! `CREATE EXTERNAL TABLE`, read as people write it.
//!
//! Two slips are common enough to be read as they are meant, and noted: a comma behind the last partition column, and a
//! `PARTITIONED BY (` that is never closed. Both are seen by what follows, which begins a clause and is no column.

use std::collections::BTreeMap;

use crate::{
    error::{Error, Result},
    format::{Format, SerDe},
    hive_type::HiveType,
    statement::table_name,
    table::{Column, Table},
    tokens::{Token, Tokens},
};

/// Reads what stands behind `CREATE EXTERNAL TABLE IF NOT EXISTS`, with notes on what was overlooked.
pub(crate) fn read(tokens: &mut Tokens) -> Result<(Table, Vec<String>)> {
    let name = table_name(tokens)?;
    let mut notes = Vec::new();
    // A Delta Lake table's columns are in its log.
    let has_columns = !tokens.is(&["LOCATION"]) && !tokens.is(&["TBLPROPERTIES"]);
    let columns = match has_columns {
        true => {
            tokens.expect_sign("(")?;
            columns(tokens, None)?
        }
        false => Vec::new(),
    };
    let mut clauses = Clauses::default();
    loop {
        if tokens.is(&["COMMENT"]) {
            tokens.next();
            let comment = tokens.expect_text("the comment's text")?;
            once(tokens, &mut clauses.comment, comment, "COMMENT")?;
        } else if tokens.take(&["PARTITIONED", "BY"]) {
            tokens.expect_sign("(")?;
            let found = self::columns(tokens, Some(&mut notes))?;
            once(tokens, &mut clauses.partitions, found, "PARTITIONED BY")?;
        } else if tokens.take(&["ROW", "FORMAT"]) {
            let row_format = row_format(tokens)?;
            once(tokens, &mut clauses.row_format, row_format, "ROW FORMAT")?;
        } else if tokens.take(&["WITH", "SERDEPROPERTIES"]) {
            let found = properties(tokens)?;
            once(tokens, &mut clauses.serde_properties, found, "WITH SERDEPROPERTIES")?;
        } else if tokens.take(&["STORED", "AS"]) {
            let stored_as = stored_as(tokens)?;
            once(tokens, &mut clauses.stored_as, stored_as, "STORED AS")?;
        } else if tokens.take(&["LOCATION"]) {
            let location = tokens.expect_text("the location's text")?;
            once(tokens, &mut clauses.location, location, "LOCATION")?;
        } else if tokens.take(&["TBLPROPERTIES"]) {
            let found = properties(tokens)?;
            once(tokens, &mut clauses.properties, found, "TBLPROPERTIES")?;
        } else if tokens.is(&["CLUSTERED"]) || tokens.is(&["STORED", "BY"]) || tokens.is(&["SKEWED"]) {
            return Err(Error::NotSupported(format!(
                "{}: leave the clause out",
                tokens.error("CLUSTERED, SKEWED and STORED BY")
            )));
        } else {
            break;
        }
    }
    if !matches!(tokens.peek(), Token::End | Token::Sign(_)) {
        return Err(tokens.expected(
            "COMMENT, PARTITIONED BY, ROW FORMAT, WITH SERDEPROPERTIES, STORED AS, LOCATION, TBLPROPERTIES or the end",
        ));
    }
    let Some(location) = clauses.location.take() else {
        return Err(tokens.error(format!("table {name} has no LOCATION: an external table needs one")));
    };
    let table = Table {
        format: clauses.format(tokens)?,
        name,
        columns,
        partitions: clauses.partitions.unwrap_or_default(),
        comment: clauses.comment,
        location,
        properties: clauses.properties.unwrap_or_default(),
    };
    if !has_columns && !table.is_delta() {
        return Err(tokens.error(format!(
            "table {} has no columns: list them in parentheses, or say TBLPROPERTIES ('table_type'='DELTA') if it is a Delta Lake table",
            table.name
        )));
    }
    Ok((table, notes))
}

#[derive(Default)]
struct Clauses {
    comment: Option<String>,
    partitions: Option<Vec<Column>>,
    row_format: Option<RowFormat>,
    serde_properties: Option<BTreeMap<String, String>>,
    stored_as: Option<Stored>,
    location: Option<String>,
    properties: Option<BTreeMap<String, String>>,
}

enum RowFormat {
    SerDe(SerDe),
    Delimited(BTreeMap<String, String>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    Parquet,
    Text,
}

impl Clauses {
    fn format(&mut self, tokens: &Tokens) -> Result<Format> {
        let (serde, mut properties) = match (self.row_format.take(), self.stored_as) {
            (Some(RowFormat::SerDe(serde)), _) => (serde, BTreeMap::new()),
            (Some(RowFormat::Delimited(delimiters)), _) => (SerDe::LazySimple, delimiters),
            (None, Some(Stored::Parquet)) => (SerDe::Parquet, BTreeMap::new()),
            (None, _) => (SerDe::LazySimple, BTreeMap::new()),
        };
        match self.stored_as {
            Some(Stored::Parquet) if serde.is_text() => {
                return Err(
                    tokens.error(format!("{serde} reads text, and the table is STORED AS PARQUET: leave one out"))
                );
            }
            Some(Stored::Text) if !serde.is_text() => {
                return Err(
                    tokens.error(format!("{serde} reads Parquet, and the table is stored as text: leave one out"))
                );
            }
            _ => {}
        }
        properties.extend(self.serde_properties.take().unwrap_or_default());
        Ok(Format { serde, properties })
    }
}

fn once<T>(tokens: &Tokens, place: &mut Option<T>, found: T, clause: &str) -> Result<()> {
    match place.replace(found) {
        None => Ok(()),
        Some(_) => Err(tokens.error(format!("{clause} is there twice"))),
    }
}

/// Columns up to their `)`. With `notes`, slips are overlooked and noted.
fn columns(tokens: &mut Tokens, mut notes: Option<&mut Vec<String>>) -> Result<Vec<Column>> {
    let mut found: Vec<Column> = Vec::new();
    let mut note = |what: &str, tokens: &Tokens| match (&mut notes, tokens.error(what)) {
        (Some(notes), error) => {
            notes.push(format!("{error}; it was read as if it was right, and Athena refuses it"));
            true
        }
        (None, _) => false,
    };
    loop {
        if tokens.take_sign(")") {
            return if found.is_empty() {
                Err(tokens.error("there are no columns between the parentheses"))
            } else {
                Ok(found)
            };
        }
        let name = tokens.expect_name("a column's name")?;
        let kind = hive_type(tokens)?;
        let comment = match tokens.take(&["COMMENT"]) {
            true => Some(tokens.expect_text("the comment's text")?),
            false => None,
        };
        found.push(Column { name, kind, comment });
        if tokens.take_sign(",") {
            if matches!(tokens.peek(), Token::Sign(sign) if sign == ")")
                && !note("PARTITIONED BY has a comma behind its last column", tokens)
            {
                return Err(tokens.error("there is a comma behind the last column: take it out"));
            }
            if begins_clause(tokens) && note("PARTITIONED BY has a comma behind its last column, and no ')'", tokens) {
                return Ok(found);
            }
        } else if !matches!(tokens.peek(), Token::Sign(sign) if sign == ")") {
            if begins_clause(tokens) && note("PARTITIONED BY has no ')'", tokens) {
                return Ok(found);
            }
            return Err(tokens.expected("',' or ')'"));
        }
    }
}

/// Whether a clause comes next: its keyword with what follows it, for `location string` is a column.
fn begins_clause(tokens: &Tokens) -> bool {
    let then_text = matches!(tokens.ahead(1), Token::Text(_));
    let then_open = matches!(tokens.ahead(1), Token::Sign(sign) if sign == "(");
    (then_text && (tokens.is(&["LOCATION"]) || tokens.is(&["COMMENT"])))
        || (then_open && tokens.is(&["TBLPROPERTIES"]))
        || tokens.is(&["ROW", "FORMAT"])
        || tokens.is(&["STORED", "AS"])
        || tokens.is(&["WITH", "SERDEPROPERTIES"])
}

/// A type.
fn hive_type(tokens: &mut Tokens) -> Result<HiveType> {
    let word = match tokens.peek() {
        Token::Word { text, .. } => text.to_ascii_lowercase(),
        _ => return Err(tokens.expected("a type")),
    };
    let kind = match word.as_str() {
        "boolean" => HiveType::Boolean,
        "tinyint" => HiveType::TinyInt,
        "smallint" => HiveType::SmallInt,
        "int" | "integer" => HiveType::Int,
        "bigint" => HiveType::BigInt,
        "float" | "real" => HiveType::Float,
        "double" => HiveType::Double,
        "string" => HiveType::String,
        "date" => HiveType::Date,
        "timestamp" => HiveType::Timestamp,
        "binary" => HiveType::Binary,
        "decimal" | "numeric" | "varchar" | "char" | "array" | "map" | "struct" => return parametric(tokens, &word),
        _ => {
            return Err(tokens.expected(
                "a type (boolean, tinyint, smallint, int, bigint, float, double, decimal, string, varchar, char, date, \
                 timestamp, binary, array, map or struct)",
            ));
        }
    };
    tokens.next();
    if kind == HiveType::Double {
        tokens.take(&["PRECISION"]);
    }
    Ok(kind)
}

fn parametric(tokens: &mut Tokens, word: &str) -> Result<HiveType> {
    tokens.next();
    match word {
        "decimal" | "numeric" => {
            if !tokens.take_sign("(") {
                return Ok(HiveType::Decimal(10, 0));
            }
            let precision: u8 = tokens.expect_number("the precision, 1 to 38")?;
            let scale: u8 = if tokens.take_sign(",") { tokens.expect_number("the scale")? } else { 0 };
            if !(1..=38).contains(&precision) || scale > precision {
                return Err(tokens
                    .error(format!("decimal({precision},{scale}) has 1 to 38 digits, and no more behind the point")));
            }
            tokens.expect_sign(")")?;
            Ok(HiveType::Decimal(precision, i8::try_from(scale).unwrap_or(i8::MAX)))
        }
        "varchar" | "char" => {
            tokens.expect_sign("(")?;
            let length = tokens.expect_number("the length")?;
            tokens.expect_sign(")")?;
            Ok(if word == "char" { HiveType::Char(length) } else { HiveType::Varchar(length) })
        }
        "array" => {
            tokens.expect_sign("<")?;
            let item = hive_type(tokens)?;
            tokens.expect_sign(">")?;
            Ok(HiveType::Array(Box::new(item)))
        }
        "map" => {
            tokens.expect_sign("<")?;
            let key = hive_type(tokens)?;
            if !key.is_primitive() {
                return Err(tokens.error(format!("a map's key cannot be {key}")));
            }
            tokens.expect_sign(",")?;
            let value = hive_type(tokens)?;
            tokens.expect_sign(">")?;
            Ok(HiveType::Map(Box::new(key), Box::new(value)))
        }
        _ => {
            tokens.expect_sign("<")?;
            let mut fields: Vec<(String, HiveType)> = Vec::new();
            loop {
                let name = tokens.expect_name("a field's name")?;
                tokens.expect_sign(":")?;
                if fields.iter().any(|(known, _)| *known == name) {
                    return Err(tokens.error(format!("field {name} is there twice")));
                }
                fields.push((name, hive_type(tokens)?));
                if !tokens.take_sign(",") {
                    break;
                }
            }
            tokens.expect_sign(">")?;
            Ok(HiveType::Struct(fields))
        }
    }
}

fn row_format(tokens: &mut Tokens) -> Result<RowFormat> {
    if tokens.take(&["SERDE"]) {
        let class = tokens.expect_text("the SerDe's class")?;
        return Ok(RowFormat::SerDe(SerDe::of_class(&class)?));
    }
    tokens.expect(&["DELIMITED"]).map_err(|_| tokens.expected("SERDE or DELIMITED"))?;
    let mut found = BTreeMap::new();
    loop {
        let property = if tokens.take(&["FIELDS", "TERMINATED", "BY"]) {
            "field.delim"
        } else if tokens.take(&["ESCAPED", "BY"]) {
            "escape.delim"
        } else if tokens.take(&["COLLECTION", "ITEMS", "TERMINATED", "BY"]) {
            // Hive has spelled it so from the beginning.
            "colelction.delim"
        } else if tokens.take(&["MAP", "KEYS", "TERMINATED", "BY"]) {
            "mapkey.delim"
        } else if tokens.take(&["LINES", "TERMINATED", "BY"]) {
            "line.delim"
        } else if tokens.take(&["NULL", "DEFINED", "AS"]) {
            "serialization.null.format"
        } else {
            return Ok(RowFormat::Delimited(found));
        };
        found.insert(property.to_owned(), tokens.expect_text("the text between")?);
    }
}

fn stored_as(tokens: &mut Tokens) -> Result<Stored> {
    if tokens.take(&["INPUTFORMAT"]) {
        let input = tokens.expect_text("the input format's class")?;
        tokens.expect(&["OUTPUTFORMAT"])?;
        tokens.expect_text("the output format's class")?;
        let known = [(SerDe::Parquet, Stored::Parquet), (SerDe::LazySimple, Stored::Text)];
        return match known.into_iter().find(|(serde, _)| serde.file_formats().0 == input) {
            Some((_, stored)) => Ok(stored),
            None => Err(Error::NotSupported(format!(
                "files of INPUTFORMAT '{input}' are not read; there are {}",
                known.map(|(serde, _)| serde.file_formats().0).join(", ")
            ))),
        };
    }
    for (word, stored) in [("PARQUET", Stored::Parquet), ("TEXTFILE", Stored::Text)] {
        if tokens.take(&[word]) {
            return Ok(stored);
        }
    }
    for word in ["ORC", "AVRO", "ION", "JSONFILE", "RCFILE", "SEQUENCEFILE"] {
        if tokens.is(&[word]) {
            return Err(Error::NotSupported(format!(
                "STORED AS {word}: files are PARQUET or TEXTFILE (JSON lines are TEXTFILE with ROW FORMAT SERDE '{}')",
                SerDe::OpenXJson
            )));
        }
    }
    Err(tokens.expected("PARQUET, TEXTFILE or INPUTFORMAT"))
}

/// `('name' = 'value', …)`
fn properties(tokens: &mut Tokens) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    tokens.expect_sign("(")?;
    if tokens.take_sign(")") {
        return Ok(found);
    }
    loop {
        let name = tokens.expect_text("a property's name in quotes")?;
        tokens.expect_sign("=")?;
        let value = tokens.expect_text("the property's value in quotes")?;
        if found.contains_key(&name) {
            return Err(tokens.error(format!("property '{name}' is there twice")));
        }
        found.insert(name, value);
        if !tokens.take_sign(",") {
            tokens.expect_sign(")")?;
            return Ok(found);
        }
    }
}
