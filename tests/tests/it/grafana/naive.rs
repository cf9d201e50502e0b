//! A small fleet, and what each panel has to say of it, counted one reading at a time.

use std::collections::{BTreeMap, BTreeSet};

use hurtig_engine::time::{Clock, SystemClock};
use serde_json::{Value, json};

use super::plugin::{Answer, Cell, INTERVAL_MS};

/// A region whose name has to be quoted with care.
pub const QUOTED: &str = "O'Fallon";
/// The meter whose voltage is too high.
pub const LOUD: &str = "m-2";
const SILENT: &str = "m-5";
const SILENCE_MS: i64 = 2 * 3_600_000;

struct Reading {
    meter: String,
    region: &'static str,
    time: i64,
    kwh: f64,
    volts: f64,
}

/// Six meters, a reading every quarter of an hour for three hours, the newest a quarter of an hour old.
pub struct Fleet {
    readings: Vec<Reading>,
    /// The dashboard's range.
    pub from: i64,
    pub to: i64,
}

impl Fleet {
    pub fn now() -> Self {
        let to = SystemClock.now_ms() / INTERVAL_MS * INTERVAL_MS;
        let mut readings = Vec::new();
        for (n, step) in (0..6_u8).flat_map(|n| (1..=12).map(move |step| (n, step))) {
            let meter = format!("m-{n}");
            if meter == SILENT && step < 10 {
                continue;
            }
            let is_high = meter == LOUD && step <= 3;
            // That of the second meter is too low, and was put right.
            let is_low = n == 1 && step == 12;
            readings.push(Reading {
                meter,
                region: if n % 2 == 0 { QUOTED } else { "north" },
                time: to - i64::from(step) * INTERVAL_MS,
                kwh: 0.25 * f64::from(n + 1) + 0.125 * f64::from(step % 4),
                volts: if is_high {
                    260.0
                } else if is_low {
                    200.5
                } else {
                    230.0 + f64::from(n)
                },
            });
        }
        Fleet { readings, from: to - 6 * 3_600_000, to }
    }

    /// For WriteRecords.
    pub fn records(&self) -> Vec<Value> {
        let record = |reading: &Reading, measure: &str, value: f64| {
            json!({
                "Dimensions": [
                    { "Name": "meter_id", "Value": reading.meter },
                    { "Name": "region", "Value": reading.region },
                ],
                "MeasureName": measure, "MeasureValue": value.to_string(), "MeasureValueType": "DOUBLE",
                "Time": reading.time.to_string(),
            })
        };
        let both = |r: &Reading| [record(r, "kwh_measure", r.kwh), record(r, "voltage_measure", r.volts)];
        self.readings.iter().flat_map(both).collect()
    }

