//! A calendar: a square a day, a row a weekday, a block a year.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};

use super::svg::{Element, Picture};
use crate::numbers::month_name;

/// A square and the room around it.
const CELL: f64 = 13.0;
const STEP: f64 = 16.0;
const LEFT: f64 = 64.0;
const WEEKDAYS: [(usize, &str); 3] = [(0, "Mon"), (2, "Wed"), (4, "Fri")];

/// Adds the years of these days; each has a class and words.
pub fn add(picture: &mut Picture, days: &BTreeMap<Date, (&str, String)>) {
    let years = days.keys().map(|day| day.year()).collect::<std::collections::BTreeSet<_>>();
    for year in years {
        let top = picture.height() + 34.0;
        let mut elements = vec![Element::text(16.0, top - 14.0, year.to_string(), "ink head")];
        let first = date(year, 1, 1);
        let offset = first.weekday().to_monday_zero_offset();
        let place = |day: Date| {
            let number = i32::from(day.day_of_year()) - 1 + i32::from(offset);
            (LEFT + f64::from(number / 7) * STEP, top + f64::from(number % 7) * STEP)
        };
        for month in 1..=12 {
            let (x, _) = place(date(year, month, 1));
            elements.push(Element::text(x, top - 4.0, month_name(month), "soft"));
        }
        for (row, name) in WEEKDAYS {
            elements.push(Element::text(LEFT - 8.0, top + row as f64 * STEP + 10.0, name, "soft end"));
        }
        for (day, (class, words)) in days.range(first..=date(year, 12, 31)) {
            let (x, y) = place(*day);
            elements.push(Element::rect(x, y, CELL, CELL, class).tip(words));
        }
        picture.add(34.0 + 7.0 * STEP + 6.0, elements);
    }
}
