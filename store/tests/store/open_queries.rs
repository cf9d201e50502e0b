//! Queries between two of their pages: how many there may be, what becomes of those that nobody comes back for, and what
//! is dropped when.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use hurtig_state::ManualClock;
use hurtig_store::{QueryEngine, QueryLimits, RunningQuery};
use hurtig_timestream_sql::{
    Result,
    column_info::{ColumnInfo, column_infos},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::served::Served;

/// Each of its queries gives three rows, and then keeps whoever waits for the next ones; what happens to it is told.
#[derive(Debug)]
struct Gated {
    tell: mpsc::UnboundedSender<&'static str>,
}

const STUCK: &str = "it waits";
const DROPPED: &str = "it is dropped";

/// Tells when it goes.
struct Told(mpsc::UnboundedSender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.0.send(DROPPED);
    }
}

fn rows() -> RecordBatch {
    let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![1, 2, 3]))]).expect("a batch")
}

#[async_trait]
impl QueryEngine for Gated {
    async fn prepare(&self, _: &str) -> Result<Vec<ColumnInfo>> {
        Ok(column_infos(&rows().schema()))
    }

    async fn start(&self, sql: &str) -> Result<RunningQuery> {
        let (tell, told) = (self.tell.clone(), Told(self.tell.clone()));
        let some = if sql.contains("nothing") { vec![] } else { vec![Ok(rows())] };
        let stuck = stream::once(async move {
            let _told = &told;
            let _ = tell.send(STUCK);
            std::future::pending().await
        });
        let batches = stream::iter(some).chain(stuck).boxed();
        Ok(RunningQuery { columns: self.prepare(sql).await?, batches, bytes_scanned: None })
    }
}

struct Setup {
    _dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    served: Arc<Served>,
    told: mpsc::UnboundedReceiver<&'static str>,
}

async fn setup(open: usize) -> Setup {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let (tell, told) = mpsc::unbounded_channel();
    let limits = QueryLimits { open, idle: Duration::from_secs(600), page_wait: Duration::from_secs(600) };
    let served = Served::start_with(dir.path(), &clock, |options| {
        options.engine = Some(Arc::new(Gated { tell }));
        options.queries = limits;
    });
    let served = Arc::new(served.await);
    Setup { clock, served, told, _dir: dir }
}

fn first(sql: &str) -> Value {
    json!({ "QueryString": sql, "MaxRows": 1 })
}

fn next(sql: &str, page: &Value) -> Value {
    json!({ "QueryString": sql, "MaxRows": 1, "NextToken": page["NextToken"] })
}

/// The number of a page of one row.
fn number(page: &Value) -> &str {
    page["Rows"][0]["Data"][0]["ScalarValue"].as_str().expect("a row")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_may_be_open_and_idle_ones_make_room() {
    let Setup { served, clock, mut told, _dir } = setup(2).await;
    let one = served.done("Query", first("SELECT 1")).await;
    let two = served.done("Query", first("SELECT 2")).await;
    let (kind, words) = served.refused("Query", first("SELECT 3")).await;
    assert_eq!(kind, "ThrottlingException");
    assert!(words.contains("2 queries are open"), "{words}");
    // They go on all the same.
    assert_eq!(number(&served.done("Query", next("SELECT 1", &one)).await), "2");

    // One that is cancelled makes room.
    served.done("CancelQuery", json!({ "QueryId": two["QueryId"] })).await;
    assert_eq!(told.recv().await, Some(DROPPED));
    served.done("Query", first("SELECT 3")).await;
    assert_eq!(served.refused("Query", first("SELECT 4")).await.0, "ThrottlingException");

    // So do those that nobody has come back for in ten minutes; their tokens are worth nothing then.
    clock.advance(601_000);
    let four = served.done("Query", first("SELECT 4")).await;
    assert_eq!((told.recv().await, told.recv().await), (Some(DROPPED), Some(DROPPED)));
    let (kind, words) = served.refused("Query", next("SELECT 1", &one)).await;
    assert_eq!((kind.as_str(), words.as_str()), ("ValidationException", "Invalid pagination token"));
    assert_eq!(number(&served.done("Query", next("SELECT 4", &four)).await), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_cancelled_in_the_middle_of_a_page() {
    let Setup { served, mut told, _dir, .. } = setup(10).await;
    let page = served.done("Query", first("SELECT 1")).await;
    let page = served.done("Query", next("SELECT 1", &page)).await;
    // Whether the third row is the last one, only the next batch tells.
    let waiting = tokio::spawn({
        let (served, request) = (served.clone(), next("SELECT 1", &page));
        async move { served.refused("Query", request).await }
    });
    assert_eq!(told.recv().await, Some(STUCK));
    served.done("CancelQuery", json!({ "QueryId": page["QueryId"] })).await;
    let (kind, words) = waiting.await.expect("an answer");
    assert_eq!((kind.as_str(), words.as_str()), ("QueryExecutionException", "The query was cancelled."));
    assert_eq!(told.recv().await, Some(DROPPED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_goes_with_its_client_before_the_first_page() {
    let Setup { served, mut told, _dir, .. } = setup(1).await;
    let waiting = tokio::spawn({
        let served = served.clone();
        async move { served.call("Query", first("SELECT nothing")).await }
    });
    assert_eq!(told.recv().await, Some(STUCK));
    // With it goes its connection.
    waiting.abort();
    assert_eq!(told.recv().await, Some(DROPPED));
    // And there is room again.
    served.done("Query", first("SELECT 1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_server_is_the_end_of_its_queries() {
    let Setup { served, mut told, _dir, .. } = setup(10).await;
    let (address, waiting) = (
        served.clone(),
        tokio::spawn({
            let served = served.clone();
            async move { served.refused("Query", first("SELECT nothing")).await }
        }),
    );
    assert_eq!(told.recv().await, Some(STUCK));
    address.tell_end();
    assert_eq!(waiting.await.expect("an answer").0, "QueryExecutionException");
    assert_eq!(told.recv().await, Some(DROPPED));
}
