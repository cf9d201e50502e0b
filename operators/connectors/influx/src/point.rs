//! What a line holds: a measurement, its tags, its fields, and a time.

/// One point of a series.
///
/// ```
/// use hurtig_influx::{Escaping, Point, line};
///
/// let point = Point::new("readings").tag("meter", "m 1").field("kwh", 1.5).field("estimated", false).at_ms(1_700);
/// let mut out = Vec::new();
/// line::encode(&point, Escaping::V3, &mut out)?;
/// assert_eq!(out, br"readings,meter=m\ 1 kwh=1.5,estimated=false 1700000000");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The measurement, InfluxDB 3's table.
    pub measurement: String,
    /// Names and values, indexed; a tag without a value is none.
    pub tags: Vec<(String, String)>,
    /// Names and values, one at least.
    pub fields: Vec<(String, FieldValue)>,
    /// Nanoseconds since 1970-01-01T00:00:00Z; `None` is the record's event time.
    pub time_ns: Option<i64>,
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Finite; what is not goes to the dead letters.
    Float(f64),
    /// A signed integer.
    Integer(i64),
    /// An unsigned integer, which InfluxDB 1 does not take.
    UInteger(u64),
    /// A text.
    String(String),
    /// True or false.
    Boolean(bool),
}

impl Point {
    /// A point of this measurement, without fields as yet.
    pub fn new(measurement: impl Into<String>) -> Self {
        Point { measurement: measurement.into(), tags: Vec::new(), fields: Vec::new(), time_ns: None }
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Its time, in milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn at_ms(self, time: i64) -> Self {
        self.at_ns(time.saturating_mul(1_000_000))
    }

    /// Its time, in nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn at_ns(mut self, time: i64) -> Self {
        self.time_ns = Some(time);
        self
    }
}

impl From<f64> for FieldValue {
    fn from(x: f64) -> Self {
        FieldValue::Float(x)
    }
}

impl From<i64> for FieldValue {
    fn from(n: i64) -> Self {
        FieldValue::Integer(n)
    }
}

impl From<u64> for FieldValue {
    fn from(n: u64) -> Self {
        FieldValue::UInteger(n)
    }
}

impl From<bool> for FieldValue {
    fn from(b: bool) -> Self {
        FieldValue::Boolean(b)
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> Self {
        FieldValue::String(text)
    }
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        FieldValue::String(text.to_owned())
    }
}
