//! Queries between two of their pages: found by their tokens, repeated when an answer was lost, cancelled, and dropped when
//! nobody comes back.
//!
//! A page's token belongs to the query's text and to who asked. The page that was given last can be asked for again, as
//! Timestream allows, since its answer may have been lost on the way.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use hurtig_state::Clock;
use hurtig_timestream_sql::column_info::ColumnInfo;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, watch};

use super::{
    cursor::{Cursor, Page},
    engine::QueryEngine,
    fault::{Fault, Kind},
    ids::Ids,
};

/// What open queries may take.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// How many queries may be open at a time, each with about a page of its result in memory.
    pub open: usize,
    /// How long a query is kept for whoever may come for its next page.
    pub idle: Duration,
    /// How long a request waits for its page to be full before it gets what there is, if need be no row and a token.
    pub page_wait: Duration,
}

impl Default for QueryLimits {
    /// 100 queries, 10 minutes, 20 seconds (clients give up on an answer after 50 or 60).
    fn default() -> Self {
        QueryLimits { open: 100, idle: Duration::from_secs(600), page_wait: Duration::from_secs(20) }
    }
}

/// How often a page's answer may be asked for.
const USES: u32 = 5;
/// Cancelled queries that are remembered.
const CANCELLED: usize = 1_000;
/// What Timestream counts for a query at least.
const BYTES_METERED: u64 = 10_000_000;

/// A `Query` request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who asks: the access key, where requests are signed.
    pub principal: Option<String>,
    pub sql: String,
    pub client_token: Option<String>,
    pub next_token: Option<String>,
    pub max_rows: usize,
}

/// All of them.
pub struct OpenQueries {
    engine: Arc<dyn QueryEngine>,
    clock: Arc<dyn Clock>,
    ids: Ids,
    limits: QueryLimits,
    permits: Arc<Semaphore>,
    open: Mutex<Open>,
}

impl std::fmt::Debug for OpenQueries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenQueries")
            .field("engine", &self.engine)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Open {
    by_id: HashMap<String, Arc<OpenQuery>>,
    cancelled: VecDeque<String>,
}

#[derive(Debug)]
struct OpenQuery {
    id: String,
    principal: Option<String>,
    sql: String,
    client_token: Option<String>,
    cancel: watch::Sender<bool>,
    /// Milliseconds since 1970 when it was last asked for.
    touched: AtomicI64,
    pages: tokio::sync::Mutex<Pages>,
}

struct Pages {
    /// Gone with the last page.
    cursor: Option<Cursor>,
    /// The number of the next page.
    next: u64,
    /// The answer that was given last, of the page before, and how often.
    last: Option<(Bytes, u32)>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("next", &self.next).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    query_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    rows: Vec<Box<RawValue>>,
    column_info: &'a [ColumnInfo],
    query_status: QueryStatus,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct QueryStatus {
    progress_percentage: f64,
    cumulative_bytes_scanned: u64,
    cumulative_bytes_metered: u64,
}

impl OpenQueries {
    /// None yet.
    pub fn new(engine: Arc<dyn QueryEngine>, clock: Arc<dyn Clock>, limits: QueryLimits) -> Self {
        let permits = Arc::new(Semaphore::new(limits.open.clamp(1, Semaphore::MAX_PERMITS)));
        let ids = Ids::new(clock.now_ms());
        OpenQueries { engine, clock, ids, limits, permits, open: Mutex::default() }
    }

    /// What runs them.
    pub fn engine(&self) -> &dyn QueryEngine {
        &*self.engine
    }

    /// "Now", in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Answers a request: the first page of a new query, or the page of a token.
    pub async fn answer(&self, asked: Asked) -> Result<Bytes, Fault> {
        match &asked.next_token {
            Some(token) => self.next_page(&asked, token).await,
            None => match self.again(&asked).await? {
                Some(first) => Ok(first),
                None => self.first_page(asked).await,
            },
        }
    }

