//! The pages: `/insights` beside the operational view, in whose server they are put ([`Pages::router`]).
//!
//! The page is there at once, and asks for one picture after the other. A picture that takes long keeps no other one
//! waiting but for its share of the processors; who goes away ends what was asked for him.

mod answers;
mod files;
mod html;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hurtig_state::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    answer::{Answer, Insights, Sheet},
    error::{Error, Result},
    insight::{Insight, find},
    numbers::fixed,
    period::{Asked, Period},
    report,
};

use self::answers::Answers;

/// How pages ask.
#[derive(Debug, Clone)]
pub struct PagesOptions {
    /// The zone that days are of unless the page says another one.
    pub zone: String,
    /// Pictures that are made at a time.
    pub at_a_time: usize,
    /// How long one may take.
    pub timeout: Duration,
    /// How long an answer is given again.
    pub fresh_for: Duration,
}

impl Default for PagesOptions {
    fn default() -> Self {
        PagesOptions {
            zone: Asked::default().zone,
            at_a_time: 2,
            timeout: Duration::from_secs(60),
            fresh_for: Duration::from_secs(30),
        }
    }
}

/// Pages with pictures. They are cheap to clone.
#[derive(Clone)]
pub struct Pages(Arc<Inner>);

struct Inner {
    insights: Insights,
    clock: Arc<dyn Clock>,
    options: PagesOptions,
    permits: Semaphore,
    answers: Answers,
}

/// Rows of a page's table; all of them are in its CSV.
const ROWS: usize = 100;
/// A `name=value` of an address.
type Parameter = (String, String);

impl Pages {
    /// Where the page is.
    pub const PATH: &'static str = "/insights";
    /// What links to it say.
    pub const TITLE: &'static str = "Insights";

    /// Pages over `insights`, at the time that `clock` shows.
    pub fn new(insights: Insights, clock: Arc<dyn Clock>, options: PagesOptions) -> Self {
        let answers = Answers::new(clock.clone(), options.fresh_for);
        let permits = Semaphore::new(options.at_a_time.max(1));
        Pages(Arc::new(Inner { insights, clock, options, permits, answers }))
    }

    /// Their routes, all below [`Pages::PATH`]. The page uses the style sheets of the view, at `/page/…`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/insights", get(page))
            .route("/insights/page/{file}", get(page_file))
            .route("/insights/api/{insight}", get(insight))
            .route("/insights/file/{file}", get(file))
            .with_state(self)
    }

    async fn answer(&self, insight: &dyn Insight, asked: &Asked) -> Result<(Option<Period>, Arc<Answer>)> {
        let Inner { insights, clock, options, permits, answers } = &*self.0;
        let now = Timestamp::from_millisecond(clock.now_ms()).map_err(|e| Error::Parameter(e.to_string()))?;
        let work = async {
            let _permit = permits.acquire().await.map_err(|_| Error::query("the page has ended"))?;
            let Some(period) = insights.period(asked, now).await? else {
                let why = "There are no readings yet: they come with the first checkpoint of a job.".into();
                return Ok((None, Arc::new(Answer { picture: None, notes: vec![why], sheets: Vec::new() })));
            };
            let key = format!("{} {} {}", insight.name(), period.words(), period.end());
            if let Some(answer) = answers.get(&key) {
                return Ok((Some(period), answer));
            }
            let answer = Arc::new(insights.answer(insight, &period).await?);
            answers.put(key, answer.clone());
            Ok((Some(period), answer))
        };
        // With the wait for the others: who looks at a page wants to know.
        tokio::time::timeout(options.timeout, work).await.unwrap_or(Err(Error::Slow(options.timeout.as_secs())))
    }

    /// What an address asks for.
    fn asked(&self, query: Option<&str>, also: &[&str]) -> Result<(Asked, Vec<Parameter>)> {
        let given = parameters(query.unwrap_or_default())?;
        let known = |name: &str| ["from", "to", "zone"].contains(&name) || also.contains(&name);
        if let Some((name, _)) = given.iter().find(|(name, _)| !known(name)) {
            return Err(Error::Parameter(format!("there is no parameter '{name}': from, to and zone there are")));
        }
        let get = |name: &str| given.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let zone = get("zone").filter(|zone| !zone.trim().is_empty()).unwrap_or(&self.0.options.zone);
        Ok((Asked::parse(get("from"), get("to"), Some(zone))?, given))
    }
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("options", &self.0.options).finish_non_exhaustive()
    }
}

async fn page(State(pages): State<Pages>) -> Response {
    let html = html::page(pages.0.insights.settings(), &pages.0.options.zone);
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], html).into_response()
}

async fn page_file(Path(name): Path<String>) -> Response {
    match files::page_file(&name) {
        Some((kind, text)) => ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response(),
        None => refused(StatusCode::NOT_FOUND, &format!("The page has no file '{name}'.")),
    }
}

