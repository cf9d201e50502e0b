//! Hours, kinds of day and seasons.

use std::collections::BTreeMap;

use hurtig_insights::Settings;
use jiff::civil::Weekday;

use crate::support::{answer, asked, fleet, gaps, local, median, near, once, period, row, rows, run};

#[test]
fn curves_are_what_a_plain_count_says() {
    run(async {
        for (seed, zone) in [(11, "Europe/Berlin"), (12, "UTC")] {
            let fleet = fleet(seed);
            let asked = asked("2013-03-01", "2013-12-31", zone);
            let answer = answer("load-curves", &fleet, &asked, Settings::default()).await;

            let once = once(&fleet, &period(&fleet, &asked).await);
            let mut times: BTreeMap<&str, std::collections::BTreeSet<_>> = BTreeMap::new();
            for (meter, time) in once.keys() {
                times.entry(meter).or_default().insert(*time);
            }
            let usual: BTreeMap<_, _> = times.iter().map(|(meter, times)| (*meter, median(gaps(times)))).collect();
            let mut expected: BTreeMap<(&str, &str, u64), (f64, f64)> = BTreeMap::new();
            for ((meter, time), kwh) in &once {
                let at = local(*time, zone);
                let season =
                    ["Dec–Feb", "Mar–May", "Jun–Aug", "Sep–Nov"][usize::from(at.month().unsigned_abs()) % 12 / 3];
                let days = match at.weekday() {
                    Weekday::Saturday => "Sat",
                    Weekday::Sunday => "Sun",
                    _ => "Mon–Fri",
                };
                let sum = expected.entry((season, days, u64::from(at.hour().unsigned_abs()))).or_default();
                *sum = (sum.0 + kwh, sum.1 + usual[meter.as_str()].expect("gaps") / 3_600.0);
            }
            let rows = rows(&answer, 0);
            let (seasons, days) = (rows.texts("season").expect("seasons"), rows.texts("days").expect("days"));
            let (hours, kw) = (rows.counts("hour").expect("hours"), rows.numbers("kw").expect("kW"));
            assert_eq!(rows.len(), expected.len(), "{zone}");
            for at in 0..rows.len() {
                let key = (&*seasons[at], &*days[at], hours[at]);
                near(kw[at], expected[&key].0 / expected[&key].1, &format!("{zone} {key:?}"));
            }
        }
    });
}

#[test]
fn half_an_hour_counts_half() {
    run(async {
        // A kW each: half-hourly and hourly.
        let mut fleet = Vec::new();
        for half in 0..48 {
            let time = format!("2024-07-01T{:02}:{:02}:00Z", half / 2, half % 2 * 30);
            fleet.push(row("half", &time, 0.5));
            if half % 2 == 0 {
                fleet.push(row("hour", &time, 1.0));
            }
        }
        let answer =
            answer("load-curves", &fleet, &asked("2024-07-01", "2024-07-01", "UTC"), Settings::default()).await;
        let kw = rows(&answer, 0).numbers("kw").expect("kW");
        assert!(kw.len() == 24 && kw.iter().all(|kw| (kw - 1.0).abs() < 1e-12), "{kw:?}");
    });
}
