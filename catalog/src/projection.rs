//! Partition projection: a partition column's values are computed from the table's properties, and nothing is looked up.
//!
//! Values are enumerated per column, within what the query's filters leave of it, and before the columns' product is.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use jiff::civil::DateTime;

use crate::{
    date_format::DateFormat,
    date_range::{DateBound, DateRange, DateUnit},
    domain::{Domain, Range},
    error::{Error, Result},
    hive_type::HiveType,
    table::{Column, Table},
    template::Template,
};

/// How a table's partitions are computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    pub(crate) columns: Vec<ProjectedColumn>,
    pub(crate) template: Template,
}

/// A partition column and how its values are computed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProjectedColumn {
    pub name: String,
    kind: HiveType,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Enum(Vec<PartitionValue>),
    Integer { low: i64, high: i64, interval: i64, digits: usize },
    Date(DateRange),
    Injected,
}

/// A partition column's value, as a query sees it and as it stands in a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PartitionValue {
    pub value: ScalarValue,
    pub text: String,
}

/// Why there are no values.
#[derive(Debug)]
pub(crate) enum NoValues {
    /// There are so many, more than may be enumerated.
    TooMany(u128),
    /// The column is injected, and the query does not say its values.
    NotStatic,
}

impl Projection {
    /// The projection of a table; `None` where it has none (`projection.enabled` is not `true`).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTableProperty`] when a property is missing or wrong.
    pub fn of(table: &Table) -> Result<Option<Self>> {
        match table.properties.get("projection.enabled").map(|value| value.trim().to_ascii_lowercase()).as_deref() {
            Some("true") => {}
            None | Some("false") => return Ok(None),
            Some(other) => {
                return Err(
                    table.bad_property(format!("projection.enabled is '{other}', and must be 'true' or 'false'"))
                );
            }
        }
        if table.partitions.is_empty() {
            return Err(table.bad_property("projection.enabled is 'true', and the table has no PARTITIONED BY"));
        }
        // Names of properties are found in any case: columns are kept in lower case.
        let properties: Properties<'_> =
            table.properties.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
        let columns = table.partitions.iter().map(|column| ProjectedColumn::of(table, column, &properties));
        Ok(Some(Projection { columns: columns.collect::<Result<_>>()?, template: Template::of(table)? }))
    }

    /// How many partitions there are without a filter, when it is `now_ms`; `None` with an injected column.
    pub fn size(&self, now_ms: i64) -> Option<u128> {
        let now = utc(now_ms);
        self.columns.iter().try_fold(1_u128, |size, column| Some(size.saturating_mul(column.size(now)?)))
    }
}

/// The table's properties by their name in lower case.
type Properties<'a> = BTreeMap<String, &'a str>;

/// Milliseconds since 1970 as a date and time in UTC.
pub(crate) fn utc(now_ms: i64) -> DateTime {
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    now.to_zoned(jiff::tz::TimeZone::UTC).datetime()
}

