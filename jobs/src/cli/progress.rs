//! What a running job does, in figures: the progress line, and its JSON form.

use std::{collections::VecDeque, sync::atomic::Ordering::Relaxed};

use hurtig_engine::{
    checkpoint::CheckpointRecord,
    runner::{JobHandle, JobState, JobStatus},
    time::{MAX_WATERMARK, MIN_WATERMARK},
};
use serde::Serialize;

use super::units;

/// Over how long the rate is taken.
const WINDOW_MS: i64 = 5_000;

/// An event time this far behind is history that is being replayed, and no lag.
const HISTORY_MS: i64 = 24 * 3_600_000;

/// Readings of one job's figures over time.
#[derive(Debug, Default)]
pub struct Progress {
    reads: VecDeque<(i64, u64)>,
    /// When this run began, and what runs before it had read.
    beginning: Option<(i64, u64)>,
}

/// The figures at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The job's state.
    pub state: JobState,
    /// Records read by the sources since the job's beginning, over all its runs.
    pub read: u64,
    /// Records read a second, lately.
    pub records_per_second: f64,
    /// Records that became dead letters since the job's beginning.
    pub dead_lettered: u64,
    /// The newest event time that was read, in epoch milliseconds.
    pub newest_event_time: Option<i64>,
    /// The least watermark of all vertices, in epoch milliseconds.
    pub watermark: Option<i64>,
    /// Whether event time is at its end.
    pub at_end: bool,
    /// From the newest event time until now.
    pub lag_ms: Option<i64>,
    /// The last completed checkpoint.
    pub checkpoint: Option<CheckpointFigures>,
    /// Failed attempts.
    pub restarts: u32,
}

/// One checkpoint's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckpointFigures {
    /// Its number.
    pub id: u64,
    /// How long ago it was completed.
    pub age_ms: i64,
    /// How long it took.
    pub duration_ms: i64,
    /// All state it refers to.
    pub full_bytes: u64,
    /// What it wrote itself.
    pub uploaded_bytes: u64,
}

impl Progress {
    /// The job's figures at `now` (epoch milliseconds).
    pub fn read(&mut self, job: &JobHandle, now: i64) -> Figures {
        let status = job.status();
        let mut figures = Figures::of(job, &status, now);
        figures.records_per_second = self.rate(now, figures.read);
        figures
    }

    /// This run began at `at`, when `before` records had been read by the runs that it goes on from.
    pub fn begin(&mut self, at: i64, before: u64) {
        self.beginning = Some((at, before));
    }

    /// Records that this run has read a second, and how many those are.
    pub fn overall(&self, now: i64, read: u64) -> (f64, u64) {
        let Some((began, before)) = self.beginning else { return (0.0, 0) };
        let records = read.saturating_sub(before);
        (records as f64 * 1000.0 / (now - began).max(1) as f64, records)
    }

    fn rate(&mut self, now: i64, read: u64) -> f64 {
        // A restore takes counters back: what was read before then says nothing.
        if self.reads.back().is_some_and(|(_, before)| *before > read) {
            self.reads.clear();
        }
        self.reads.push_back((now, read));
        while self.reads.len() > 2 && self.reads.front().is_some_and(|(at, _)| now - at > WINDOW_MS) {
            self.reads.pop_front();
        }
        match self.reads.front() {
            Some((at, before)) if now > *at => (read - before) as f64 * 1000.0 / (now - at) as f64,
            _ => 0.0,
        }
    }
}

impl Figures {
    fn of(job: &JobHandle, status: &JobStatus, now: i64) -> Self {
        let (mut read, mut dead_lettered, mut newest, mut watermark) = (0, 0, MIN_WATERMARK, MAX_WATERMARK);
        for (vertex, subtasks) in job.graph().vertices.iter().zip(job.metrics()) {
            for m in subtasks {
                dead_lettered += m.dead_lettered.load(Relaxed);
                watermark = watermark.min(m.watermark.load(Relaxed));
                if vertex.is_source() {
                    read += m.records_in.load(Relaxed);
                    newest = newest.max(m.newest_timestamp.load(Relaxed));
                }
            }
        }
        let newest = (newest != MIN_WATERMARK).then_some(newest);
        Figures {
            state: status.state,
            read,
            records_per_second: 0.0,
            dead_lettered,
            newest_event_time: newest,
            watermark: (watermark != MIN_WATERMARK && watermark != MAX_WATERMARK).then_some(watermark),
            at_end: watermark == MAX_WATERMARK,
            lag_ms: newest.map(|t| now - t),
            checkpoint: status.checkpoints.latest_completed.as_ref().map(|c| CheckpointFigures::of(c, now)),
            restarts: status.restarts,
        }
    }
}

