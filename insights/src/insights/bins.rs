//! Days as columns: each its own, or so many together that there are not too many.

use jiff::{ToSpan, civil::Date};

/// More columns than that would be thinner than a line.
const MOST: i32 = 200;
/// Labels below them.
const LABELS: usize = 8;

/// The columns from one day to another.
#[derive(Debug, Clone, Copy)]
pub struct Bins {
    first: Date,
    last: Date,
    together: i32,
}

impl Bins {
    /// From a day to a later one.
    pub fn new(first: Date, last: Date) -> Self {
        let days = (last - first).get_days().max(0) + 1;
        Bins { first, last, together: (days + MOST - 1) / MOST }
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.at(self.last) + 1
    }

    /// The one that a day is in.
    pub fn at(self, day: Date) -> usize {
        usize::try_from((day - self.first).get_days() / self.together).unwrap_or(0)
    }

    /// The first and the last day of one.
    pub fn days(self, bin: usize) -> (Date, Date) {
        let begin = i32::try_from(bin).unwrap_or(i32::MAX).saturating_mul(self.together);
        let first = self.first.saturating_add(begin.days());
        (first, first.saturating_add((self.together - 1).days()).min(self.last))
    }

    /// Its days in words.
    pub fn words(self, bin: usize) -> String {
        match self.days(bin) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first} to {last}"),
        }
    }

    /// What stands below it: its first day, or nothing.
    pub fn label(self, bin: usize) -> Option<String> {
        let every = self.len().div_ceil(LABELS);
        bin.is_multiple_of(every).then(|| self.days(bin).0.to_string())
    }

    /// By what it counts: `day`, `7 days`.
    pub fn unit(self) -> String {
        if self.together == 1 { "day".into() } else { format!("{} days", self.together) }
    }
}
