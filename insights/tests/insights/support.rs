//! Small readings, a table of them, and the same questions asked without SQL.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{Float64Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray},
        datatypes::{DataType, Field, Schema, TimeUnit},
    },
    datasource::MemTable,
    prelude::{SessionConfig, SessionContext},
};
use hurtig_insights::{Answer, Ask, Asked, Error, Insights, Period, Result, Rows, Settings, find};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Long after all readings.
pub const NOW: &str = "2030-01-01T00:00:00Z";

/// A row of `readings`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub meter: String,
    pub region: String,
    pub time: Timestamp,
    pub measure: &'static str,
    pub value: f64,
    pub arrived: Option<Timestamp>,
}

pub fn row(meter: &str, time: &str, value: f64) -> Row {
    Row {
        meter: meter.into(),
        region: "uk".into(),
        time: time.parse().expect("a time"),
        measure: "kwh",
        value,
        arrived: None,
    }
}

/// A table in memory.
pub struct Table(SessionContext);

impl Table {
    pub fn of(rows: &[Row]) -> Arc<Self> {
        let utc = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("meter_id", DataType::Utf8, true),
            Field::new("time", utc(), true),
            Field::new("measure", DataType::Utf8, true),
            Field::new("value", DataType::Float64, true),
            Field::new("unit", DataType::Utf8, true),
            Field::new("region", DataType::Utf8, true),
            Field::new("source", DataType::Utf8, true),
            Field::new("arrived", utc(), true),
            Field::new("year", DataType::Int32, true),
            Field::new("month", DataType::Int32, true),
        ]));
        let texts = |text: fn(&Row) -> &str| Arc::new(rows.iter().map(|r| Some(text(r))).collect::<StringArray>());
        let times = |time: fn(&Row) -> Option<Timestamp>| {
            let micros = rows.iter().map(|r| time(r).map(Timestamp::as_microsecond));
            Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        };
        let numbers = |number: fn(Zoned) -> i32| {
            let of = |r: &Row| Some(number(r.time.to_zoned(TimeZone::UTC)));
            Arc::new(rows.iter().map(of).collect::<Int32Array>())
        };
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![
                texts(|r| &r.meter),
                times(|r| Some(r.time)),
                texts(|r| r.measure),
                Arc::new(rows.iter().map(|r| Some(r.value)).collect::<Float64Array>()),
                texts(|_| ""),
                texts(|r| &r.region),
                texts(|_| "test"),
                times(|r| r.arrived),
                numbers(|at| at.year().into()),
                numbers(|at| at.month().into()),
            ],
        );
        // More than one partition, so that nothing holds by the order of one.
        let whole = batch.expect("a batch");
        let half = whole.num_rows() / 2;
        let parts = vec![vec![whole.slice(0, half)], vec![whole.slice(half, whole.num_rows() - half)]];
        let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        let table = MemTable::try_new(schema, parts).expect("a table");
        session.register_table("readings", Arc::new(table)).expect("registered");
        Arc::new(Table(session))
    }
}

#[async_trait]
impl Ask for Table {
    async fn ask(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let frame = self.0.sql(sql).await.map_err(|e| Error::query(format!("{e}\n{sql}")))?;
        let schema = frame.schema().inner().clone();
        let mut batches = frame.collect().await.map_err(|e| Error::query(format!("{e}\n{sql}")))?;
        batches.push(RecordBatch::new_empty(schema));
        Ok(batches)
    }
}

/// Days, and a zone.
pub fn asked(from: &str, to: &str, zone: &str) -> Asked {
    Asked::parse(Some(from), Some(to), Some(zone)).expect("a period")
}

pub async fn period(rows: &[Row], asked: &Asked) -> Period {
    let insights = Insights::new(Table::of(rows), Settings::default()).expect("settings");
    insights.period(asked, NOW.parse().expect("a time")).await.expect("a period").expect("readings")
}

/// An insight's answer over rows.
pub async fn answer(insight: &str, rows: &[Row], asked: &Asked, settings: Settings) -> Answer {
    let insights = Insights::new(Table::of(rows), settings).expect("settings");
    let period = insights.period(asked, NOW.parse().expect("a time")).await.expect("a period").expect("readings");
    let answer = insights.answer(find(insight).expect("an insight"), &period).await;
    answer.unwrap_or_else(|e| panic!("{insight}: {e}"))
}

