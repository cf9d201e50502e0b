//! A JSON line as a row, as the OpenX and the Hive SerDe read it.
//!
//! A line is cut into its columns' JSON first, which also shows whether it is JSON at all, and only what the query wants
//! is looked into. So a malformed line has appended nothing, and can become a row of NULLs.
//!
//! Arrow's reader is not used: keys are found here in any case and by other names, numbers may stand in quotes, and an
//! error has to name its line.

use std::{collections::HashMap, fmt};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    format::{Format, SerDe},
    values::{NotOfType, Values},
};

/// How keys are found and what is overlooked.
#[derive(Debug, Clone)]
pub(crate) struct JsonRules {
    any_case: bool,
    dots: bool,
    null_for_invalid: bool,
    /// A malformed line is a row of NULLs.
    pub ignore_malformed: bool,
    /// A column's key, where it is another one than its name.
    keys: HashMap<String, String>,
}

/// What is wrong with a line.
#[derive(Debug)]
pub(crate) enum BadJson {
    /// It is no JSON object.
    Malformed(String),
    /// A value is not of its column's type.
    Value(String),
}

impl JsonRules {
    /// What the SerDe's properties say.
    pub fn of(format: &Format) -> Self {
        let openx = format.serde == SerDe::OpenXJson;
        let any_case = !openx || format.is("case.insensitive", true);
        let keys = format.properties.iter().filter_map(|(property, key)| {
            let column = property.strip_prefix("mapping.").filter(|_| openx)?;
            Some((column.to_lowercase(), key.clone()))
        });
        JsonRules {
            any_case,
            dots: openx && format.is("dots.in.keys", false),
            null_for_invalid: openx && format.is("use.null.for.invalid.data", false),
            ignore_malformed: openx && format.is("ignore.malformed.json", false),
            keys: keys.collect(),
        }
    }

    /// The keys of these columns.
    pub fn places<'a>(&self, columns: impl Iterator<Item = &'a str>) -> HashMap<String, usize> {
        let key = |column: &str| match self.keys.get(column) {
            Some(key) => self.plain(key),
            None => column.to_owned(),
        };
        columns.enumerate().map(|(at, column)| (key(column), at)).collect()
    }

    fn plain(&self, key: &str) -> String {
        let key = if self.any_case { key.to_lowercase() } else { key.to_owned() };
        if self.dots { key.replace('.', "_") } else { key }
    }

    fn place(&self, places: &HashMap<String, usize>, key: &str) -> Option<usize> {
        let is_other_case = self.any_case && key.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii());
        let has_dots = self.dots && key.contains('.');
        if is_other_case || has_dots { places.get(&self.plain(key)).copied() } else { places.get(key).copied() }
    }

    /// Appends a line to the columns whose keys are in `places`.
    pub fn push_line(
        &self,
        line: &[u8],
        places: &HashMap<String, usize>,
        columns: &mut [Values],
    ) -> Result<(), BadJson> {
        let text = std::str::from_utf8(line).map_err(|_| BadJson::Malformed("it is no UTF-8".into()))?;
        let cut = self.cut(text, places, columns.len());
        match cut {
            Ok(found) => self.push_all(&found, columns).map_err(BadJson::Value),
            Err(_) if self.ignore_malformed => {
                columns.iter_mut().for_each(Values::push_null);
                Ok(())
            }
            Err(reason) => Err(BadJson::Malformed(reason)),
        }
    }

    fn push_all(&self, found: &[Option<&RawValue>], columns: &mut [Values]) -> Result<(), NotOfType> {
        for (value, column) in found.iter().zip(columns) {
            match value {
                Some(value) => self.push(value, column)?,
                None => column.push_null(),
            }
        }
        Ok(())
    }

    fn push(&self, value: &RawValue, column: &mut Values) -> Result<(), NotOfType> {
        match self.push_value(value.get(), column) {
            Err(_) if self.null_for_invalid => {
                column.push_null();
                Ok(())
            }
            other => other,
        }
    }

    fn push_value(&self, json: &str, column: &mut Values) -> Result<(), NotOfType> {
        if json == "null" {
            column.push_null();
            return Ok(());
        }
        match column {
            Values::List(list) => {
                let items: Vec<&RawValue> =
                    serde_json::from_str(json).map_err(|_| format!("{} is no array", short(json)))?;
                for item in items {
                    self.push(item, &mut list.items)?;
                }
                list.end(true);
            }
            Values::Map(map) => {
                let entries: Entries<'_> =
                    serde_json::from_str(json).map_err(|_| format!("{} is no object", short(json)))?;
                for (key, value) in entries.0 {
                    // A key is never NULL, so what is no key of the type is no entry.
                    match map.keys.push_text(&key) {
                        Ok(()) => self.push(value, &mut map.values)?,
                        Err(_) if self.null_for_invalid => {}
                        Err(reason) => return Err(reason),
                    }
                }
                map.end(true);
            }
            Values::Struct(fields) => {
                let cut = self.cut(json, &fields.places, fields.columns.len());
                let found = cut.map_err(|_| format!("{} is no object", short(json)))?;
                self.push_all(&found, &mut fields.columns)?;
                fields.end(true);
            }
            _ => {
                let text = match json.as_bytes().first() {
                    Some(b'"') => match serde_json::from_str::<std::borrow::Cow<'_, str>>(json) {
                        Ok(text) => text,
                        Err(reason) => return Err(format!("{}: {reason}", short(json))),
                    },
                    // As a string's value, an object or an array is its text.
                    Some(b'{' | b'[') if !matches!(column, Values::Text(_)) => {
                        return Err(format!("{} is no plain value", short(json)));
                    }
                    _ => json.into(),
                };
                column.push_text(&text)?;
            }
        }
        Ok(())
    }

    /// The values of an object's keys that are wanted.
    fn cut<'a>(
        &self,
        json: &'a str,
        places: &HashMap<String, usize>,
        columns: usize,
    ) -> Result<Vec<Option<&'a RawValue>>, String> {
        let mut found = vec![None; columns];
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let cut = Cut { rules: self, places, found: &mut found };
        cut.deserialize(&mut deserializer).map_err(|e| e.to_string())?;
        // What a stream that puts no line end between records leaves: Athena reads the first of them and says nothing.
        deserializer.end().map_err(|e| format!("{e}: one JSON object a line"))?;
        Ok(found)
    }
}

fn short(json: &str) -> String {
    match json.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &json[..at]),
        None => json.to_owned(),
    }
}

/// Finds the columns of an object.
struct Cut<'b, 'a> {
    rules: &'b JsonRules,
    places: &'b HashMap<String, usize>,
    found: &'b mut Vec<Option<&'a RawValue>>,
}

impl<'a> DeserializeSeed<'a> for Cut<'_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Cut<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let place = self.rules.place(self.places, &key);
            match place.and_then(|place| self.found.get_mut(place)) {
                Some(slot) => {
                    if slot.is_some() {
                        return Err(serde::de::Error::custom(format!("key \"{key}\" is there twice")));
                    }
                    *slot = Some(map.next_value()?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Key;

impl<'a> DeserializeSeed<'a> for Key {
    type Value = std::borrow::Cow<'a, str>;

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = std::borrow::Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'a str) -> Result<Self::Value, E> {
        Ok(key.into())
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(key.to_owned().into())
    }
}

/// A map's entries in their order.
struct Entries<'a>(Vec<(std::borrow::Cow<'a, str>, &'a RawValue)>);

impl<'a> serde::Deserialize<'a> for Entries<'a> {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'a> Visitor<'a> for All {
            type Value = Entries<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key_seed(Key)? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(All)
    }
}
