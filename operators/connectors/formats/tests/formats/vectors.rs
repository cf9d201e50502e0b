//! What `vectors/make.py` made.

use serde_json::Value;

pub fn all() -> Value {
    serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap()
}

pub fn bytes(name: &str) -> Vec<u8> {
    hex(all()[name].as_str().unwrap())
}

pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

pub const V1: &str = include_str!("../vectors/reading_v1.avsc");
pub const V2: &str = include_str!("../vectors/reading_v2.avsc");
pub const PROTO: &str = include_str!("../vectors/grid.proto");
