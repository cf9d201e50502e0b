//! The view: what it has to ask the store and the job with, and how a question becomes an answer.

use std::sync::Arc;

use hurtig_state::Clock;
use hurtig_store::Queries;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};

use crate::{
    answers::{Answer, Answers},
    error::{Error, Result},
    last_values::{self, LastValues},
    moment::Moment,
    options::ViewOptions,
    panels,
    question::Question,
    readings::Readings,
    rest::Rest,
    rows::{Rows, first},
    server::{Beside, Server},
};

/// Queries that run at a time: the job beside them has the same processors.
const AT_A_TIME: usize = 2;

/// An operational view over a store. It is cheap to clone.
#[derive(Clone)]
pub struct View {
    inner: Arc<Inner>,
}

struct Inner {
    queries: Queries,
    clock: Arc<dyn Clock>,
    options: ViewOptions,
    rest: Option<Rest>,
    beside: Vec<Beside>,
    answers: Answers,
    permits: Semaphore,
    known: Mutex<Option<Known>>,
    last_values: Mutex<Option<(i64, Arc<LastValues>)>>,
}

/// What all panels want to know of the table, when it was found out.
struct Known {
    at_ms: i64,
    readings: Option<Readings>,
    newest_ms: Option<i64>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

/// A panel's answer and the time that it is of.
#[derive(Serialize)]
struct Dated<T> {
    #[serde(flatten)]
    moment: Moment,
    /// Why there is nothing to see, where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<String>,
    #[serde(flatten)]
    panel: T,
}

impl View {
    /// A view over what `queries` reads, at the time that `clock` shows.
    pub fn new(queries: Queries, clock: Arc<dyn Clock>, options: ViewOptions) -> Self {
        View::with_pages(queries, clock, options, Vec::new())
    }

