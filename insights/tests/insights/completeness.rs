//! Days, and what is there of them.

use std::{collections::BTreeMap, time::Duration};

use hurtig_insights::Settings;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use crate::support::{Row, answer, asked, fleet, gaps, local, median, period, row, rows, run, seen};

/// Hourly, without an end.
fn hourly(from: &str, hours: i64) -> Vec<Row> {
    let from: Timestamp = from.parse().expect("a time");
    (0..hours).map(|hour| Row { time: from + hour.hours(), ..row("a", "2024-01-01T00:00:00Z", 1.0) }).collect()
}

#[test]
fn days_are_what_a_plain_count_says() {
    run(async {
        for (seed, zone) in [(21, "Europe/London"), (22, "UTC"), (23, "Australia/Lord_Howe")] {
            let fleet = fleet(seed);
            let asked = asked("2013-03-24", "2013-10-30", zone);
            let answer = answer("completeness", &fleet, &asked, Settings::default()).await;

            let mut expected: BTreeMap<Date, (u64, u64, u64)> = BTreeMap::new();
            for times in seen(&fleet, &period(&fleet, &asked).await).values() {
                let Some(seconds) = median(gaps(times)) else { continue };
                // Local times as if their zone were UTC: what a part of a day is measured by.
                let wall = |at: &Timestamp| {
                    local(*at, zone).datetime().to_zoned(TimeZone::UTC).expect("a time").timestamp().as_microsecond()
                        as f64
                        / 1e6
                };
                let first = times.iter().map(wall).fold(f64::INFINITY, f64::min);
                let last = times.iter().map(wall).fold(f64::NEG_INFINITY, f64::max);
                let (mut day, end) =
                    (local(*times.first().expect("one"), zone).date(), local(*times.last().expect("one"), zone).date());
                while day <= end {
                    let midnight = |day: Date| day.at(0, 0, 0, 0).in_tz(zone).expect("a day").timestamp();
                    let (begin, over) = (midnight(day), midnight(day.tomorrow().expect("a day")));
                    let start =
                        day.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).expect("a day").timestamp().as_second() as f64;
                    let span = (start + 86_400.0).min(last + seconds) - start.max(first);
                    let length = (over.as_second() - begin.as_second()) as f64;
                    let n = ((if span >= 86_400.0 { length } else { span }) / seconds).round().max(1.0) as u64;
                    let there = times.range(begin..over).count() as u64;
                    let sum = expected.entry(day).or_default();
                    *sum = (sum.0 + 1, sum.1 + n, sum.2 + there.min(n));
                    day = day.tomorrow().expect("a day");
                }
            }
            let rows = rows(&answer, 0);
            let (days, meters) = (rows.days("day").expect("days"), rows.counts("meters").expect("meters"));
            let (all, there) = (rows.counts("expected").expect("expected"), rows.counts("there").expect("there"));
            let found: BTreeMap<_, _> =
                (0..rows.len()).map(|at| (days[at], (meters[at], all[at], there[at]))).collect();
            assert_eq!(found, expected, "{zone}");
        }
    });
}

#[test]
fn days_have_as_many_hours_as_their_clocks_say() {
    run(async {
        // London: 23 hours on 31 March 2013, 25 on 27 October.
        for (from, day, hours) in
            [("2013-03-29T00:00:00Z", "2013-03-31", 23), ("2013-10-25T23:00:00Z", "2013-10-27", 25)]
        {
            let answer = answer(
                "completeness",
                &hourly(from, 96),
                &asked("2013-01-01", "2013-12-31", "Europe/London"),
                Settings::default(),
            )
            .await;
            let rows = rows(&answer, 0);
            let at = rows.days("day").expect("days").iter().position(|d| d.to_string() == day).expect("the day");
            assert_eq!(rows.counts("expected").expect("expected")[at], hours, "{day}");
            assert_eq!(rows.counts("there").expect("there")[at], hours, "{day}");
        }
    });
}

#[test]
fn days_without_a_reading_are_there() {
    run(async {
        let mut fleet = hourly("2024-01-01T00:00:00Z", 24);
        fleet.extend(hourly("2024-01-04T00:00:00Z", 24));
        // Twice is once.
        fleet.extend(hourly("2024-01-04T00:00:00Z", 3));
        let answer =
            answer("completeness", &fleet, &asked("2024-01-01", "2024-01-31", "UTC"), Settings::default()).await;
        let rows_of = rows(&answer, 0);
        assert_eq!(rows_of.counts("expected").expect("expected"), [24; 4]);
        assert_eq!(rows_of.counts("there").expect("there"), [24, 0, 0, 24]);
        assert!(answer.notes[0].starts_with("50 % of the readings are there: 48 of 96."), "{:?}", answer.notes);
    });
}

#[test]
fn an_interval_that_is_told_is_the_one() {
    run(async {
        let settings = Settings { interval: Some(Duration::from_secs(900)), ..Settings::default() };
        let answer = answer(
            "completeness",
            &hourly("2024-01-01T00:00:00Z", 24),
            &asked("2024-01-01", "2024-01-01", "UTC"),
            settings,
        )
        .await;
        // From 00:00 to 23:15: what comes behind the last reading is not expected.
        assert_eq!(rows(&answer, 0).counts("expected").expect("expected"), [93]);
    });
}
