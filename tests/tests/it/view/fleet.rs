//! A fleet's day in a store: readings as meters send them, and some meters that somebody should look at.

use hurtig_engine::time::{Clock, SystemClock};
use hurtig_store::{Measure, MeasureValue, NewTable, Record, Retention, Store, StoreOptions};
use hurtig_tests::mix::mix;

/// How many there are.
pub const METERS: i64 = 200;
/// Those that have said nothing for so many minutes.
pub const SILENT: [(i64, i64); 5] = [(144, 1_300), (58, 260), (17, 95), (190, 44), (101, 31)];
/// Those whose voltage has been out of tolerance for so many minutes, and the volts.
pub const OUTSIDE: [(i64, i64, f64); 6] =
    [(161, 300, 196.5), (23, 210, 262.0), (120, 400, 257.5), (77, 45, 202.5), (44, 40, 255.0), (9, 35, 205.5)];

const REGIONS: [&str; 5] = ["North", "East", "South", "West", "Centre"];
/// How often a meter speaks.
const INTERVAL_MS: i64 = 5 * 60_000;
const DAY_MS: i64 = 86_400_000;
/// A record's share of a request.
const BATCH: usize = 10_000;

/// A meter's name.
pub fn name(meter: i64) -> String {
    format!("meter-{meter:03}")
}

/// Its region.
pub fn region(meter: i64) -> &'static str {
    // Not all of the same size.
    REGIONS[(mix(meter as u64) % 17 % 5) as usize]
}

/// Writes the day that ends now, and closes the store.
pub async fn write(options: StoreOptions) {
    let store = Store::open(options).await.expect("a store");
    store.create_database("meters", None).expect("a database");
    let retention = Retention { magnetic_writes: true, ..Retention::default() };
    store.create_table("meters", "readings", NewTable { retention, ..NewTable::default() }).expect("a table");
    let now = SystemClock.now_ms();
    let records: Vec<Record> = (0..METERS).flat_map(|meter| day(meter, now)).collect();
    // The older half is in files, as after some hours of running.
    let (older, newer): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|r| r.time < (now - 12 * 3_600_000) * 1_000_000);
    for (part, flushed) in [(older, true), (newer, false)] {
        for batch in part.chunks(BATCH) {
            let outcome = store.write("meters", "readings", batch).await.expect("written");
            assert_eq!(outcome.rejected, vec![]);
        }
        if flushed {
            store.flush().await.expect("flushed");
        }
    }
}

/// A meter's readings.
fn day(meter: i64, now: i64) -> Vec<Record> {
    let silent_for = SILENT.iter().find(|(m, _)| *m == meter).map_or(0, |(_, minutes)| minutes * 60_000);
    let outside = OUTSIDE.iter().find(|(m, ..)| *m == meter);
    // Spread over the interval, so the last reading is 5 minutes old at most: nobody else becomes silent while the test runs.
    let newest = now - 5_000 - meter * 1_450 - silent_for.div_euclid(INTERVAL_MS) * INTERVAL_MS;
    let newest = if silent_for > 0 { newest.min(now - silent_for) } else { newest };
    let mut records = Vec::new();
    let mut time = newest;
    while time > now - DAY_MS - 12 * INTERVAL_MS {
        let chance = |what: u64| (mix(mix(meter as u64 ^ (time / 1_000) as u64) ^ what) % 10_000) as f64 / 10_000.0;
        let hour = time.rem_euclid(DAY_MS) as f64 / 3_600_000.0;
        let peak = |at: f64, width: f64| (-((hour - at) / width).powi(2)).exp();
        let load = 0.35 + 1.1 * peak(19.0, 2.6) + 0.55 * peak(7.5, 1.6);
        let household = 0.5 + (mix(meter as u64 ^ 77) % 1_000) as f64 / 800.0;
        let kwh = household * load / 12.0 * (0.7 + 0.6 * chance(1));
        let usual = 227.0 + (mix(meter as u64 ^ 99) % 900) as f64 / 100.0;
        let volts = match outside {
            Some((_, minutes, volts)) if now - time < minutes * 60_000 => volts + chance(2) - 0.5,
            _ => usual + 3.0 * chance(3) - 3.5 * load,
        };
        records.push(record(meter, "kwh_measure", time, (kwh * 1_000.0).round() / 1_000.0));
        records.push(record(meter, "voltage_measure", time, (volts * 10.0).round() / 10.0));
        time -= INTERVAL_MS;
    }
    records
}

fn record(meter: i64, measure: &str, time: i64, value: f64) -> Record {
    let dimensions = [("meter_id".into(), name(meter).into()), ("region".into(), region(meter).into())];
    Record {
        dimensions: dimensions.into_iter().collect(),
        measure_name: measure.into(),
        measure: Measure::Single(MeasureValue::Double(value)),
        time: time * 1_000_000,
        version: 1,
    }
}