pub fn rows(answer: &Answer, sheet: usize) -> Rows<'_> {
    Rows::new(&answer.sheets[sheet].batches)
}

/// Runs a test where queries run.
pub fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(test);
}

pub fn near(a: f64, b: f64, what: &str) {
    assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0), "{what}: {a} is not {b}");
}

/// The fleet that all insights are asked about: half-hourly and hourly meters in two regions over weeks around the days in
/// spring and in autumn when clocks change in Europe, with gaps of hours and days, a meter that ends, repeats, values that
/// contradict each other, other measures, a clock that is a day ahead, and arrivals from early to days late.
pub fn fleet(seed: u64) -> Vec<Row> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut rows = Vec::new();
    for (begin, days) in [("2013-03-22T22:30:00Z", 20), ("2013-10-20T00:00:00Z", 14)] {
        let begin: Timestamp = begin.parse().expect("a time");
        for meter in 0..5_i64 {
            let seconds = if meter % 2 == 0 { 1_800 } else { 3_600 };
            let steps = days * 86_400 / seconds;
            let ends = if meter == 4 { steps / 2 } else { steps };
            let mut missing = 0;
            for step in 0..ends {
                if missing == 0 && random.random_bool(0.01) {
                    missing = random.random_range(1..200);
                }
                if missing > 0 {
                    missing -= 1;
                    continue;
                }
                let time = begin + jiff::SignedDuration::from_secs(step * seconds + meter * 7);
                let value = f64::from(random.random_range(0..4_000_u32)) / 1_000.0;
                let late = match random.random_range(0..20) {
                    0 => 200_000,
                    1 => 4_000,
                    2 => -30,
                    3 if meter == 1 => -90_000,
                    _ => random.random_range(0..1_000),
                };
                let arrived = random.random_bool(0.9).then(|| time + jiff::SignedDuration::from_secs(late));
                let region = if meter < 3 { "uk" } else { "il" };
                let row = |measure, value, arrived| Row {
                    meter: format!("m-{meter}"),
                    region: region.into(),
                    time,
                    measure,
                    value,
                    arrived,
                };
                rows.push(row("kwh", value, arrived));
                rows.push(row("voltage", 230.0, arrived));
                if random.random_bool(0.05) {
                    rows.push(row("kwh", value, arrived.map(|at| at + jiff::SignedDuration::from_secs(500))));
                }
                if random.random_bool(0.02) {
                    rows.push(row("kwh", value / 2.0, None));
                }
            }
        }
    }
    // As they come: not in order.
    for at in (1..rows.len()).rev() {
        rows.swap(at, random.random_range(0..=at));
    }
    rows
}

/// A meter's readings: value by time, in kWh.
pub type Once = BTreeMap<(String, Timestamp), f64>;

/// Energies within a period, once each.
pub fn once(rows: &[Row], period: &Period) -> Once {
    let mut once = Once::new();
    for row in rows.iter().filter(|r| r.measure == "kwh" && within(r.time, period)) {
        let value = once.entry((row.meter.clone(), row.time)).or_insert(f64::NEG_INFINITY);
        *value = value.max(row.value);
    }
    once
}

/// When meters said anything within a period.
pub fn seen(rows: &[Row], period: &Period) -> BTreeMap<String, BTreeSet<Timestamp>> {
    let mut seen: BTreeMap<String, BTreeSet<Timestamp>> = BTreeMap::new();
    let ahead = |r: &&Row| r.arrived.is_some_and(|at| r.time.duration_since(at).as_secs() > 900);
    for row in rows.iter().filter(|r| within(r.time, period) && !ahead(r)) {
        seen.entry(row.meter.clone()).or_default().insert(row.time);
    }
    seen
}

fn within(time: Timestamp, period: &Period) -> bool {
    (period.start()..period.end()).contains(&time)
}

pub fn region(rows: &[Row], meter: &str) -> String {
    rows.iter().find(|r| r.meter == meter).map(|r| r.region.clone()).unwrap_or_default()
}

/// Seconds between the readings of a meter, in order.
pub fn gaps(times: &BTreeSet<Timestamp>) -> Vec<f64> {
    let times: Vec<_> = times.iter().collect();
    times.windows(2).map(|pair| (pair[1].as_microsecond() - pair[0].as_microsecond()) as f64 / 1e6).collect()
}

pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

pub fn local(time: Timestamp, zone: &str) -> Zoned {
    time.in_tz(zone).expect("a zone")
}
