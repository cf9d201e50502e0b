//! Who is answered, and with what headers.

use hurtig_view::ViewOptions;

use crate::support::{Stored, options, run};

/// Names and values.
type Headers<'a> = &'a [(&'a str, &'a str)];

#[test]
fn other_pages_and_other_names_get_nothing() {
    run(async {
        let stored = Stored::empty().await;
        let served = stored.serve_with(ViewOptions { hosts: vec!["view.example.org".into()], ..options() }).await;
        let here = served.url.trim_start_matches("http://").to_owned();
        let port = here.rsplit(':').next().expect("a port").to_owned();
        let evil = format!("evil.example:{port}");
        let local = format!("localhost:{port}");
        let cases: [(&str, Headers, u16); 16] = [
            ("as it is", &[], 200),
            ("by name", &[("host", &local)], 200),
            ("by an address", &[("host", "[::1]:9")], 200),
            ("an allowed name", &[("host", "View.Example.org")], 200),
            (
                "an allowed name, HTTPS by a proxy",
                &[("host", "view.example.org"), ("origin", "https://view.example.org")],
                200,
            ),
            ("another name (rebinding)", &[("host", &evil)], 403),
            ("a name that begins so", &[("host", "localhost.evil.example")], 403),
            ("no name", &[("host", "")], 403),
            ("its own page", &[("origin", &served.url)], 200),
            ("another page", &[("origin", "http://evil.example")], 403),
            ("another port", &[("origin", "http://127.0.0.1:1")], 403),
            ("a page of nowhere", &[("origin", "null")], 403),
            ("a script of another page", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], 403),
            ("a link on another page", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], 200),
            ("its own script", &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")], 200),
            ("typed in", &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")], 200),
        ];
        for (what, headers, expected) in cases {
            for path in ["/", "/api/fleet"] {
                let mut request = served.client.get(format!("{}{path}", served.url));
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                let status = request.send().await.expect(what).status().as_u16();
                assert_eq!(status, expected, "{what}, {path}");
            }
        }
        served.end().await;
    });
}

#[test]
fn every_answer_has_a_policy_and_nothing_is_changed_by_it() {
    run(async {
        let stored = Stored::empty().await;
        let served = stored.serve().await;
        for (path, kind) in [
            ("/", "text/html; charset=utf-8"),
            ("/page/main.js", "text/javascript; charset=utf-8"),
            ("/page/view.css", "text/css; charset=utf-8"),
            ("/page/favicon.svg", "image/svg+xml"),
            ("/api/fleet", "application/json; charset=utf-8"),
            ("/nothing", "application/json; charset=utf-8"),
        ] {
            let response = served.client.get(format!("{}{path}", served.url)).send().await.expect(path);
            let header =
                |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
            assert_eq!(header("content-type"), kind, "{path}");
            let policy = header("content-security-policy");
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!(
                (header("x-content-type-options"), header("x-frame-options")),
                ("nosniff".into(), "DENY".into())
            );
            assert_eq!(header("access-control-allow-origin"), "", "{path}");
        }
        for method in [reqwest::Method::POST, reqwest::Method::PUT, reqwest::Method::DELETE] {
            let request = served.client.request(method.clone(), format!("{}/api/fleet", served.url));
            assert_eq!(request.send().await.expect("sent").status().as_u16(), 405, "{method}");
        }
        served.end().await;
    });
}

#[test]
fn the_page_asks_for_what_is_there() {
    run(async {
        let stored = Stored::empty().await;
        let served = stored.serve().await;
        let text = async |path: &str| {
            let response = served.client.get(format!("{}{path}", served.url)).send().await.expect("sent");
            assert_eq!(response.status().as_u16(), 200, "{path}");
            response.text().await.expect("text")
        };
        let index = text("/").await;
        assert!(
            !index.contains("<script>") && !index.contains("style=") && !index.contains("onclick"),
            "no inline code"
        );
        let mut wanted: Vec<String> =
            index.split(['"', '\'']).filter(|part| part.starts_with("/page/")).map(str::to_owned).collect();
        assert!(wanted.len() >= 4, "{wanted:?}");
        let mut seen = Vec::new();
        while let Some(path) = wanted.pop() {
            let file = text(&path).await;
            seen.push(path);
            for part in file.split('"').filter(|part| part.starts_with("./") && part.ends_with(".js")) {
                let path = format!("/page/{}", &part[2..]);
                if !seen.contains(&path) && !wanted.contains(&path) {
                    wanted.push(path);
                }
            }
            // Names of languages of XML are no addresses.
            let elsewhere = file.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{} goes elsewhere", seen.len());
        }
        assert!(seen.len() >= 15, "{seen:?}");
        served.end().await;
    });
}

#[test]
fn options_that_cannot_be_are_told_before_anything_listens() {
    run(async {
        let stored = Stored::empty().await;
        let refused = async |options: ViewOptions| stored.view(options).bind().await.expect_err("refused").to_string();
        let anywhere: std::net::SocketAddr = "0.0.0.0:0".parse().expect("an address");
        let words = refused(ViewOptions { listen: anywhere, ..options() }).await;
        assert!(words.contains("127.0.0.1") && words.contains("proxy"), "{words}");
        let words = refused(ViewOptions { tolerance: 1.5, ..options() }).await;
        assert!(words.contains("1.5"), "{words}");
        let words = refused(ViewOptions { nominal_voltage: f64::NAN, ..options() }).await;
        assert!(words.contains("NaN"), "{words}");
        let words = refused(ViewOptions { silent_after: std::time::Duration::ZERO, ..options() }).await;
        assert!(words.contains("silent"), "{words}");
        let words = refused(ViewOptions { rest: Some("https://elsewhere".into()), ..options() }).await;
        assert!(words.contains("http://"), "{words}");
        // Taken.
        let first = stored.view(options()).bind().await.expect("it listens");
        let words = refused(ViewOptions { listen: first.address(), ..options() }).await;
        assert!(words.contains(&first.address().to_string()), "{words}");
    });
}