impl ProjectedColumn {
    fn of(table: &Table, column: &Column, properties: &Properties<'_>) -> Result<Self> {
        let name = &column.name;
        let find = |property: &str| properties.get(&format!("projection.{name}.{property}")).copied();
        let wrong =
            |property: &str, message: String| table.bad_property(format!("projection.{name}.{property} {message}"));
        let need = |property: &str| {
            find(property)
                .ok_or_else(|| wrong(property, "is missing: every partition column of a projection needs it".into()))
        };
        let positive = |property: &str| match find(property) {
            None => Ok(None),
            Some(text) => match text.trim().parse::<i64>() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err(wrong(property, format!("is '{text}', and must be a positive whole number"))),
            },
        };
        let ends = |text: &str| match text.split_once(',') {
            Some((low, high)) if !high.contains(',') => Some((low.to_owned(), high.to_owned())),
            _ => None,
        };
        let kind = need("type")?;
        let rule = match kind.trim().to_ascii_lowercase().as_str() {
            "enum" => {
                let values = need("values")?.split(',').map(|text| {
                    let value = scalar(text, &column.kind).ok_or_else(|| wrong("values", not_of(text, column)))?;
                    Ok(PartitionValue { value, text: text.to_owned() })
                });
                let mut values = values.collect::<Result<Vec<_>>>()?;
                let mut seen = std::collections::HashSet::new();
                values.retain(|value| seen.insert(value.text.clone()));
                Rule::Enum(values)
            }
            "integer" => {
                if !column.kind.is_integer() && !column.kind.is_text() {
                    return Err(wrong(
                        "type",
                        format!("is 'integer', and the column is {}: make it int, bigint or string", column.kind),
                    ));
                }
                let range = need("range")?;
                let numbers = ends(range)
                    .and_then(|(low, high)| Some((low.trim().parse::<i64>().ok()?, high.trim().parse::<i64>().ok()?)));
                let (low, high) = match numbers {
                    Some((low, high)) if low <= high => (low, high),
                    _ => {
                        let message =
                            format!("is '{range}', and must be two whole numbers with a comma, the smaller one first");
                        return Err(wrong("range", message));
                    }
                };
                for end in [low, high] {
                    if scalar(&end.to_string(), &column.kind).is_none() {
                        return Err(wrong("range", not_of(&end.to_string(), column)));
                    }
                }
                let digits = positive("digits")?.unwrap_or(1);
                let digits = usize::try_from(digits).ok().filter(|digits| *digits <= 64);
                let digits = digits.ok_or_else(|| wrong("digits", "is more than 64".into()))?;
                Rule::Integer { low, high, interval: positive("interval")?.unwrap_or(1), digits }
            }
            "date" => {
                if !(column.kind.is_integer() || column.kind.is_text() || is_time(&column.kind)) {
                    return Err(wrong(
                        "type",
                        format!("is 'date', and the column is {}: make it string or date", column.kind),
                    ));
                }
                let pattern = need("format")?;
                let format = DateFormat::parse(pattern).map_err(|e| wrong("format", format!("is '{pattern}': {e}")))?;
                let range = need("range")?;
                let two = || {
                    wrong("range", format!("is '{range}', and must be two dates with a comma, the earlier one first"))
                };
                let (low, high) = ends(range).ok_or_else(two)?;
                let bound = |text: &str| {
                    DateBound::parse(text, &format).map_err(|e| wrong("range", format!("is '{range}': {e}")))
                };
                let (low, high) = (bound(&low)?, bound(&high)?);
                if let (DateBound::At(low), DateBound::At(high)) = (low, high)
                    && low > high
                {
                    return Err(two());
                }
                let unit = find("interval.unit").map(|text| {
                    DateUnit::parse(text).ok_or_else(|| {
                        wrong(
                            "interval.unit",
                            format!(
                                "is '{text}', and must be YEARS, MONTHS, WEEKS, DAYS, HOURS, MINUTES, SECONDS or MILLIS"
                            ),
                        )
                    })
                });
                let natural = DateUnit::of_precision(format.precision());
                let unit = match unit.transpose()?.or(natural) {
                    Some(unit) => unit,
                    None => {
                        let message = format!(
                            "is missing: it may only be left out where the format's precision is a day or more, and '{pattern}' is finer"
                        );
                        return Err(wrong("interval.unit", message));
                    }
                };
                let interval = match positive("interval")? {
                    Some(interval) => interval,
                    None if natural.is_some() => 1,
                    None => {
                        return Err(wrong(
                            "interval",
                            format!("is missing: the format '{pattern}' is finer than a day"),
                        ));
                    }
                };
                let sample = format.format(utc(0));
                if !is_time(&column.kind) && scalar(&sample, &column.kind).is_none() {
                    return Err(wrong("format", not_of(&sample, column)));
                }
                Rule::Date(DateRange { format, low, high, interval, unit })
            }
            "injected" => {
                if !column.kind.is_text() {
                    return Err(wrong(
                        "type",
                        format!("is 'injected', and the column is {}: make it string", column.kind),
                    ));
                }
                Rule::Injected
            }
            _ => return Err(wrong("type", format!("is '{kind}', and must be enum, integer, date or injected"))),
        };
        Ok(ProjectedColumn { name: name.clone(), kind: column.kind.clone(), rule })
    }

    /// How many values there are without a filter.
    pub fn size(&self, now: DateTime) -> Option<u128> {
        match &self.rule {
            Rule::Enum(values) => Some(values.len() as u128),
            Rule::Integer { low, high, interval, .. } => Some(steps_between(*low, *high, *interval)),
            Rule::Date(range) => Some(u128::from(range.steps(now).count)),
            Rule::Injected => None,
        }
    }

    /// The values within `domain`, in order; an error when more than `limit` would have to be looked at.
    pub fn values(&self, domain: &Domain, now: DateTime, limit: usize) -> Result<Vec<PartitionValue>, NoValues> {
        match &self.rule {
            Rule::Enum(values) => Ok(values.iter().filter(|value| domain.contains(&value.value)).cloned().collect()),
            Rule::Integer { low, high, interval, digits } => {
                let text = |number: i64| format!("{number:0digits$}", digits = *digits);
                let number = |value: &ScalarValue| -> Option<i64> {
                    match value {
                        ScalarValue::Utf8(Some(text)) => text.parse().ok(),
                        other => i64::try_from(other.clone().cast_to(&arrow::datatypes::DataType::Int64).ok()?).ok(),
                    }
                };
                // The order of texts is not that of numbers: there, only single values narrow the range.
                let by_number = self.kind.is_integer();
                let spans: Vec<(i64, i64)> = match domain.points() {
                    Some(points) => points.into_iter().filter_map(number).map(|point| (point, point)).collect(),
                    None if by_number => domain.ranges().iter().map(|range| integers(range, number)).collect(),
                    None => vec![(i64::MIN, i64::MAX)],
                };
                let mut offsets: Vec<(u128, u128)> = Vec::new();
                for (from, to) in spans {
                    let (from, to) = (from.max(*low), to.min(*high));
                    if from > to {
                        continue;
                    }
                    // Numbered from the range's low end, so that only steps are met.
                    let first = steps_between(*low, from, *interval) - 1;
                    let on_step =
                        i128::from(*low) + (first * u128::from(interval.unsigned_abs())) as i128 == i128::from(from);
                    let (first, end) = (first + u128::from(!on_step), steps_between(*low, to, *interval));
                    if first < end {
                        offsets.push((first, end));
                    }
                }
                let offsets = merged(offsets);
                let count = offsets.iter().fold(0_u128, |count, (first, end)| count.saturating_add(end - first));
                if count > limit as u128 {
                    return Err(NoValues::TooMany(count));
                }
                let numbers = offsets.into_iter().flat_map(|(first, end)| first..end);
                let numbers =
                    numbers.filter_map(|at| i64::try_from(i128::from(*low) + at as i128 * i128::from(*interval)).ok());
                Ok(self.kept(numbers.map(text), domain))
            }
            Rule::Date(range) => {
                let steps = range.steps(now);
                let spans = merged(self.numbers(range, &steps, domain));
                let count =
                    spans.iter().fold(0_u128, |count, (first, end)| count + u128::from(end.saturating_sub(*first)));
                if count > limit as u128 {
                    return Err(NoValues::TooMany(count));
                }
                let numbers = spans.into_iter().flat_map(|(first, end)| first..end);
                let times = numbers.filter_map(|number| steps.time(number));
                let mut values: Vec<PartitionValue> = match is_time(&self.kind) {
                    true => times
                        .filter_map(|time| {
                            Some(PartitionValue {
                                value: time_value(time, &self.kind)?,
                                text: range.format.format(time),
                            })
                        })
                        .filter(|value| domain.contains(&value.value))
                        .collect(),
                    false => self.kept(times.map(|time| range.format.format(time)), domain),
                };
                // Steps finer than the format write the same text again.
                let mut last: Option<String> = None;
                values.retain(|value| {
                    last.as_ref() != Some(&value.text) && {
                        last = Some(value.text.clone());
                        true
                    }
                });
                Ok(values)
            }
            Rule::Injected => {
                let points = domain.points().ok_or(NoValues::NotStatic)?;
                let text = |point: &ScalarValue| match point {
                    ScalarValue::Utf8(Some(text)) => Some(text.clone()),
                    _ => None,
                };
                Ok(points
                    .into_iter()
                    .filter_map(|point| Some(PartitionValue { value: point.clone(), text: text(point)? }))
                    .collect())
            }
        }
    }

    fn kept(&self, texts: impl Iterator<Item = String>, domain: &Domain) -> Vec<PartitionValue> {
        texts
            .filter_map(|text| Some(PartitionValue { value: scalar(&text, &self.kind)?, text }))
            .filter(|value| domain.contains(&value.value))
            .collect()
    }

    /// The numbers of the steps that may be in the domain.
    fn numbers(&self, range: &DateRange, steps: &crate::date_range::Steps, domain: &Domain) -> Vec<(u64, u64)> {
        let time = |value: &ScalarValue| -> Option<DateTime> {
            match value {
                ScalarValue::Utf8(Some(text)) => range.format.read(text),
                ScalarValue::Date32(Some(days)) => utc(0).checked_add(jiff::Span::new().try_days(*days).ok()?).ok(),
                ScalarValue::TimestampMicrosecond(Some(micros), _) => Some(utc(micros.div_euclid(1000))),
                _ => None,
            }
        };
        let by_time = is_time(&self.kind) || (self.kind.is_text() && range.format.is_sortable());
        let is_points = domain.points().is_some();
        if !by_time && !is_points {
            return vec![(0, steps.count)];
        }
        let mut spans = Vec::new();
        for one in domain.ranges() {
            let bound = |bound: &std::ops::Bound<ScalarValue>| match bound {
                std::ops::Bound::Unbounded => Some(None),
                std::ops::Bound::Included(value) | std::ops::Bound::Excluded(value) => time(value).map(Some),
            };
            match (bound(&one.low), bound(&one.high)) {
                (Some(low), Some(high)) => {
                    let first = low.and_then(|low| steps.near(low)).unwrap_or(0);
                    // `near` may be two too low, and the end stands behind the last one.
                    let end = high.and_then(|high| steps.near(high)).map_or(steps.count, |near| near.saturating_add(4));
                    spans.push((first.min(steps.count), end.min(steps.count)));
                }
                // A single value that is no date of this format is none of them.
                _ if is_points && self.kind.is_text() => {}
                _ => spans.push((0, steps.count)),
            }
        }
        spans
    }
}

