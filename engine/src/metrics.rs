//! Gauges of a connector's or an operator's own (Flink's `MetricGroup`), shown by `/metrics` and REST
//! beside the task's.
//!
//! ```
//! let metrics = hurtig_engine::metrics::Metrics::default();
//! let behind = metrics.gauge("millisBehindLatest", &[("shardId", "shardId-000000000000")]);
//! behind.set(1_500);
//! assert_eq!(behind.get(), 1_500);
//! ```
//!
//! A gauge belongs to its attempt: when the job restarts, the new tasks register theirs anew.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicI64, Ordering::Relaxed},
};

/// Where one operator registers its gauges.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Registry,
    operator: Arc<Operator>,
}

#[derive(Debug, Default)]
struct Operator {
    uid: String,
    name: String,
}

/// A number that is set by whoever measures it, and read when somebody asks.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// The value now.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Counts up, or down.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// What was last set.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Metrics {
    /// The gauge of this name and labels, made at first sight. Names are Flink's where it has one, in
    /// its way of writing: `millisBehindLatest`; labels say of what: `[("stream", …), ("shardId", …)]`.
    pub fn gauge(&self, name: &str, labels: &[(&'static str, &str)]) -> Gauge {
        let mut all = self.registry.lock();
        let same = |e: &&Entry| {
            e.name == name
                && e.uid == self.operator.uid
                && e.labels.iter().map(|(k, v)| (*k, v.as_str())).eq(labels.iter().copied())
        };
        if let Some(entry) = all.iter().find(same) {
            return entry.gauge.clone();
        }
        let gauge = Gauge::default();
        all.push(Entry {
            uid: self.operator.uid.clone(),
            operator: self.operator.name.clone(),
            name: name.to_owned(),
            labels: labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
            gauge: gauge.clone(),
        });
        gauge
    }

    /// Takes a gauge off: what it measured is no more (a shard that was read to its end).
    pub fn remove(&self, gauge: &Gauge) {
        self.registry.lock().retain(|e| !Arc::ptr_eq(&e.gauge.0, &gauge.0));
    }
}

/// All gauges of one subtask.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<Vec<Entry>>>);

/// One gauge and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub uid: String,
    pub operator: String,
    pub name: String,
    pub labels: Vec<(&'static str, String)>,
    pub gauge: Gauge,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What the operator of this uid registers with.
    pub fn of(&self, uid: &str, name: &str) -> Metrics {
        let operator = Operator { uid: uid.to_owned(), name: name.to_owned() };
        Metrics { registry: self.clone(), operator: Arc::new(operator) }
    }

    /// Every gauge there is now.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// A new attempt begins.
    pub fn clear(&self) {
        self.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_and_labels_are_the_same_gauge_and_operators_are_kept_apart() {
        let registry = Registry::default();
        let (source, sink) = (registry.of("readings", "Source: readings"), registry.of("out", "out"));
        source.gauge("lag", &[("shardId", "1")]).set(7);
        source.gauge("lag", &[("shardId", "2")]).add(3);
        sink.gauge("lag", &[("shardId", "1")]).set(9);
        assert_eq!(source.gauge("lag", &[("shardId", "1")]).get(), 7);
        let values = |registry: &Registry| registry.entries().iter().map(|e| e.gauge.get()).collect::<Vec<_>>();
        assert_eq!(values(&registry), [7, 3, 9]);
        source.remove(&source.gauge("lag", &[("shardId", "1")]));
        assert_eq!(values(&registry), [3, 9]);
        registry.clear();
        assert!(registry.entries().is_empty());
    }
}
