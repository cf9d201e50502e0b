//! What a run has done: the last lines on standard output.

use hurtig_engine::runner::{JobStatus, SinkBooks};
use serde_json::{Map, Value, json};

use super::{
    output::to_value,
    progress::{Figures, Progress},
    units,
};

/// What a job itself adds to the end of its run.
#[derive(Debug, Default)]
pub struct Notes {
    /// For people: lines.
    pub text: Vec<String>,
    /// For scripts: fields of the last object.
    pub fields: Map<String, Value>,
}

/// The end of a run.
#[derive(Debug)]
pub struct Summary<'a> {
    /// The job's name.
    pub job: &'a str,
    /// Its last status.
    pub status: &'a JobStatus,
    /// Its last figures.
    pub figures: &'a Figures,
    /// What the figures were over time.
    pub progress: &'a Progress,
    /// What the job itself has to say.
    pub notes: &'a Notes,
}

impl Summary<'_> {
    /// For people. Each sink's last line is exactly
    /// `books SINK: read=… written=… rejected=… dead_lettered=…`.
    pub fn text(&self, now: i64) -> String {
        let end = self.status.end_time.unwrap_or(now);
        let (rate, records) = self.progress.overall(end, self.figures.read);
        let counts = &self.status.checkpoints.counts;
        let mut lines = vec![format!(
            "{} {} after {}: {} records, {} records/s, {} dead letters, {} restarts",
            self.job,
            self.status.state,
            units::span(end - self.status.start_time),
            units::count(records),
            units::count(rate.round() as u64),
            units::count(self.figures.dead_lettered),
            self.status.restarts,
        )];
        let mut checkpoints = format!("checkpoints {} completed, {} failed", counts.completed, counts.failed);
        if let Some(last) = &self.figures.checkpoint {
            checkpoints += &format!(
                "; the last took {}, wrote {} and refers to {}",
                units::span(last.duration_ms),
                units::size(last.uploaded_bytes),
                units::size(last.full_bytes)
            );
        }
        lines.push(checkpoints);
        lines.extend(self.notes.text.iter().cloned());
        lines.extend(self.status.books.iter().map(books_line));
        lines.join("\n")
    }

    /// For scripts.
    pub fn json(&self, now: i64) -> Value {
        let end = self.status.end_time.unwrap_or(now);
        let (rate, records) = self.progress.overall(end, self.figures.read);
        let counts = &self.status.checkpoints.counts;
        let mut fields = json!({
            "job": self.job,
            "state": self.status.state,
            "duration_ms": end - self.status.start_time,
            "records": records,
            "records_per_second": rate,
            "dead_lettered": self.figures.dead_lettered,
            "restarts": self.status.restarts,
            "checkpoints": { "completed": counts.completed, "failed": counts.failed, "last": self.figures.checkpoint },
            "books": self.status.books.iter().map(to_value).collect::<Vec<_>>(),
        });
        for (name, value) in &self.notes.fields {
            fields[name] = value.clone();
        }
        fields
    }
}

/// What a sink read is what it wrote, rejected and sent to the dead letters.
pub fn books_line(sink: &SinkBooks) -> String {
    let books = &sink.books;
    format!(
        "books {}: read={} written={} rejected={} dead_lettered={}",
        sink.name, books.read, books.written, books.rejected, books.dead_lettered
    )
}

#[cfg(test)]
mod tests {
    use hurtig_engine::sink::Books;

    use super::*;

    #[test]
    fn the_books_line_is_exact() {
        let books = Books { read: 10, written: 7, rejected: 1, dead_lettered: 2 };
        let sink = SinkBooks { uid: "timestream".into(), name: "TimestreamSink<meters, readings>".into(), books };
        let line = "books TimestreamSink<meters, readings>: read=10 written=7 rejected=1 dead_lettered=2";
        assert_eq!(books_line(&sink), line);
    }
}