/// The same numbers in spans that are in order and do not meet.
fn merged<T: Ord + Copy>(mut spans: Vec<(T, T)>) -> Vec<(T, T)> {
    spans.retain(|(first, end)| first < end);
    spans.sort_unstable();
    let mut out: Vec<(T, T)> = Vec::with_capacity(spans.len());
    for (first, end) in spans {
        match out.last_mut() {
            Some((_, last)) if first <= *last => *last = end.max(*last),
            _ => out.push((first, end)),
        }
    }
    out
}

/// How many steps there are from `low` to `to`, both in.
fn steps_between(low: i64, to: i64, interval: i64) -> u128 {
    let width = (i128::from(to) - i128::from(low)).max(-1);
    if width < 0 { 0 } else { (width as u128) / u128::from(interval.unsigned_abs().max(1)) + 1 }
}

/// The whole numbers of a range.
fn integers(range: &Range, number: impl Fn(&ScalarValue) -> Option<i64>) -> (i64, i64) {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let low = match &range.low {
        Unbounded => None,
        Included(low) => number(low),
        Excluded(low) => number(low).map(|low| low.saturating_add(1)),
    };
    let high = match &range.high {
        Unbounded => None,
        Included(high) => number(high),
        Excluded(high) => number(high).map(|high| high.saturating_sub(1)),
    };
    (low.unwrap_or(i64::MIN), high.unwrap_or(i64::MAX))
}

