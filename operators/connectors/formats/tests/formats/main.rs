//! All formats: vectors from independent implementations, evolution, what is broken, round trips.

mod avro;
mod light;
mod protobuf;
mod registry;
mod vectors;

use hurtig_operators::schema::{DeserializationSchema, SchemaError, SerializationSchema};

/// What a message holds.
fn read<D: DeserializationSchema>(format: &D, message: &[u8]) -> Result<Vec<D::Item>, String> {
    let mut out = Vec::new();
    match format.clone().deserialize(message, &mut out) {
        Ok(()) => Ok(out),
        Err(SchemaError::Unavailable(reason)) => panic!("a message's own fault: {reason}"),
        Err(SchemaError::Refused(reason)) => {
            assert!(out.is_empty(), "nothing of a message that is refused is kept");
            assert!(!reason.contains('\n') && !reason.is_empty(), "one line: {reason:?}");
            Err(reason)
        }
    }
}

/// The one value that a message holds.
fn one<D: DeserializationSchema>(format: &D, message: &[u8]) -> D::Item {
    let mut all = read(format, message).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn write<T, S: SerializationSchema<T>>(format: &S, value: &T) -> Result<Vec<u8>, String> {
    let mut out = b"before".to_vec();
    format.clone().serialize(value, &mut out).map_err(|e| e.to_string())?;
    assert!(out.starts_with(b"before"), "a message is appended");
    Ok(out.split_off(6))
}
