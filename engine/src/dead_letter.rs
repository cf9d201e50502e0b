//! Dead letters: what could not be read, came too late, or was refused by a sink.
//!
//! A dead letter keeps the raw bytes and the place they came from, so that it can be mended
//! and replayed. Every vertex has a hidden port for them; all ports lead to one vertex with
//! the job's dead-letter sink, which takes part in checkpoints like any other.

use serde::{Deserialize, Serialize};

/// One record that the job could not use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// In milliseconds since the epoch: the record's own event time or arrival, or else the newest
    /// event time that its split had come to. Never the wall clock, so that a replay writes the
    /// same letter; `None` where nothing of that is known.
    pub time: Option<i64>,
    /// The source's split: a file, a shard, a partition. Empty if there is none.
    pub split: String,
    /// The position in that split.
    pub position: Option<u64>,
    /// The operator that gave up on it.
    pub operator: String,
    /// Why, in words that help.
    pub reason: String,
    /// The raw bytes, or the value as JSON where the bytes are gone.
    #[serde(with = "text_or_bytes")]
    pub raw: Vec<u8>,
}

/// Raw bytes as text where they are UTF-8 (nearly always), otherwise as an array of numbers.
mod text_or_bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        if !s.is_human_readable() {
            return s.serialize_bytes(bytes);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => s.serialize_str(text),
            Err(_) => s.collect_seq(bytes),
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Raw {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        if !d.is_human_readable() {
            return Vec::<u8>::deserialize(d);
        }
        Ok(match Raw::deserialize(d)? {
            Raw::Text(t) => t.into_bytes(),
            Raw::Bytes(b) => b,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(raw: &[u8]) -> DeadLetter {
        DeadLetter {
            time: Some(1),
            split: "a.csv".into(),
            position: Some(7),
            operator: "parse".into(),
            reason: "not a number".into(),
            raw: raw.to_vec(),
        }
    }

    #[test]
    fn raw_bytes_survive_both_forms() {
        for raw in [&b"x,y"[..], &[0xff, 0x00, 0x80][..], b""] {
            let l = letter(raw);
            let json = serde_json::to_string(&l).expect("json");
            assert_eq!(serde_json::from_str::<DeadLetter>(&json).expect("back"), l);
            let bytes = postcard::to_stdvec(&l).expect("postcard");
            assert_eq!(postcard::from_bytes::<DeadLetter>(&bytes).expect("back"), l);
        }
    }
}