impl CheckpointFigures {
    fn of(record: &CheckpointRecord, now: i64) -> Self {
        CheckpointFigures {
            id: record.id,
            age_ms: now - record.ended_at.unwrap_or(now),
            duration_ms: record.duration_ms(now),
            full_bytes: record.full_bytes(),
            uploaded_bytes: record.uploaded_bytes(),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = units::count(self.records_per_second.round() as u64);
        write!(f, "{}  {rate} records/s  read {}", self.state, units::count(self.read))?;
        if self.dead_lettered > 0 {
            write!(f, "  dead letters {}", units::count(self.dead_lettered))?;
        }
        match (self.lag_ms, self.newest_event_time) {
            (Some(lag), _) if lag.abs() < HISTORY_MS => write!(f, "  lag {}", units::span(lag))?,
            (_, Some(newest)) => write!(f, "  event time {}", units::time(newest))?,
            _ => {}
        }
        match self.watermark {
            Some(watermark) => write!(f, "  watermark {}", units::time(watermark))?,
            None if self.at_end => write!(f, "  watermark at the end")?,
            None => write!(f, "  watermark –")?,
        }
        match &self.checkpoint {
            Some(c) => write!(
                f,
                "  checkpoint {}: {}, {}, {} ago",
                c.id,
                units::span(c.duration_ms),
                units::size(c.full_bytes),
                units::span(c.age_ms)
            )?,
            None => write!(f, "  no checkpoint yet")?,
        }
        if self.restarts > 0 {
            write!(f, "  restarts {}", self.restarts)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_seconds_and_survives_a_restore() {
        let mut progress = Progress::default();
        assert_eq!(progress.rate(0, 1_000), 0.0);
        assert_eq!(progress.rate(1_000, 2_000), 1_000.0);
        for second in 2..=20 {
            progress.rate(second * 1_000, 2_000);
        }
        assert_eq!(progress.rate(21_000, 2_500), 500.0 / 5.0, "the beginning is forgotten");
        assert_eq!(progress.rate(22_000, 1_500), 0.0, "restored");
        assert_eq!(progress.rate(23_000, 1_600), 100.0);
        assert_eq!(progress.overall(20_000, 5_000), (0.0, 0), "nothing has begun");
        progress.begin(0, 1_000);
        assert_eq!(progress.overall(20_000, 5_000), (200.0, 4_000));
    }

    #[test]
    fn the_line_says_lag_for_live_data_and_event_time_for_history() {
        let mut figures = Figures {
            state: JobState::Running,
            read: 1_234_567,
            records_per_second: 1_000.4,
            dead_lettered: 0,
            newest_event_time: Some(1_359_676_805_000),
            watermark: Some(1_359_676_800_000),
            at_end: false,
            lag_ms: Some(2_100),
            checkpoint: None,
            restarts: 0,
        };
        assert_eq!(
            figures.to_string(),
            "RUNNING  1,000 records/s  read 1,234,567  lag 2.1 s  watermark 2013-02-01T00:00:00Z  no checkpoint yet"
        );
        figures.lag_ms = Some(400_000_000_000);
        figures.restarts = 2;
        figures.dead_lettered = 7;
        figures.checkpoint =
            Some(CheckpointFigures { id: 3, age_ms: 4_000, duration_ms: 45, full_bytes: 2048, uploaded_bytes: 1 });
        assert_eq!(
            figures.to_string(),
            "RUNNING  1,000 records/s  read 1,234,567  dead letters 7  event time 2013-02-01T00:00:05Z  \
             watermark 2013-02-01T00:00:00Z  checkpoint 3: 45 ms, 2.0 KiB, 4.0 s ago  restarts 2"
        );
    }
}
