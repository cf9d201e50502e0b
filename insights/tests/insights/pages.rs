//! The pages as a browser asks for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use hurtig_insights::{Ask, Insights, Pages, PagesOptions, Result, Settings};
use hurtig_state::ManualClock;
use serde_json::Value;
use tokio::{net::TcpListener, sync::Notify};

use crate::support::{Row, Table, fleet, run};

struct Served {
    url: String,
    client: reqwest::Client,
}

impl Served {
    async fn start(ask: Arc<dyn Ask>, options: PagesOptions) -> Self {
        // 2014-01-01
        let clock = Arc::new(ManualClock::new(1_388_534_400_000));
        let insights = Insights::new(ask, Settings::default()).expect("settings");
        let router = Pages::new(insights, clock, options).router();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Served { url, client: reqwest::Client::builder().no_proxy().build().expect("a client") }
    }

    async fn over(rows: &[Row]) -> Self {
        Served::start(Table::of(rows), PagesOptions::default()).await
    }

    async fn text(&self, path: &str) -> (u16, String, String) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.expect(path);
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("text").to_owned());
        (answer.status().as_u16(), kind.unwrap_or_default(), answer.text().await.expect(path))
    }

    async fn json(&self, path: &str) -> (u16, Value) {
        let (status, _, text) = self.text(path).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}")))
    }
}

#[test]
fn the_page_and_its_files() {
    run(async {
        let served = Served::over(&fleet(81)).await;
        let (status, kind, page) = served.text("/insights").await;
        assert_eq!((status, &*kind), (200, "text/html; charset=utf-8"));
        assert_eq!(page.matches("data-insight=").count(), 6);
        assert!(!page.contains("<!--") && !page.contains(" style=") && page.contains(r#"value="UTC""#));
        for file in ["insights.css", "insights.js", "pictures.css"] {
            let (status, _, text) = served.text(&format!("/insights/page/{file}")).await;
            assert!(status == 200 && text.len() > 100, "{file}");
        }
        assert_eq!(served.text("/insights/page/other.js").await.0, 404);
    });
}

#[test]
fn a_picture_with_its_words_its_sql_and_its_rows() {
    run(async {
        let served = Served::over(&fleet(82)).await;
        for name in hurtig_insights::names() {
            let (status, answer) =
                served.json(&format!("/insights/api/{name}?from=2013-03-25&to=2013-10-30&zone=Europe/London")).await;
            assert_eq!(status, 200, "{answer}");
            assert!(answer["picture"].as_str().is_some_and(|svg| svg.starts_with("<svg")), "{name}");
            assert!(!answer["notes"].as_array().expect("notes").is_empty());
            let sheet = &answer["sheets"][0];
            assert!(sheet["sql"].as_str().is_some_and(|sql| sql.contains("FROM readings")));
            let (columns, rows) =
                (sheet["columns"].as_array().expect("columns"), sheet["rows"].as_array().expect("rows"));
            assert!(
                !rows.is_empty()
                    && rows.len() <= 100
                    && rows.iter().all(|row| row.as_array().is_some_and(|row| row.len() == columns.len()))
            );
            assert_eq!(answer["period"]["zone"], "Europe/London");
            let (status, kind, svg) =
                served.text(&format!("/insights/file/{name}.svg?from=2013-03-25&to=2013-10-30")).await;
            assert!(status == 200 && kind == "image/svg+xml" && svg.contains("<style>"), "{name}");
            let (status, kind, csv) = served
                .text(&format!("/insights/file/{name}.csv?sheet={}", sheet["name"].as_str().expect("a name")))
                .await;
            assert!(status == 200 && kind.starts_with("text/csv") && csv.lines().count() > 1, "{name}");
        }
    });
}

#[test]
fn what_is_wrong_is_said() {
    run(async {
        let served = Served::over(&fleet(83)).await;
        for (path, status, words) in [
            ("/insights/api/weather", 404, "There is no insight 'weather'"),
            ("/insights/api/outages?from=soon", 400, "From soon: that is no day"),
            ("/insights/api/outages?zone=Nowhere", 400, "'Nowhere' is no time zone"),
            ("/insights/api/outages?sql=SELECT", 400, "There is no parameter 'sql'"),
            ("/insights/api/outages?from=2013-01-01&from=2013-01-02", 400, "'from' is there twice"),
            ("/insights/file/outages.exe", 400, "There is no outages.exe"),
            ("/insights/file/outages.csv?sheet=other", 400, "There is no outages.csv with the sheet 'other'"),
        ] {
            let (found, answer) = served.json(path).await;
            assert!(
                found == status && answer["error"].as_str().is_some_and(|said| said.contains(words)),
                "{path}: {found} {answer}"
            );
        }
        let empty = Served::over(&[]).await;
        let (status, answer) = empty.json("/insights/api/consumption").await;
        assert!(
            status == 200
                && answer["picture"].is_null()
                && answer["notes"][0].as_str().is_some_and(|n| n.contains("no readings yet"))
        );
    });
}

/// Asks without an end, and counts who asks, who still does, and how many did at once.
#[derive(Default)]
struct Endless {
    begun: AtomicUsize,
    asking: Arc<AtomicUsize>,
    most: AtomicUsize,
    changed: Arc<Notify>,
}

struct Asking(Arc<AtomicUsize>, Arc<Notify>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
        self.1.notify_one();
    }
}

#[async_trait]
impl Ask for Endless {
    async fn ask(&self, _: &str) -> Result<Vec<RecordBatch>> {
        let now = self.asking.fetch_add(1, SeqCst) + 1;
        let _asking = Asking(self.asking.clone(), self.changed.clone());
        self.most.fetch_max(now, SeqCst);
        self.begun.fetch_add(1, SeqCst);
        self.changed.notify_one();
        std::future::pending().await
    }
}

impl Endless {
    async fn until(&self, so: impl Fn(&Self) -> bool) {
        while !so(self) {
            self.changed.notified().await;
        }
    }
}

#[test]
fn who_goes_away_ends_what_was_asked_for_him() {
    run(async {
        let endless = Arc::new(Endless::default());
        let served = Served::start(endless.clone(), PagesOptions::default()).await;
        let get = |name: &str| tokio::spawn(served.client.get(format!("{}/insights/api/{name}", served.url)).send());
        let waiting = ["outages", "consumption", "lateness", "anomalies"].map(get);
        endless.until(|e| e.asking.load(SeqCst) == 2).await;
        // The page itself waits for nobody.
        assert_eq!(served.text("/insights").await.0, 200);
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        endless.until(|e| e.asking.load(SeqCst) == 0).await;
        assert!(endless.most.load(SeqCst) <= 2, "two at a time");
    });
}

#[test]
fn what_takes_too_long_says_so() {
    run(async {
        let options = PagesOptions { timeout: Duration::from_millis(50), ..PagesOptions::default() };
        let served = Served::start(Arc::new(Endless::default()), options).await;
        let (status, answer) = served.json("/insights/api/outages").await;
        assert!(
            status == 504 && answer["error"].as_str().is_some_and(|e| e.contains("choose a shorter period")),
            "{answer}"
        );
    });
}
