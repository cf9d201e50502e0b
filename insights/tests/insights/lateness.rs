//! From its time to its arrival.

use std::collections::BTreeMap;

use hurtig_insights::Settings;
use jiff::{Timestamp, civil::Date};

use crate::support::{answer, asked, fleet, local, period, row, rows, run};

#[test]
fn lateness_is_what_a_plain_count_says() {
    run(async {
        for (seed, zone) in [(51, "Europe/London"), (52, "UTC")] {
            let fleet = fleet(seed);
            let asked = asked("2013-03-25", "2013-10-30", zone);
            let answer = answer("lateness", &fleet, &asked, Settings::default()).await;
            let period = period(&fleet, &asked).await;
            let mut first: BTreeMap<(&str, Timestamp, &str), Option<Timestamp>> = BTreeMap::new();
            for row in fleet.iter().filter(|r| (period.start()..period.end()).contains(&r.time)) {
                let arrived = first.entry((&row.meter, row.time, row.measure)).or_default();
                *arrived = match (*arrived, row.arrived) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            const ENDS: [i64; 7] = [0, 60, 300, 900, 3_600, 21_600, 86_400];
            let mut expected: BTreeMap<Date, (u64, u64, u64, [u64; 8])> = BTreeMap::new();
            for ((_, time, _), arrived) in first {
                let day = expected.entry(local(time, zone).date()).or_default();
                let Some(arrived) = arrived else {
                    day.1 += 1;
                    continue;
                };
                let seconds = arrived.as_second() - time.as_second();
                day.0 += 1;
                day.2 += u64::from(seconds > 900);
                day.3[ENDS.iter().position(|end| seconds < *end).unwrap_or(7)] += 1;
            }
            let rows = rows(&answer, 0);
            let days = rows.days("day").expect("days");
            let count = |name: &str| rows.counts(name).expect(name);
            let steps =
                ["early", "minute", "minutes_5", "minutes_15", "hour", "hours_6", "hours_24", "longer"].map(count);
            let (known, unknown, late) = (count("readings"), count("arrival_unknown"), count("late"));
            let found: BTreeMap<_, _> = (0..rows.len())
                .map(|at| (days[at], (known[at], unknown[at], late[at], steps.each_ref().map(|step| step[at]))))
                .collect();
            assert_eq!(found, expected, "{zone}");
        }
    });
}

#[test]
fn without_arrivals_it_says_so() {
    run(async {
        let fleet = [row("a", "2024-01-01T00:00:00Z", 1.0)];
        let answer = answer("lateness", &fleet, &asked("2024-01-01", "2024-01-01", "UTC"), Settings::default()).await;
        assert!(answer.picture.is_none());
        assert!(
            answer.notes[0].contains("Nobody knows when the 1 reading") && answer.notes[0].contains("--csv-arrival"),
            "{:?}",
            answer.notes
        );
    });
}
