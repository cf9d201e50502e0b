//! A store with readings, and a view over it.

use std::{sync::Arc, time::Duration};

use hurtig_state::ManualClock;
use hurtig_store::{Measure, MeasureValue, NewTable, Queries, Record, Retention, Store, StoreOptions};
use hurtig_view::{View, ViewOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

/// 2023-11-14 22:13:20 UTC
pub const NOW_MS: i64 = 1_700_000_000_000;
pub const MINUTE_MS: i64 = 60_000;
pub const DAY_MS: i64 = 86_400_000;

/// A reading of one measure, so many milliseconds ago.
pub fn reading(meter: &str, region: Option<&str>, measure: &str, ago_ms: i64, value: f64) -> Record {
    let region = region.map(|region| ("region".into(), region.into()));
    Record {
        dimensions: std::iter::once(("meter_id".into(), meter.into())).chain(region).collect(),
        measure_name: measure.into(),
        measure: Measure::Single(MeasureValue::Double(value)),
        time: (NOW_MS - ago_ms) * 1_000_000,
        version: 1,
    }
}

pub fn kwh(meter: &str, region: &str, minutes_ago: i64, value: f64) -> Record {
    reading(meter, Some(region), "kwh_measure", minutes_ago * MINUTE_MS, value)
}

pub fn volts(meter: &str, region: &str, minutes_ago: i64, value: f64) -> Record {
    reading(meter, Some(region), "voltage_measure", minutes_ago * MINUTE_MS, value)
}

/// Five meters in three regions: one is silent and one too high, and the silent one was too low.
pub fn fleet() -> Vec<Record> {
    vec![
        kwh("m-1", "EAST", 24 * 60 + 5, 2.0),
        kwh("m-1", "EAST", 20, 0.25),
        kwh("m-1", "EAST", 5, 0.5),
        volts("m-1", "EAST", 20, 270.0),
        volts("m-1", "EAST", 5, 231.0),
        kwh("m-2", "WEST", 4, 1.0),
        volts("m-2", "WEST", 4, 260.5),
        kwh("m-3", "EAST", 70, 2.0),
        volts("m-3", "EAST", 70, 200.0),
        kwh("m-4", "WEST", 2, 0.125),
        // The limit itself is within.
        volts("m-4", "WEST", 2, 253.0),
        // Fifteen minutes are not yet silent.
        kwh("m-5", "NORTH", 15, 4.0),
    ]
}

/// A store of its own, at a clock that stands still.
pub struct Stored {
    _dir: TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Store,
}

impl Stored {
    /// Without a database.
    pub async fn nothing() -> Self {
        let dir = tempfile::Builder::new().prefix("hurtig-view-").tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let store = Store::open(StoreOptions::new(dir.path(), clock.clone())).await.expect("a store");
        Stored { _dir: dir, clock, store }
    }

    /// With an empty table.
    pub async fn empty() -> Self {
        let stored = Stored::nothing().await;
        stored.store.create_database("meters", None).expect("a database");
        let retention = Retention { magnetic_writes: true, ..Retention::default() };
        stored
            .store
            .create_table("meters", "readings", NewTable { retention, ..NewTable::default() })
            .expect("a table");
        stored
    }

    /// With these readings.
    pub async fn with(readings: &[Record]) -> Self {
        let stored = Stored::empty().await;
        stored.write(readings).await;
        stored
    }

    pub async fn write(&self, readings: &[Record]) {
        let outcome = self.store.write("meters", "readings", readings).await.expect("written");
        assert_eq!((outcome.taken(), outcome.rejected), (readings.len(), vec![]));
    }

    pub fn view(&self, options: ViewOptions) -> View {
        let queries = Queries::new(&self.store, Default::default()).expect("queries");
        View::new(queries, self.clock.clone(), options)
    }

    pub async fn serve(&self) -> Served {
        self.serve_with(options()).await
    }

    pub async fn serve_with(&self, options: ViewOptions) -> Served {
        Served::start(self.view(options)).await
    }
}

/// A free port, and no answer is given twice: the clock stands still.
pub fn options() -> ViewOptions {
    ViewOptions {
        listen: "127.0.0.1:0".parse().expect("an address"),
        fresh_for: Duration::ZERO,
        ..ViewOptions::default()
    }
}

/// A view that listens, until this goes.
pub struct Served {
    pub url: String,
    pub client: reqwest::Client,
    end: Option<oneshot::Sender<()>>,
    serving: JoinHandle<hurtig_view::Result<()>>,
}

impl Served {
    pub async fn start(view: View) -> Self {
        let server = view.bind().await.expect("it listens");
        let url = server.url().trim_end_matches('/').to_owned();
        let (end, ended) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            let _ = ended.await;
        }));
        Served {
            url,
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            end: Some(end),
            serving,
        }
    }

    /// Status and JSON of a path.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.expect(path);
        let status = response.status().as_u16();
        let text = response.text().await.expect(path);
        (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}")))
    }

    /// The JSON of a path that is answered well.
    pub async fn ok(&self, path: &str) -> Value {
        let (status, answer) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Ends it, and waits until it has.
    pub async fn end(mut self) {
        drop(self.end.take());
        self.serving.await.expect("no panic").expect("it ends well");
    }
}

/// Runs a test where queries run.
pub fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(test);
}

/// These members of an object.
pub fn members(value: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| value[name].clone()).collect()
}