async fn insight(State(pages): State<Pages>, Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    let answered = async {
        let insight = find(&name)?;
        let (asked, _) = pages.asked(query.as_deref(), &[])?;
        let (period, answer) = pages.answer(insight, &asked).await?;
        body(insight, period.as_ref(), &answer)
    };
    answered.await.map_or_else(|e| failed(&e), |body| Json(body).into_response())
}

async fn file(State(pages): State<Pages>, Path(file): Path<String>, RawQuery(query): RawQuery) -> Response {
    let answered = async {
        let (name, kind) = file.rsplit_once('.').ok_or_else(|| Error::NoInsight(file.clone()))?;
        let insight = find(name)?;
        let (asked, given) = pages.asked(query.as_deref(), &["sheet"])?;
        let (_, answer) = pages.answer(insight, &asked).await?;
        let sheet = given.iter().find(|(name, _)| name == "sheet").map(|(_, sheet)| sheet.as_str());
        let csv = |found: &Sheet| -> Result<(String, String)> {
            Ok((report::csv_name(insight, found.name, &answer), found.csv()?))
        };
        let wanted = match (kind, &answer.picture) {
            ("svg", Some(picture)) => Some((format!("{name}.svg"), picture.standalone()?)),
            // The first unless one is asked for.
            ("csv", _) => {
                let found = answer.sheets.iter().find(|found| sheet.is_none_or(|sheet| sheet == found.name));
                found.map(csv).transpose()?
            }
            _ => None,
        };
        let of = sheet.map_or(String::new(), |sheet| format!(" with the sheet '{sheet}'"));
        wanted.ok_or_else(|| {
            Error::Parameter(format!("there is no {file}{of}: nothing is in it, or it is called otherwise"))
        })
    };
    match answered.await {
        Ok((name, text)) => {
            // It is kept and not shown: a browser would not let a file of this server's have its own colours.
            let disposition = format!("attachment; filename=\"{name}\"");
            let kind = if name.ends_with(".svg") { "image/svg+xml" } else { "text/csv; charset=utf-8" };
            let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
            (headers, text).into_response()
        }
        Err(e) => failed(&e),
    }
}

fn body(insight: &dyn Insight, period: Option<&Period>, answer: &Answer) -> Result<Value> {
    let picture = answer.picture.as_ref().map(|picture| picture.inline()).transpose()?;
    let sheets = answer.sheets.iter().map(table).collect::<Result<Vec<Value>>>()?;
    let period = period.map(|period| {
        json!({
            "from": period.first().to_string(), "to": period.last().to_string(), "zone": period.zone_name(),
        })
    });
    Ok(json!({ "name": insight.name(), "period": period, "picture": picture, "notes": answer.notes, "sheets": sheets }))
}

/// The first rows of a sheet, as texts.
fn table(sheet: &Sheet) -> Result<Value> {
    let mut columns = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for batch in &sheet.batches {
        let schema = batch.schema();
        let is_number: Vec<bool> = schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
        columns = (schema.fields().iter().zip(&is_number))
            .map(|(field, number)| json!({ "name": field.name(), "number": number }))
            .collect();
        for row in 0..batch.num_rows().min(ROWS - rows.len()) {
            let cell = |(at, column): (usize, &arrow::array::ArrayRef)| {
                let text = arrow::util::display::array_value_to_string(column, row)?;
                // Seventeen digits are for CSV.
                let short = || text.parse().ok().map(|value| fixed(value, 4)).unwrap_or_else(|| text.clone());
                Ok(if is_number[at] { short() } else { text })
            };
            rows.push(batch.columns().iter().enumerate().map(cell).collect::<Result<_>>()?);
        }
    }
    Ok(json!({ "name": sheet.name, "sql": sheet.sql, "columns": columns, "rows": rows, "total": sheet.rows() }))
}

fn failed(error: &Error) -> Response {
    let status = match error {
        Error::Parameter(_) => StatusCode::BAD_REQUEST,
        Error::NoInsight(_) => StatusCode::NOT_FOUND,
        Error::Slow(_) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    match status.is_server_error() {
        true => tracing::warn!("{error}"),
        false => tracing::debug!("{error}"),
    }
    refused(status, &sentence(&error.to_string()))
}

fn refused(status: StatusCode, words: &str) -> Response {
    (status, Json(json!({ "error": words }))).into_response()
}

/// As a page says it.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let begin = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if words.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{begin}{}{end}", letters.as_str())
}

/// `name=value` of an address; each name once.
fn parameters(query: &str) -> Result<Vec<Parameter>> {
    let mut given: Vec<Parameter> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        if given.iter().any(|(known, _)| *known == name) {
            return Err(Error::Parameter(format!("'{name}' is there twice")));
        }
        given.push((name, value));
    }
    Ok(given)
}
