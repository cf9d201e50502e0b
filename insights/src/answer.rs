//! Asking: the period first, then an insight's statements, then its picture.

use std::sync::Arc;

use arrow::{array::RecordBatch, csv::WriterBuilder};
use jiff::Timestamp;

use crate::{
    ask::Ask,
    error::Result,
    insight::{Drawn, Insight, Question},
    period::{Asked, Period},
    picture::Picture,
    rows::Rows,
    settings::Settings,
};

/// From when to when there are readings: from the files' statistics alone.
const BOUNDS: &str = "SELECT min(time) AS first, max(time) AS last FROM readings";

/// What asks.
#[derive(Clone)]
pub struct Insights {
    ask: Arc<dyn Ask>,
    settings: Arc<Settings>,
}

impl std::fmt::Debug for Insights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Insights").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// An insight's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The picture; none when there is nothing to see.
    pub picture: Option<Picture>,
    /// What is to be said of it; or why there is nothing to see.
    pub notes: Vec<String>,
    /// The rows that it is made of, a sheet a statement.
    pub sheets: Vec<Sheet>,
}

/// A statement and its rows.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// What its rows are called.
    pub name: &'static str,
    /// The statement.
    pub sql: String,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl Insights {
    /// Asks `ask`.
    ///
    /// # Errors
    /// Settings that cannot be: [`Settings::check`].
    pub fn new(ask: Arc<dyn Ask>, settings: Settings) -> Result<Self> {
        settings.check()?;
        Ok(Insights { ask, settings: Arc::new(settings) })
    }

    /// What is called what.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The period that is asked for; none when there is no reading. Readings from behind `now` are of clocks that are
    /// wrong, and make no period longer.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`]: a period that cannot be. [`crate::Error::Query`].
    pub async fn period(&self, asked: &Asked, now: Timestamp) -> Result<Option<Period>> {
        let batches = self.ask.ask(BOUNDS).await?;
        let rows = Rows::new(&batches);
        let bound = |times: Vec<Option<Timestamp>>| times.into_iter().next().flatten();
        match (bound(rows.times("first")?), bound(rows.times("last")?)) {
            (Some(first), Some(last)) => Period::new(asked, (first.min(now), last.min(now))).map(Some),
            _ => Ok(None),
        }
    }

    /// An insight's answer.
    ///
    /// # Errors
    /// [`crate::Error::Query`], [`crate::Error::Answer`].
    pub async fn answer(&self, insight: &dyn Insight, period: &Period) -> Result<Answer> {
        let question = Question { period, settings: &self.settings };
        let mut sheets = Vec::new();
        for statement in insight.statements(&question) {
            let batches = self.ask.ask(&statement.sql).await?;
            sheets.push(Sheet { name: statement.name, sql: statement.sql, batches });
        }
        let rows: Vec<Rows<'_>> = sheets.iter().map(|sheet| Rows::new(&sheet.batches)).collect();
        let (picture, notes) = match insight.draw(&question, &rows)? {
            Drawn::Picture(picture, notes) => (Some(picture), notes),
            Drawn::Nothing(why) => (None, vec![why]),
        };
        Ok(Answer { picture, notes, sheets })
    }
}

impl Sheet {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        Rows::new(&self.batches).len()
    }

    /// As CSV with a header.
    ///
    /// # Errors
    /// None in practice: memory can be written.
    pub fn csv(&self) -> Result<String> {
        let mut writer = WriterBuilder::new().with_header(true).build(Vec::new());
        for batch in &self.batches {
            writer.write(batch)?;
        }
        Ok(String::from_utf8_lossy(&writer.into_inner()).into_owned())
    }
}
