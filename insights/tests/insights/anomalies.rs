//! Medians, bands, and what is outside.

use std::collections::BTreeMap;

use hurtig_insights::Settings;
use jiff::civil::{Date, Weekday};

use crate::support::{Row, answer, asked, fleet, local, median, near, once, period, row, rows, run};

/// Interpolated, as SQL's `percentile_cont` is.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[test]
fn anomalies_are_what_a_plain_count_says() {
    run(async {
        for (seed, zone, band) in [(41, "Europe/London", 0.98), (42, "UTC", 0.9)] {
            let fleet = fleet(seed);
            let asked = asked("2013-03-01", "2013-12-31", zone);
            let settings = Settings { band, list_rows: 50, ..Settings::default() };
            let answer = answer("anomalies", &fleet, &asked, settings).await;

            let once = once(&fleet, &period(&fleet, &asked).await);
            let cell = |meter: &str, time| {
                let at = local(time, zone);
                (meter.to_owned(), [Weekday::Saturday, Weekday::Sunday].contains(&at.weekday()), at.hour())
            };
            let mut cells: BTreeMap<_, Vec<f64>> = BTreeMap::new();
            for ((meter, time), kwh) in &once {
                cells.entry(cell(meter, *time)).or_default().push(*kwh);
            }
            let usual: BTreeMap<_, _> =
                cells.into_iter().map(|(cell, values)| (cell, median(values).expect("values"))).collect();
            let mut residuals: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            for ((meter, time), kwh) in &once {
                residuals.entry(meter).or_default().push(kwh - usual[&cell(meter, *time)]);
            }
            residuals.retain(|_, residuals| residuals.len() >= 100);
            let tail = (1.0 - band) / 2.0;
            let bands: BTreeMap<_, _> = residuals
                .into_iter()
                .map(|(meter, r)| (meter, (quantile(r.clone(), tail), quantile(r, 1.0 - tail))))
                .collect();
            let mut days: BTreeMap<Date, (u64, u64, u64)> = BTreeMap::new();
            let mut distances = Vec::new();
            for ((meter, time), kwh) in &once {
                let Some((low, high)) = bands.get(meter.as_str()) else { continue };
                let residual = kwh - usual[&cell(meter, *time)];
                // Both ways of counting may differ in the last digit where a reading is the band's edge.
                let (above, below) = (residual > high + 1e-9, residual < low - 1e-9);
                let day = days.entry(local(*time, zone).date()).or_default();
                *day = (day.0 + 1, day.1 + u64::from(above), day.2 + u64::from(below));
                if above || below {
                    distances.push((residual - high).max(low - residual) / (high - low));
                }
            }
            distances.sort_by(|a, b| b.total_cmp(a));
            let by_day = rows(&answer, 0);
            let (day, readings) = (by_day.days("day").expect("days"), by_day.counts("readings").expect("readings"));
            let (above, below) = (by_day.counts("above").expect("above"), by_day.counts("below").expect("below"));
            let found: BTreeMap<_, _> =
                (0..by_day.len()).map(|at| (day[at], (readings[at], above[at], below[at]))).collect();
            let sum =
                |days: &BTreeMap<Date, (u64, u64, u64)>| days.values().fold((0, 0), |s, d| (s.0 + d.1, s.1 + d.2));
            assert_eq!(
                found.iter().map(|(d, n)| (*d, n.0)).collect::<Vec<_>>(),
                days.iter().map(|(d, n)| (*d, n.0)).collect::<Vec<_>>()
            );
            let (found, expected) = (sum(&found), sum(&days));
            assert!(found.0.abs_diff(expected.0) <= 5 && found.1.abs_diff(expected.1) <= 5, "{found:?} {expected:?}");
            let list = rows(&answer, 1).numbers("distance").expect("distances");
            assert_eq!(list.len(), 50);
            for (found, expected) in list.iter().zip(&distances) {
                near(*found, *expected, "the furthest");
            }
        }
    });
}

#[test]
fn one_that_is_far_out_is_first() {
    run(async {
        let fleet: Vec<Row> = (0..200)
            .map(|hour| {
                let time = format!("2024-01-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24);
                row("steady", &time, if hour == 77 { 9.0 } else { 1.0 })
            })
            .collect();
        let answer = answer("anomalies", &fleet, &asked("2024-01-01", "2024-01-31", "UTC"), Settings::default()).await;
        let list = rows(&answer, 1);
        assert_eq!(list.numbers("kwh").expect("kWh"), [9.0]);
        assert!(list.numbers("distance").expect("distances")[0].is_nan(), "a band without width");
        assert!(answer.notes.iter().any(|note| note.contains("9 kWh instead of 1")), "{:?}", answer.notes);
    });
}
