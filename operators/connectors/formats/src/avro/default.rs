//! The default value of a field, which a schema has as JSON, as bytes.

use std::collections::HashMap;

use apache_avro::schema::{Name, Namespace, Schema};
use serde_json::Value;

use super::plan::default_of;
use crate::wire::put_long;

/// The bytes of `value` as a value of `schema`.
pub(super) fn encode_default(
    (schema, namespace): (&Schema, &Namespace),
    value: &Value,
    names: &HashMap<Name, &Schema>,
) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    encode(schema, namespace, value, names, &mut out, 0)?;
    Ok(out)
}

fn encode(
    schema: &Schema,
    namespace: &Namespace,
    value: &Value,
    names: &HashMap<Name, &Schema>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), String> {
    let wrong = || format!("{value} is no default for {}: mend the schema", super::plan::kind(schema));
    if depth > 32 {
        return Err("a default that contains itself: mend the schema".into());
    }
    match schema {
        Schema::Null => value.is_null().then_some(()).ok_or_else(wrong)?,
        Schema::Boolean => out.push(u8::from(value.as_bool().ok_or_else(wrong)?)),
        Schema::Float => out.extend((value.as_f64().ok_or_else(wrong)? as f32).to_le_bytes()),
        Schema::Double => out.extend(value.as_f64().ok_or_else(wrong)?.to_le_bytes()),
        Schema::String | Schema::Uuid => {
            let text = value.as_str().ok_or_else(wrong)?;
            put_long(text.len() as i64, out);
            out.extend(text.as_bytes());
        }
        // Bytes stand in JSON as the characters of the same numbers.
        Schema::Bytes | Schema::BigDecimal | Schema::Fixed(_) | Schema::Duration | Schema::Decimal(_) => {
            let text = value.as_str().ok_or_else(wrong)?;
            let bytes = text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<Vec<_>, _>>();
            let bytes = bytes.map_err(|_| wrong())?;
            let fixed = match schema {
                Schema::Fixed(fixed) => Some(fixed.size),
                Schema::Duration => Some(12),
                Schema::Decimal(decimal) => match &*decimal.inner {
                    Schema::Fixed(fixed) => Some(fixed.size),
                    _ => None,
                },
                _ => None,
            };
            match fixed {
                Some(size) if size != bytes.len() => return Err(wrong()),
                Some(_) => {}
                None => put_long(bytes.len() as i64, out),
            }
            out.extend(bytes);
        }
        Schema::Enum(e) => {
            let index = e.symbols.iter().position(|s| Some(s.as_str()) == value.as_str()).ok_or_else(wrong)?;
            put_long(index as i64, out);
        }
        Schema::Array(array) => {
            let items = value.as_array().ok_or_else(wrong)?;
            if !items.is_empty() {
                put_long(items.len() as i64, out);
            }
            for item in items {
                encode(&array.items, namespace, item, names, out, depth + 1)?;
            }
            put_long(0, out);
        }
        Schema::Map(map) => {
            let items = value.as_object().ok_or_else(wrong)?;
            if !items.is_empty() {
                put_long(items.len() as i64, out);
            }
            for (key, item) in items {
                put_long(key.len() as i64, out);
                out.extend(key.as_bytes());
                encode(&map.types, namespace, item, names, out, depth + 1)?;
            }
            put_long(0, out);
        }
        // The default of a union is one of its first branch.
        Schema::Union(union) => {
            put_long(0, out);
            let first = union.variants().first().ok_or_else(wrong)?;
            encode(first, namespace, value, names, out, depth + 1)?;
        }
        Schema::Record(record) => {
            let inside = record.name.fully_qualified_name(namespace).namespace;
            let fields = value.as_object().ok_or_else(wrong)?;
            for field in &record.fields {
                let value = fields.get(&field.name).or(default_of(field)).ok_or_else(wrong)?;
                encode(&field.schema, &inside, value, names, out, depth + 1)?;
            }
        }
        Schema::Ref { name } => {
            let full = name.fully_qualified_name(namespace);
            let found = names.get(&full).ok_or_else(wrong)?;
            encode(found, &full.namespace, value, names, out, depth + 1)?;
        }
        // All others are whole numbers.
        _ => put_long(value.as_i64().ok_or_else(wrong)?, out),
    }
    Ok(())
}
