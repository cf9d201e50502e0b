//! Which directory a record belongs to.

use std::{fmt, sync::Arc};

use hurtig_engine::{record::Record, time::NO_TIMESTAMP};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// How long an event-time partition is. Always UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventTimePartition {
    /// `year=2024/month=07/day=05/hour=13`
    Hour,
    /// `year=2024/month=07/day=05`
    Day,
    /// `year=2024/month=07`
    Month,
    /// No partitions.
    None,
}

impl EventTimePartition {
    /// The directory of `timestamp` (milliseconds since the epoch).
    pub fn path(self, timestamp: i64) -> Result<String, String> {
        Ok(self.span(timestamp)?.path)
    }

    /// The columns that a partition's directory names, from the outermost on.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            EventTimePartition::Hour => &["year", "month", "day", "hour"],
            EventTimePartition::Day => &["year", "month", "day"],
            EventTimePartition::Month => &["year", "month"],
            EventTimePartition::None => &[],
        }
    }

    /// The partition around `timestamp`.
    fn span(self, timestamp: i64) -> Result<Span, String> {
        if timestamp == NO_TIMESTAMP {
            return Err("the record has no timestamp to find its partition by".into());
        }
        let wrong = || format!("the timestamp {timestamp} is outside the years 0 to 9999");
        let time = Timestamp::from_millisecond(timestamp).map_err(|_| wrong())?;
        let t = TimeZone::UTC.to_datetime(time);
        if t.year() < 0 {
            return Err(wrong());
        }
        let at = |t: DateTime| TimeZone::UTC.to_timestamp(t).map(Timestamp::as_millisecond).ok();
        let day = t.date();
        let (start, end, path) = match self {
            EventTimePartition::None => return Ok(Span { start: i64::MIN + 1, end: i64::MAX, path: String::new() }),
            EventTimePartition::Hour => {
                let start = at(day.at(t.hour(), 0, 0, 0));
                let path =
                    format!("year={:04}/month={:02}/day={:02}/hour={:02}", t.year(), t.month(), t.day(), t.hour());
                (start, start.map(|s| s + 3_600_000), path)
            }
            EventTimePartition::Day => {
                let start = at(day.at(0, 0, 0, 0));
                let path = format!("year={:04}/month={:02}/day={:02}", t.year(), t.month(), t.day());
                (start, start.map(|s| s + 86_400_000), path)
            }
            EventTimePartition::Month => {
                let start = at(day.first_of_month().at(0, 0, 0, 0));
                let days = i64::from(t.days_in_month());
                (start, start.map(|s| s + days * 86_400_000), format!("year={:04}/month={:02}", t.year(), t.month()))
            }
        };
        let (Some(start), Some(end)) = (start, end) else { return Err(wrong()) };
        Ok(Span { start, end, path })
    }
}

/// A partition in time: from `start` to before `end`.
pub(super) struct Span {
    pub start: i64,
    pub end: i64,
    pub path: String,
}

type TimeOf<T> = Arc<dyn Fn(&T) -> i64 + Send + Sync>;
type PathOf<T> = Arc<dyn Fn(&T) -> String + Send + Sync>;
type NameOf<T> = Arc<dyn for<'a> Fn(&'a T) -> &'a str + Send + Sync>;
type PlaceOf<T> = Arc<dyn Fn(&T, u64) -> Result<String, String> + Send + Sync>;

/// How a sink's records are spread over directories.
pub enum PartitionBy<T> {
    /// Not at all.
    Nothing,
    /// By the record's timestamp, or by the time that the function finds in it.
    EventTime(Option<TimeOf<T>>, EventTimePartition),
    /// By a path such as `region=r-07`; `..` is refused.
    Custom(PathOf<T>),
    /// By a name that is in the record; the path is asked for once per file.
    Named {
        /// Records of one name go to one file.
        name: NameOf<T>,
        /// Where the file of a record's name is to be, or why it cannot be anywhere. Asked for its
        /// first record, with the file's number in this writer.
        path: PlaceOf<T>,
    },
}

impl<T> Clone for PartitionBy<T> {
    fn clone(&self) -> Self {
        match self {
            PartitionBy::Nothing => PartitionBy::Nothing,
            PartitionBy::EventTime(of, unit) => PartitionBy::EventTime(of.clone(), *unit),
            PartitionBy::Custom(f) => PartitionBy::Custom(f.clone()),
            PartitionBy::Named { name, path } => PartitionBy::Named { name: name.clone(), path: path.clone() },
        }
    }
}

impl<T> fmt::Debug for PartitionBy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionBy::Nothing => f.write_str("Nothing"),
            PartitionBy::EventTime(_, unit) => write!(f, "EventTime({unit:?})"),
            PartitionBy::Custom(_) => f.write_str("Custom"),
            PartitionBy::Named { .. } => f.write_str("Named"),
        }
    }
}

impl<T> PartitionBy<T> {
    /// By the record's own timestamp.
    pub fn event_time(unit: EventTimePartition) -> Self {
        PartitionBy::EventTime(None, unit)
    }