    /// The first page of a query that was asked for with the same client token, if it is still there.
    async fn again(&self, asked: &Asked) -> Result<Option<Bytes>, Fault> {
        let Some(token) = &asked.client_token else { return Ok(None) };
        let known = {
            let open = self.open.lock();
            let of_it = |query: &&Arc<OpenQuery>| {
                query.client_token.as_ref() == Some(token) && query.principal == asked.principal
            };
            open.by_id.values().find(of_it).cloned()
        };
        let Some(query) = known else { return Ok(None) };
        if query.sql != asked.sql {
            return Err(Fault::validation(
                "The ClientToken was used with another QueryString: a request that is repeated must be the same.",
            ));
        }
        let mut pages = query.pages.lock().await;
        match &mut pages.last {
            Some((body, _)) if self.is_open(&query) => Ok(Some(body.clone()).filter(|_| pages.next == 1)),
            _ => Ok(None),
        }
    }

    async fn first_page(&self, asked: Asked) -> Result<Bytes, Fault> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.sweep();
                self.permits.clone().try_acquire_owned().map_err(|_| {
                    let n = self.limits.open;
                    Fault::new(
                        Kind::Throttling,
                        format!("{n} queries are open: read them to their end, or cancel them."),
                    )
                })?
            }
        };
        let id = self.ids.next();
        let running = self.engine.start_as(&id, &asked.sql).await?;
        let query = Arc::new(OpenQuery {
            id,
            principal: asked.principal,
            sql: asked.sql,
            client_token: asked.client_token,
            cancel: watch::Sender::new(false),
            touched: AtomicI64::new(self.clock.now_ms()),
            pages: tokio::sync::Mutex::new(Pages { cursor: Some(Cursor::new(running, permit)), next: 0, last: None }),
        });
        self.open.lock().by_id.insert(query.id.clone(), query.clone());
        // Whoever goes away before the first page knows no token: with him goes the query.
        let forget = Forget { queries: self, id: Some(query.id.clone()) };
        let (body, is_last) = self.page(&query, 0, asked.max_rows).await?;
        if !is_last {
            forget.not();
        }
        Ok(body)
    }

    async fn next_page(&self, asked: &Asked, token: &str) -> Result<Bytes, Fault> {
        let (id, page) = read_token(token).ok_or_else(invalid_token)?;
        let query = self.open.lock().by_id.get(&id).cloned().ok_or_else(invalid_token)?;
        if query.sql != asked.sql || query.principal != asked.principal {
            return Err(invalid_token());
        }
        let result = self.page(&query, page, asked.max_rows).await;
        if let Err(fault) = &result
            && fault.kind() != Kind::Validation
        {
            self.forget(&id);
        }
        result.map(|(body, _)| body)
    }

    /// A page's answer, and whether it is the last one's.
    async fn page(&self, query: &OpenQuery, number: u64, most: usize) -> Result<(Bytes, bool), Fault> {
        let mut cancelled = query.cancel.subscribe();
        let mut pages = query.pages.lock().await;
        let pages = &mut *pages;
        query.touched.store(self.clock.now_ms(), Relaxed);
        if *cancelled.borrow() {
            return Err(was_cancelled());
        }
        if number != pages.next {
            let last = pages.last.as_mut().filter(|(_, uses)| number + 1 == pages.next && *uses < USES);
            let (body, uses) = last.ok_or_else(invalid_token)?;
            *uses += 1;
            return Ok((body.clone(), pages.cursor.is_none()));
        }
        let cursor = pages.cursor.as_mut().ok_or_else(invalid_token)?;
        let page = tokio::select! {
            biased;
            _ = cancelled.wait_for(|cancelled| *cancelled) => Err(was_cancelled()),
            page = cursor.page(most, self.limits.page_wait) => page,
        };
        let page = match page {
            Ok(page) => page,
            Err(fault) => {
                // What runs is dropped here.
                pages.cursor = None;
                return Err(fault);
            }
        };
        let is_last = page.is_last;
        let body = answer(query, cursor, page, pages.next)?;
        pages.next += 1;
        pages.last = Some((body.clone(), 1));
        if is_last {
            pages.cursor = None;
        }
        query.touched.store(self.clock.now_ms(), Relaxed);
        Ok((body, is_last))
    }

    /// `CancelQuery`: what runs is dropped, and whoever waits for a page is told.
    pub fn cancel(&self, principal: Option<&str>, id: &str) -> Result<String, Fault> {
        let mut open = self.open.lock();
        if open.cancelled.iter().any(|cancelled| cancelled == id) {
            return Ok(format!("The query {id} was cancelled before."));
        }
        let is_his = |query: &Arc<OpenQuery>| query.principal.as_deref() == principal;
        if !open.by_id.get(id).is_some_and(is_his) {
            return Err(Fault::validation(format!("The query {id} does not run: it has ended, or there was none.")));
        }
        if let Some(query) = open.by_id.remove(id) {
            query.cancel.send_replace(true);
        }
        open.cancelled.push_back(id.to_owned());
        if open.cancelled.len() > CANCELLED {
            open.cancelled.pop_front();
        }
        Ok(format!("The query {id} is cancelled."))
    }

    /// Drops all of them: the server ends.
    pub fn close(&self) {
        for (_, query) in self.open.lock().by_id.drain() {
            query.cancel.send_replace(true);
        }
        self.permits.close();
    }

    /// Drops those that nobody has come back for.
    pub fn sweep(&self) {
        let oldest =
            self.clock.now_ms().saturating_sub(i64::try_from(self.limits.idle.as_millis()).unwrap_or(i64::MAX));
        // One that is locked is being asked for.
        let is_idle = |query: &OpenQuery| query.touched.load(Relaxed) < oldest && query.pages.try_lock().is_ok();
        let mut open = self.open.lock();
        open.by_id.retain(|_, query| !is_idle(query));
        // Ended ones are there only for an answer that was lost.
        let ended = |query: &OpenQuery| query.pages.try_lock().is_ok_and(|pages| pages.cursor.is_none());
        let mut ended: Vec<_> =
            open.by_id.values().filter(|q| ended(q)).map(|q| (q.touched.load(Relaxed), q.id.clone())).collect();
        ended.sort_unstable();
        for (_, id) in ended.iter().take(ended.len().saturating_sub(self.limits.open)) {
            open.by_id.remove(id);
        }
    }

    fn is_open(&self, query: &OpenQuery) -> bool {
        self.open.lock().by_id.contains_key(&query.id)
    }

    fn forget(&self, id: &str) {
        self.open.lock().by_id.remove(id);
    }
}