    /// What a variable offers.
    pub fn values(&self, variable: &str) -> Vec<String> {
        let value = |r: &Reading| if variable == "region" { r.region.to_owned() } else { r.meter.clone() };
        self.readings.iter().map(value).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The last reading of every meter.
    fn last(&self) -> Vec<&Reading> {
        let mut last: BTreeMap<&str, &Reading> = BTreeMap::new();
        for reading in &self.readings {
            let newest = last.entry(&reading.meter).or_insert(reading);
            if reading.time > newest.time {
                *newest = reading;
            }
        }
        last.into_values().collect()
    }

    fn outside(volts: f64) -> bool {
        !(207.0..=253.0).contains(&volts)
    }

    fn silent(&self) -> Vec<&Reading> {
        self.last().into_iter().filter(|last| last.time < self.to - SILENCE_MS).collect()
    }

    /// Readings by key and time, each as a number, added up.
    fn sums<K: Ord>(&self, key: impl Fn(&Reading) -> Option<K>, value: impl Fn(&Reading) -> f64) -> BTreeMap<K, f64> {
        let mut sums = BTreeMap::new();
        for reading in &self.readings {
            if let Some(key) = key(reading) {
                *sums.entry(key).or_insert(0.0) += value(reading);
            }
        }
        sums
    }

    fn series(&self, value: impl Fn(&Reading) -> f64) -> Vec<Vec<Cell>> {
        let mut regions: BTreeMap<&str, Vec<(i64, f64)>> = BTreeMap::new();
        for ((region, time), sum) in self.sums(|r| Some((r.region, r.time)), value) {
            regions.entry(region).or_default().push((time, sum));
        }
        regions.into_iter().map(|(region, points)| vec![text(region), Cell::Series(points)]).collect()
    }

    /// Panics where a panel's answer is another than its readings say, or where nobody has counted what it should be.
    pub fn check(&self, title: &str, answer: &Answer) {
        let (columns, rows) = self.expected(title, answer);
        assert_eq!(answer.columns, columns, "{title}");
        assert!(!rows.is_empty(), "{title}: nothing is expected");
        assert_eq!(answer.rows.len(), rows.len(), "{title}: {answer:?} and {rows:?}");
        for (row, expected) in answer.rows.iter().zip(&rows) {
            assert_eq!(row.len(), expected.len(), "{title}");
            assert!(row.iter().zip(expected).all(|(a, b)| same(a, b)), "{title}: {row:?} and {expected:?}");
        }
    }

    fn expected(&self, title: &str, answer: &Answer) -> (Vec<&'static str>, Vec<Vec<Cell>>) {
        let (readings, last, silent) = (&self.readings, self.last(), self.silent());
        let loud: Vec<_> = readings.iter().filter(|r| r.meter == LOUD).collect();
        let newest = readings.iter().map(|r| r.time).max().expect("one");
        let by_step = |sums: BTreeMap<i64, f64>| -> Vec<Vec<Cell>> {
            sums.into_iter().map(|(at, sum)| vec![Cell::Time(at), n(sum)]).collect()
        };
        match title {
            "Meters" => (vec!["meters"], vec![vec![n(6.0)]]),
            "Energy" => (vec!["kwh"], vec![vec![n(readings.iter().map(|r| r.kwh).sum())]]),
            "Readings" => (vec!["readings"], vec![vec![n(readings.len() as f64)]]),
            "Voltage out of tolerance" => {
                (vec!["meters"], vec![vec![n(last.iter().filter(|r| Self::outside(r.volts)).count() as f64)]])
            }
            "Silent meters" => (vec!["meters"], vec![vec![n(silent.len() as f64)]]),
            "Newest reading" => (vec!["newest"], vec![vec![Cell::Time(newest)]]),
            "Energy of the fleet" => (vec!["step", "kwh"], by_step(self.sums(|r| Some(r.time), |r| r.kwh))),
            "Voltage of the fleet" => {
                let (sums, counts) = (self.sums(|r| Some(r.time), |r| r.volts), self.sums(|r| Some(r.time), |_| 1.0));
                // A quantile is anything between the values next to it.
                let between = |at: usize| {
                    let ordered = answer.rows[at][1].number() <= answer.rows[at][3].number();
                    assert!(ordered, "{title}: {:?}", answer.rows[at]);
                    (answer.rows[at][1].clone(), answer.rows[at][3].clone())
                };
                let row = |(at, ((time, sum), count)): (usize, ((i64, f64), f64))| {
                    let (low, high) = between(at);
                    vec![Cell::Time(time), low, n(sum / count), high]
                };
                (
                    vec!["step", "p05", "mean", "p95"],
                    sums.into_iter().zip(counts.into_values()).enumerate().map(row).collect(),
                )
            }
            "Energy by region" => (vec!["region", "kwh"], self.series(|r| r.kwh)),
            "Energy of each region" => {
                let mut sums: Vec<_> = self.sums(|r| Some(r.region), |r| r.kwh).into_iter().collect();
                sums.sort_by(|a, b| b.1.total_cmp(&a.1));
                (vec!["region", "kwh"], sums.into_iter().map(|(region, kwh)| vec![text(region), n(kwh)]).collect())
            }
            "Energy of $meter" => {
                (vec!["step", "kwh"], by_step(self.sums(|r| (r.meter == LOUD).then_some(r.time), |r| r.kwh)))
            }
            "Voltage of $meter" => {
                let volts: BTreeMap<i64, f64> = loud.iter().map(|r| (r.time, r.volts)).collect();
                let row = |(at, v): (i64, f64)| vec![Cell::Time(at), n(v), n(v), n(v), n(207.0), n(253.0)];
                (
                    vec!["step", "lowest", "mean", "highest", "lower limit", "upper limit"],
                    volts.into_iter().map(row).collect(),
                )
            }
            "Last readings of $meter" => {
                let newest = loud.iter().max_by_key(|r| r.time).expect("one");
                let row = |measure, value| vec![text(measure), n(value), text(newest.region), Cell::Time(newest.time)];
                let rows = vec![row("kwh_measure", newest.kwh), row("voltage_measure", newest.volts)];
                (vec!["measure", "value", "region", "seen"], rows)
            }
            "Readings out of tolerance" => {
                (vec!["region", "readings"], self.series(|r| f64::from(u8::from(Self::outside(r.volts)))))
            }
            "Meters out of tolerance" => {
                let outside = last.iter().filter(|r| Self::outside(r.volts));
                let row = |r: &&Reading| {
                    let deviation = 100.0 * (r.volts / 230.0 - 1.0);
                    vec![text(&r.meter), text(r.region), n(r.volts), n(deviation), Cell::Time(r.time)]
                };
                (vec!["meter", "region", "volts", "deviation", "seen"], outside.map(row).collect())
            }
            "Silent meters by region" => {
                let rows = silent.iter().map(|r| vec![text(r.region), n(1.0)]).collect();
                (vec!["region", "meters"], rows)
            }
            "Meters that are silent" => {
                let row = |r: &&Reading| {
                    let seconds = (self.to - r.time) / 1_000;
                    vec![text(&r.meter), text(r.region), Cell::Time(r.time), n(seconds as f64)]
                };
                (vec!["meter", "region", "seen", "silent"], silent.iter().map(row).collect())
            }
            other => panic!("nobody has counted what '{other}' should say"),
        }
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn n(number: f64) -> Cell {
    Cell::Number(number)
}

/// The order of adding changes a sum's last digits.
fn same(a: &Cell, b: &Cell) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1.0);
    match (a, b) {
        (Cell::Number(a), Cell::Number(b)) => near(*a, *b),
        (Cell::Series(a), Cell::Series(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && near(a.1, b.1))
        }
        (a, b) => a == b,
    }
}
