//! Months, rates and money.

use std::collections::{BTreeMap, BTreeSet};

use hurtig_insights::{Energy, Settings, Tariffs};
use jiff::civil::Weekday;

use crate::support::{answer, asked, fleet, local, near, once, period, region, row, rows, run};

const TARIFF: &str = r#"
currency = "GBP"
[[tariff]]
name = "Economy"
regions = ["uk"]
standing_charge = 0.5
price = 0.3
[[tariff.rate]]
name = "night"
hours = "22:00-07:30"
price = 0.1
[[tariff.rate]]
name = "weekend"
weekdays = ["sat", "sun"]
price = 0.2
[[tariff]]
name = "one"
meters = ["m-3"]
price = 0.25
[[tariff.rate]]
name = "summer"
months = [10]
price = 0.05
"#;

#[test]
fn months_and_rates_are_what_a_plain_count_says() {
    run(async {
        let tariffs = Tariffs::parse(TARIFF, false).expect("tariffs");
        for (seed, zone) in [(1, "Europe/London"), (2, "UTC"), (3, "Asia/Kolkata"), (4, "America/Chicago")] {
            let fleet = fleet(seed);
            let asked = asked("2013-03-23", "2013-11-01", zone);
            let answer =
                answer("consumption", &fleet, &asked, Settings { tariffs: tariffs.clone(), ..Settings::default() })
                    .await;

            let mut expected: BTreeMap<(String, &str, &str), (f64, f64)> = BTreeMap::new();
            let mut days = BTreeSet::new();
            for ((meter, time), kwh) in once(&fleet, &period(&fleet, &asked).await) {
                let at = local(time, zone);
                let minute = i32::from(at.hour()) * 60 + i32::from(at.minute());
                let month = at.date().first_of_month().to_string();
                let weekend = [Weekday::Saturday, Weekday::Sunday].contains(&at.weekday());
                let (tariff, rate, price) = match (&*region(&fleet, &meter), &*meter) {
                    ("uk", _) if !(450..1_320).contains(&minute) => ("Economy", "night", 0.1),
                    ("uk", _) if weekend => ("Economy", "weekend", 0.2),
                    ("uk", _) => ("Economy", "otherwise", 0.3),
                    (_, "m-3") if at.month() == 10 => ("one", "summer", 0.05),
                    (_, "m-3") => ("one", "otherwise", 0.25),
                    _ => ("no tariff", "", f64::NAN),
                };
                if tariff == "Economy" && days.insert((meter.clone(), at.date())) {
                    expected.entry((month.clone(), tariff, "standing charge")).or_default().1 += 0.5;
                }
                let sum = expected.entry((month, tariff, rate)).or_default();
                *sum = (sum.0 + kwh, sum.1 + kwh * price);
            }
            let rows = rows(&answer, 0);
            let (months, tariff) = (rows.days("month").expect("months"), rows.texts("tariff").expect("tariffs"));
            let rate = rows.texts("rate").expect("rates");
            let (kwh, cost) = (rows.numbers("kwh").expect("kWh"), rows.numbers("cost").expect("costs"));
            assert_eq!(rows.len(), expected.len(), "{zone}: {tariff:?} {rate:?}");
            for at in 0..rows.len() {
                let key = (months[at].to_string(), &*tariff[at], &*rate[at]);
                let (kwh_expected, cost_expected) = expected[&key];
                let zero = |v: f64| if v.is_finite() { v } else { 0.0 };
                near(zero(kwh[at]), kwh_expected, &format!("{zone} {key:?} kWh"));
                near(zero(cost[at]), zero(cost_expected), &format!("{zone} {key:?} cost"));
            }
        }
    });
}

#[test]
fn the_default_is_the_talks_price() {
    run(async {
        let fleet = [row("a", "2024-01-31T23:45:00Z", 2.0), row("a", "2024-02-01T00:00:00Z", 3.0)];
        let asked = asked("2024-01-01", "2024-12-31", "UTC");
        let answer = answer("consumption", &fleet, &asked, Settings::default()).await;
        let rows = rows(&answer, 0);
        assert_eq!(rows.numbers("kwh").expect("kWh"), [2.0, 3.0]);
        assert_eq!(rows.numbers("cost").expect("costs"), [2.0 * 0.23, 3.0 * 0.23]);
        assert_eq!(answer.notes[0], "5 kWh, 1.15 USD in all.");
    });
}

#[test]
fn gas_is_counted_in_kwh() {
    run(async {
        let mut therm = row("gas", "2024-01-31T12:00:00Z", 2.0);
        therm.measure = "therm";
        let rows_of = [therm, row("a", "2024-01-31T12:00:00Z", 9.0)];
        let settings = Settings { energy: Energy::Therm, ..Settings::default() };
        let answer = answer("consumption", &rows_of, &asked("2024-01-01", "2024-01-31", "UTC"), settings).await;
        assert_eq!(rows(&answer, 0).numbers("kwh").expect("kWh"), [58.6142]);
    });
}

#[test]
fn names_from_a_file_stay_names() {
    run(async {
        let said = r#"{"currency":"£","tariff":[{"name":"x'; DROP TABLE readings; --","price":1,"regions":["uk'"]},{"name":"y","price":2}]}"#;
        let tariffs = Tariffs::parse(said, true).expect("tariffs");
        let settings = Settings { tariffs, ..Settings::default() };
        let fleet = [row("a", "2024-01-31T12:00:00Z", 1.0)];
        let answer = answer("consumption", &fleet, &asked("2024-01-01", "2024-01-31", "UTC"), settings).await;
        assert_eq!(rows(&answer, 0).texts("tariff").expect("tariffs"), ["y"]);
    });
}