/// Forgets a query when it is dropped.
struct Forget<'a> {
    queries: &'a OpenQueries,
    id: Option<String>,
}

impl Forget<'_> {
    fn not(mut self) {
        self.id = None;
    }
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.queries.forget(&id);
        }
    }
}

fn answer(query: &OpenQuery, cursor: &Cursor, page: Page, number: u64) -> Result<Bytes, Fault> {
    let scanned = cursor.bytes_scanned();
    let answer = Answer {
        query_id: &query.id,
        next_token: (!page.is_last).then(|| token(&query.id, number + 1)),
        rows: page.rows,
        column_info: cursor.columns(),
        query_status: QueryStatus {
            // How far a query is, only its end tells.
            progress_percentage: if page.is_last { 100.0 } else { 0.0 },
            cumulative_bytes_scanned: scanned,
            cumulative_bytes_metered: scanned.max(BYTES_METERED),
        },
    };
    let body = serde_json::to_vec(&answer).map_err(|e| Fault::new(Kind::InternalServer, e.to_string()))?;
    Ok(body.into())
}

fn token(id: &str, page: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{id}:{page}"))
}

fn read_token(token: &str) -> Option<(String, u64)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (id, page) = text.split_once(':')?;
    Some((id.to_owned(), page.parse().ok()?))
}

fn invalid_token() -> Fault {
    Fault::validation("Invalid pagination token")
}

fn was_cancelled() -> Fault {
    Fault::new(Kind::QueryExecution, "The query was cancelled.")
}