    /// The same with other pages beside it, in the same server and behind the same guard.
    pub fn with_pages(queries: Queries, clock: Arc<dyn Clock>, options: ViewOptions, beside: Vec<Beside>) -> Self {
        let rest = options.rest.as_deref().map(Rest::new);
        let answers = Answers::new(clock.clone(), options.fresh_for);
        let inner = Inner {
            queries,
            clock,
            options,
            rest,
            beside,
            answers,
            permits: Semaphore::new(AT_A_TIME),
            known: Mutex::default(),
            last_values: Mutex::default(),
        };
        View { inner: Arc::new(inner) }
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// Options that cannot be ([`ViewOptions::check`]); an address that cannot be listened at.
    pub async fn bind(self) -> Result<Server> {
        Server::bind(self).await
    }

    /// The options.
    pub fn options(&self) -> &ViewOptions {
        &self.inner.options
    }

    /// The pages beside it.
    pub(crate) fn beside(&self) -> &[Beside] {
        &self.inner.beside
    }

    /// The statements that a question's panel runs now, with what each is for: for whoever wants to run or explain them by
    /// himself. None for what is asked of the job.
    ///
    /// # Errors
    /// A table that is not there, or that no view can be made of.
    pub async fn statements(&self, question: &Question) -> Result<Vec<(&'static str, String)>> {
        let (Some(readings), moment) = self.readings().await? else {
            return Err(Error::NotFound("There are no readings yet.".into()));
        };
        let options = self.options();
        let last_values = || ("last values", last_values::statement(&readings));
        Ok(match question {
            Question::Fleet => {
                vec![last_values(), ("the fleet's energy", panels::fleet::energy_statement(&readings, options, moment))]
            }
            Question::Consumption(span) => {
                vec![("consumption by region", panels::consumption::statement(&readings, *span, moment))]
            }
            Question::Meter { id, until } => {
                let to = until.unwrap_or(moment.now_ms);
                vec![
                    ("a meter's last values", panels::meter::last_statement(&readings, id)),
                    ("a meter's day", panels::meter::day_statement(&readings, options, id, to)),
                ]
            }
            Question::Meters { find } => vec![("meters by name", panels::meters::statement(&readings, find))],
            Question::Voltage | Question::Silent => vec![last_values()],
            Question::Lateness | Question::Pipeline => Vec::new(),
        })
    }

    /// The answer to a question, as JSON; a fresh one is given again.
    pub(crate) async fn answer(&self, question: Question) -> Answer {
        let key = format!("{question:?}");
        self.inner.answers.get(&key, async { answer(self.ask(question).await) }).await
    }

    async fn ask(&self, question: Question) -> Result<serde_json::Value> {
        let options = self.options();
        let rest = self.inner.rest.as_ref();
        match question {
            Question::Lateness => return json(panels::lateness::ask(rest).await),
            Question::Pipeline => return json(panels::pipeline::ask(rest, self.inner.clock.now_ms()).await),
            _ => {}
        }
        let (readings, moment) = self.readings().await?;
        let empty = (moment.newest_ms.is_none())
            .then(|| format!("There are no readings in {}.{} yet.", options.database, options.table));
        let readings = readings.as_ref();
        match question {
            Question::Fleet => dated(moment, empty, panels::fleet::ask(self, readings, moment).await?),
            Question::Consumption(span) => {
                dated(moment, empty, panels::consumption::ask(self, readings, span, moment).await?)
            }
            Question::Meter { id, until } => {
                dated(moment, empty, panels::meter::ask(self, readings, id, until, moment).await?)
            }
            Question::Meters { find } => dated(moment, empty, panels::meters::ask(self, readings, &find).await?),
            Question::Voltage => dated(moment, empty, panels::voltage::ask(self, readings).await?),
            Question::Silent => dated(moment, empty, panels::silent::ask(self, readings, moment).await?),
            Question::Lateness | Question::Pipeline => Ok(serde_json::Value::Null),
        }
    }

    /// The table and the time; no table as long as there is nothing in it.
    async fn readings(&self) -> Result<(Option<Readings>, Moment)> {
        let mut known = self.inner.known.lock().await;
        if let Some(Known { at_ms, readings, newest_ms }) = &*known
            && self.inner.answers.is_fresh(*at_ms)
        {
            return Ok((readings.clone(), Moment::new(self.inner.clock.now_ms(), *newest_ms)));
        }
        let (readings, newest_ms) = self.look().await?;
        let now = self.inner.clock.now_ms();
        *known = Some(Known { at_ms: now, readings: readings.clone(), newest_ms });
        Ok((readings, Moment::new(now, newest_ms)))
    }

    /// The table as it is, and its newest reading's time.
    async fn look(&self) -> Result<(Option<Readings>, Option<i64>)> {
        let table = Readings::table(self.options());
        let described = match self.run(&format!("DESCRIBE {table}")).await {
            // A job makes its table with its first reading.
            Err(Error::Query(hurtig_timestream_sql::Error::NotFound(_))) => return Ok((None, None)),
            described => described?,
        };
        let Some(readings) = Readings::new(self.options(), &described)? else { return Ok((None, None)) };
        let newest = self.run(&format!("SELECT max(time) AS newest FROM {table}")).await?;
        Ok((Some(readings), first(newest.times("newest")?)))
    }

    /// What every meter has said last, asked now unless it was a moment ago. Whoever else wants it waits for it.
    pub(crate) async fn last_values(&self, readings: &Readings) -> Result<Arc<LastValues>> {
        let limit = self.inner.options.query_timeout;
        // Whoever is first may be waiting for an answer that does not come.
        let mut known = tokio::time::timeout(limit, self.inner.last_values.lock())
            .await
            .map_err(|_| Error::Slow(limit.as_secs()))?;
        if let Some((at_ms, last)) = &*known
            && self.inner.answers.is_fresh(*at_ms)
        {
            return Ok(last.clone());
        }
        let last = Arc::new(LastValues::new(&self.run(&last_values::statement(readings)).await?)?);
        *known = Some((self.inner.clock.now_ms(), last.clone()));
        Ok(last)
    }

    /// Runs a statement to its end.
    pub(crate) async fn run(&self, sql: &str) -> Result<Rows> {
        let run = async {
            let closed = |_| Error::Answer("the view has ended".into());
            let _permit = self.inner.permits.acquire().await.map_err(closed)?;
            let batches = self.inner.queries.execute(sql).await?.collect().await?;
            Ok(Rows::new(batches))
        };
        let limit = self.inner.options.query_timeout;
        tokio::time::timeout(limit, run).await.unwrap_or_else(|_| Err(Error::Slow(limit.as_secs())))
    }
}

fn dated(moment: Moment, empty: Option<String>, panel: impl Serialize) -> Result<serde_json::Value> {
    json(Dated { moment, empty, panel })
}

fn json(panel: impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(panel).map_err(|e| Error::Answer(e.to_string()))
}

/// What a browser gets of a result.
pub(crate) fn answer(result: Result<serde_json::Value>) -> Answer {
    match result {
        Ok(value) => Answer { status: axum::http::StatusCode::OK, body: value.to_string().into() },
        Err(error) => {
            let status = error.status();
            match status.is_server_error() {
                true => tracing::warn!("{error}"),
                false => tracing::debug!("{error}"),
            }
            Answer { status, body: serde_json::json!({ "error": error.to_string() }).to_string().into() }
        }
    }
}
