//! Other pages in the view's server.

use axum::{Router, routing::get};
use hurtig_store::Queries;
use hurtig_view::{Beside, View};

use crate::support::{Served, Stored, fleet, options, run};

#[test]
fn a_page_beside_the_view_is_linked_and_guarded() {
    run(async {
        let stored = Stored::with(&fleet()).await;
        let queries = Queries::new(&stored.store, Default::default()).expect("queries");
        let router = Router::new().route("/other", get(async || "hello"));
        let beside = vec![Beside { title: "Other".into(), path: "/other".into(), router }];
        let served = Served::start(View::with_pages(queries, stored.clock.clone(), options(), beside)).await;
        let get = async |path: &str, host: Option<&str>| {
            let mut request = served.client.get(format!("{}{path}", served.url));
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let answer = request.send().await.expect(path);
            let policy = answer.headers().get("content-security-policy").is_some();
            (answer.status().as_u16(), policy, answer.text().await.expect(path))
        };
        assert_eq!(get("/other", None).await, (200, true, "hello".to_owned()));
        assert_eq!(get("/other", Some("evil.example")).await.0, 403);
        let (.., page) = get("/", None).await;
        assert!(page.contains(r#"<a href="/other">Other</a>"#) && !page.contains("<!-- pages -->"));
        // What neither has is still said as ever.
        assert_eq!(served.get("/nothing").await.0, 404);
        served.end().await;

        let alone = stored.serve().await;
        let page = alone.client.get(&alone.url).send().await.expect("a page").text().await.expect("text");
        assert!(!page.contains("class=\"pages\""));
        alone.end().await;
    });
}