fn is_time(kind: &HiveType) -> bool {
    matches!(kind, HiveType::Date | HiveType::Timestamp)
}

fn time_value(time: DateTime, kind: &HiveType) -> Option<ScalarValue> {
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(match kind {
        HiveType::Date => ScalarValue::Date32(i32::try_from(time.as_second().div_euclid(86_400)).ok()),
        _ => ScalarValue::TimestampMicrosecond(Some(time.as_microsecond()), None),
    })
}

/// A text as a value of a column; `None` when it is none.
pub(crate) fn scalar(text: &str, kind: &HiveType) -> Option<ScalarValue> {
    let value = ScalarValue::Utf8(Some(text.to_owned()));
    if kind.is_text() {
        return Some(value);
    }
    let text = ScalarValue::Utf8(Some(text.trim().to_owned()));
    text.cast_to(&kind.to_arrow()).ok().filter(|value| !value.is_null())
}

fn not_of(text: &str, column: &Column) -> String {
    format!("gives '{text}', which is no {}: change the type of column {}", column.kind, column.name)
}

impl NoValues {
    /// The error of a table's column.
    pub fn into_error(self, table: &Table, column: &str, limit: usize) -> Error {
        match self {
            NoValues::NotStatic => Error::ConstraintViolation { column: column.to_owned() },
            NoValues::TooMany(count) => Error::TooManyLocations {
                table: table.name.to_string(),
                count,
                limit,
                advice: format!("column {column} alone has so many values; filter by it with =, IN or a range"),
            },
        }
    }
}
