//! Rates out of counters: what happened between two readings.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::task::TaskMetrics;

/// How many readings are kept: with one a second, rates are over about five seconds.
const READINGS: usize = 6;

/// The last readings of a job's figures.
#[derive(Debug, Default)]
pub struct Rates {
    readings: VecDeque<Reading>,
}

/// What a subtask does in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TaskRates {
    /// Records in.
    pub records_in: f64,
    /// Records out.
    pub records_out: f64,
    /// Milliseconds of work.
    pub busy_ms: f64,
    /// Milliseconds with work at hand and no room downstream.
    pub backpressured_ms: f64,
    /// The other milliseconds.
    pub idle_ms: f64,
}

#[derive(Debug)]
struct Reading {
    at: i64,
    tasks: Vec<Vec<Counts>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    records_in: u64,
    records_out: u64,
    busy_ns: u64,
    backpressured_ns: u64,
}

impl Rates {
    /// Takes a reading at `now` (epoch milliseconds).
    pub fn record(&mut self, now: i64, metrics: &[Vec<Arc<TaskMetrics>>]) {
        let read = |m: &Arc<TaskMetrics>| Counts {
            records_in: m.records_in.load(Relaxed),
            records_out: m.records_out.load(Relaxed),
            busy_ns: m.busy_ns.load(Relaxed),
            backpressured_ns: m.backpressured_ns.load(Relaxed),
        };
        let tasks = metrics.iter().map(|subtasks| subtasks.iter().map(read).collect()).collect();
        if self.readings.len() == READINGS {
            self.readings.pop_front();
        }
        self.readings.push_back(Reading { at: now, tasks });
    }

    /// What subtask `subtask` of vertex `vertex` did lately; zeros before the second reading.
    pub fn of(&self, vertex: usize, subtask: usize) -> TaskRates {
        let (Some(first), Some(last)) = (self.readings.front(), self.readings.back()) else {
            return TaskRates::default();
        };
        let seconds = (last.at - first.at) as f64 / 1000.0;
        if seconds <= 0.0 {
            return TaskRates::default();
        }
        let (from, to) = (first.counts(vertex, subtask), last.counts(vertex, subtask));
        // Counters go back when a job is restored.
        let per_second = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
        let ms = |from, to| (per_second(from, to) / 1e6).min(1000.0);
        let busy_ms = ms(from.busy_ns, to.busy_ns);
        let backpressured_ms = ms(from.backpressured_ns, to.backpressured_ns).min(1000.0 - busy_ms);
        TaskRates {
            records_in: per_second(from.records_in, to.records_in),
            records_out: per_second(from.records_out, to.records_out),
            busy_ms,
            backpressured_ms,
            idle_ms: 1000.0 - busy_ms - backpressured_ms,
        }
    }
}

impl Reading {
    fn counts(&self, vertex: usize, subtask: usize) -> Counts {
        self.tasks.get(vertex).and_then(|v| v.get(subtask)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_time() {
        let metrics = vec![vec![Arc::new(TaskMetrics::default())]];
        let mut rates = Rates::default();
        assert_eq!(rates.of(0, 0), TaskRates::default());
        rates.record(1_000, &metrics);
        assert_eq!(rates.of(0, 0), TaskRates::default(), "one reading says nothing");
        metrics[0][0].records_in.store(500, Relaxed);
        metrics[0][0].busy_ns.store(400_000_000, Relaxed);
        metrics[0][0].backpressured_ns.store(200_000_000, Relaxed);
        rates.record(3_000, &metrics);
        let expected =
            TaskRates { records_in: 250.0, records_out: 0.0, busy_ms: 200.0, backpressured_ms: 100.0, idle_ms: 700.0 };
        assert_eq!(rates.of(0, 0), expected);
        assert_eq!(rates.of(3, 7), TaskRates { idle_ms: 1000.0, ..TaskRates::default() }, "nobody is idle");
    }

    #[test]
    fn old_readings_are_forgotten_and_a_restore_is_no_negative_rate() {
        let metrics = vec![vec![Arc::new(TaskMetrics::default())]];
        let mut rates = Rates::default();
        metrics[0][0].records_in.store(1_000_000, Relaxed);
        rates.record(0, &metrics);
        metrics[0][0].records_in.store(10, Relaxed);
        rates.record(1_000, &metrics);
        assert_eq!(rates.of(0, 0).records_in, 0.0);
        for second in 2..8 {
            metrics[0][0].records_in.fetch_add(100, Relaxed);
            rates.record(second * 1_000, &metrics);
        }
        assert_eq!(rates.of(0, 0).records_in, 100.0, "the reading of before is gone");
    }
}
