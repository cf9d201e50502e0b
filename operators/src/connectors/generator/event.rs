//! What a fleet sends: readings, their faults, and how they look as JSON.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// One reading of one meter: small, without pointers, and exact (whole watt-hours, tenths of volts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MeterReading {
    /// Event time in milliseconds since the epoch.
    pub time: i64,
    /// The meter's number.
    pub meter: u32,
    /// Energy used in the interval, in watt-hours; `None`: the meter has no value.
    pub wh: Option<u32>,
    /// The region's number.
    pub region: u16,
    /// The voltage in tenths of a volt.
    pub decivolts: u16,
}

impl MeterReading {
    /// `m-0012345`
    pub fn meter_id(&self) -> CompactString {
        name(b"m-", u64::from(self.meter), 7)
    }

    /// `r-07`
    pub fn region_name(&self) -> CompactString {
        name(b"r-", u64::from(self.region), 2)
    }

    /// The energy in kilowatt-hours.
    pub fn kwh(&self) -> Option<f64> {
        self.wh.map(|wh| f64::from(wh) / 1000.0)
    }

    /// The voltage in volts.
    pub fn voltage(&self) -> f64 {
        f64::from(self.decivolts) / 10.0
    }

    /// Writes the reading as flat JSON, without a line end:
    /// `{"meter_id":"m-0012345","time":1704067200000,"region":"r-07","kwh_measure":0.123,"voltage_measure":229.8}`
    pub fn write_json(&self, line: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        line.extend_from_slice(b"{\"meter_id\":\"m-");
        digits(line, u64::from(self.meter), 7);
        line.extend_from_slice(b"\",\"time\":");
        line.extend_from_slice(number.format(self.time).as_bytes());
        line.extend_from_slice(b",\"region\":\"r-");
        digits(line, u64::from(self.region), 2);
        line.extend_from_slice(b"\",\"kwh_measure\":");
        match self.wh {
            None => line.extend_from_slice(b"null"),
            Some(wh) => {
                line.extend_from_slice(number.format(wh / 1000).as_bytes());
                line.push(b'.');
                digits(line, u64::from(wh % 1000), 3);
            }
        }
        line.extend_from_slice(b",\"voltage_measure\":");
        line.extend_from_slice(number.format(self.decivolts / 10).as_bytes());
        line.push(b'.');
        digits(line, u64::from(self.decivolts % 10), 1);
        line.push(b'}');
    }
}

/// At least `width` digits.
#[inline]
fn digits(line: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    while value > 0 {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    line.extend_from_slice(&buffer[at.min(buffer.len() - width)..]);
}

#[inline]
fn name(prefix: &[u8; 2], mut value: u64, width: usize) -> CompactString {
    let mut buffer = [b'0'; 22];
    let mut at = buffer.len();
    while value > 0 {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    at = at.min(buffer.len() - width) - 2;
    buffer[at..at + 2].copy_from_slice(prefix);
    CompactString::from_utf8_lossy(&buffer[at..])
}

/// What is wrong with a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// Its time is a minute to hours before its arrival.
    Late,
    /// It has no value.
    Null,
    /// Its bytes are no valid JSON.
    Corrupt,
    /// Its time is more than 15 minutes ahead of its arrival.
    Future,
}

/// What the fleet sends at one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetEvent {
    /// Its position in the fleet's stream.
    pub index: u64,
    /// When it reaches the source.
    pub arrival: i64,
    /// What the meter means to say (also if it comes out corrupt).
    pub reading: MeterReading,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// The index of the earlier event that it repeats, faults included.
    pub repeats: Option<u64>,
}

/// One line of JSON as bytes: a corrupt one may not even be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct JsonLine(pub Vec<u8>);

impl JsonLine {
    /// The bytes, without a line end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for JsonLine {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if s.is_human_readable() => s.serialize_str(text),
            _ => s.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for JsonLine {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> serde::de::Visitor<'de> for Bytes {
            type Value = JsonLine;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a line as text or bytes")
            }
            fn visit_str<E>(self, v: &str) -> Result<JsonLine, E> {
                Ok(JsonLine(v.as_bytes().to_vec()))
            }
            fn visit_bytes<E>(self, v: &[u8]) -> Result<JsonLine, E> {
                Ok(JsonLine(v.to_vec()))
            }
            fn visit_byte_buf<E>(self, v: Vec<u8>) -> Result<JsonLine, E> {
                Ok(JsonLine(v))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<JsonLine, A::Error> {
                let mut bytes = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1 << 16));
                while let Some(b) = seq.next_element()? {
                    bytes.push(b);
                }
                Ok(JsonLine(bytes))
            }
        }
        if d.is_human_readable() { d.deserialize_any(Bytes) } else { d.deserialize_byte_buf(Bytes) }
    }
}