    /// By a time in the record, in milliseconds since the epoch.
    pub fn event_time_of(time: impl Fn(&T) -> i64 + Send + Sync + 'static, unit: EventTimePartition) -> Self {
        PartitionBy::EventTime(Some(Arc::new(time)), unit)
    }

    /// By a path of your own. For parts of it that are times there is
    /// [`EventTimePartition::path`].
    pub fn custom(path: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        PartitionBy::Custom(Arc::new(path))
    }

    /// By a name in the record, with a path that is made once per file: it may depend on the
    /// file's first record, and on its number.
    pub fn named(
        name: impl for<'a> Fn(&'a T) -> &'a str + Send + Sync + 'static,
        path: impl Fn(&T, u64) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        PartitionBy::Named { name: Arc::new(name), path: Arc::new(path) }
    }

    /// Where `record` belongs.
    #[inline]
    pub(super) fn place<'a>(&self, record: &'a Record<T>) -> Place<'a> {
        match self {
            PartitionBy::Nothing | PartitionBy::EventTime(_, EventTimePartition::None) => Place::Root,
            PartitionBy::EventTime(of, _) => Place::Time(of.as_ref().map_or(record.timestamp, |f| f(&record.value))),
            PartitionBy::Custom(f) => Place::Path(f(&record.value)),
            PartitionBy::Named { name, .. } => Place::Name(name(&record.value)),
        }
    }

    /// The path of a [`Place::Name`], for the writer's file `number`.
    pub(super) fn path(&self, record: &Record<T>, number: u64) -> Result<String, String> {
        match self {
            PartitionBy::Named { path, .. } => path(&record.value, number),
            _ => Err("there are no partitions by name".into()),
        }
    }

    /// The partition around a [`Place::Time`].
    pub(super) fn span(&self, timestamp: i64) -> Result<Span, String> {
        match self {
            PartitionBy::EventTime(_, unit) => unit.span(timestamp),
            _ => Err("there are no partitions in time".into()),
        }
    }
}

/// Where a record belongs, as cheaply as it can be said.
pub(super) enum Place<'a> {
    Root,
    Time(i64),
    Path(String),
    Name(&'a str),
}

/// What file systems allow in one part of a path …
const MAX_NAME: usize = 255;
/// … and, with room for the sink's directory and the file's name, in all of it.
const MAX_PATH: usize = 2048;

/// Refuses paths that lead out of the sink's directory, to where its files are not seen, or that
/// no file system takes.
pub fn check_path(path: &str) -> Result<(), String> {
    if path.len() > MAX_PATH || path.split('/').any(|part| part.len() > MAX_NAME) {
        let begin = &path[..path.floor_char_boundary(80)];
        return Err(format!(
            "'{begin}…' cannot be a partition: no part may be longer than {MAX_NAME} bytes, and all of it not longer \
             than {MAX_PATH}"
        ));
    }
    let bad = |part: &str| part.is_empty() || part.starts_with(['.', '_']) || part.contains(['\\', '\0']);
    if !path.is_empty() && path.split('/').any(bad) {
        return Err(format!("'{path}' cannot be a partition: no empty parts, and none that start with '.' or '_'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_spans() {
        let t = 1_720_184_399_999; // 2024-07-05 12:59:59.999
        for (unit, path, start, end) in [
            (EventTimePartition::Hour, "year=2024/month=07/day=05/hour=12", 1_720_180_800_000, 1_720_184_400_000_i64),
            (EventTimePartition::Day, "year=2024/month=07/day=05", 1_720_137_600_000, 1_720_224_000_000),
            (EventTimePartition::Month, "year=2024/month=07", 1_719_792_000_000, 1_722_470_400_000),
        ] {
            let span = unit.span(t).expect("a span");
            assert_eq!((span.path.as_str(), span.start, span.end), (path, start, end));
            assert_eq!(unit.span(end).expect("a span").start, end, "the next one begins where this one ends");
        }
        assert_eq!(EventTimePartition::Month.path(-1).as_deref(), Ok("year=1969/month=12"));
        assert_eq!(EventTimePartition::Hour.path(-1).as_deref(), Ok("year=1969/month=12/day=31/hour=23"));
        assert_eq!(EventTimePartition::None.path(5).as_deref(), Ok(""));
        assert!(EventTimePartition::Day.path(NO_TIMESTAMP).is_err_and(|e| e.contains("no timestamp")));
        assert!(EventTimePartition::Day.path(i64::MAX).is_err_and(|e| e.contains("outside the years")));
    }

    #[test]
    fn a_partition_stays_inside() {
        for bad in ["../x", "a/../b", "/etc", "a//b", ".hidden", "a/_b", "a/", "a\\b"] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
        for long in ["ä".repeat(128), ["x"; 1025].join("/")] {
            assert!(check_path(&format!("a=1/{long}")).is_err_and(|e| e.contains("longer than") && e.len() < 300));
        }
        assert!(check_path(&"ä".repeat(127)).is_ok());
        for good in ["", "region=r-07", "a=1/b=2", "x..y"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
    }
}
