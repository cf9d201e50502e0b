//! A real browser: headless Chromium, told what to do by WebDriver (W3C) over HTTP.
//!
//! The protocol is a handful of JSON requests; the crates that speak it bring a second Unicode library and more.

use std::{process::Command, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use hurtig_tests::servers::browser;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{running::Running, support::directory};

/// Longer than anything takes on the slowest machine.
const PATIENCE_MS: u64 = 120_000;

/// A window of a browser that knows nothing but 127.0.0.1. It ends with this.
pub struct Browser {
    /// Ends before its profile goes.
    driver: Running,
    chromium: Option<i32>,
    session: String,
    client: reqwest::Client,
    _profile: TempDir,
}

/// A key, as WebDriver writes it.
pub mod key {
    pub const TAB: &str = "\u{e004}";
    pub const ENTER: &str = "\u{e007}";
    pub const ESCAPE: &str = "\u{e00c}";
    pub const LEFT: &str = "\u{e012}";
    pub const RIGHT: &str = "\u{e014}";
    pub const DOWN: &str = "\u{e015}";
    pub const HOME: &str = "\u{e011}";
}

impl Browser {
    /// Starts it.
    pub async fn start() -> Self {
        let (there, profile) = (browser().expect("a browser"), directory());
        let mut driver = Running::start(Command::new(there.join("chromedriver")).arg("--port=0"));
        let said = driver.until_said("started successfully on port");
        let digits = |c: char| !c.is_ascii_digit();
        let port = said.trim().trim_end_matches('.').rsplit(digits).next().expect("a port").to_owned();
        let arguments = [
            "--headless=new",
            // Root has no sandbox; what is looked at is our own page.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--force-color-profile=srgb",
            "--hide-scrollbars",
            "--lang=en-US",
            // Whatever should want to go elsewhere does not get there.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "timeouts": { "script": PATIENCE_MS },
            "goog:chromeOptions": { "binary": there.join("chromium"), "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(2 * PATIENCE_MS)).build();
        let base = format!("http://127.0.0.1:{port}/session");
        let mut browser =
            Browser { driver, chromium: None, session: base, client: client.expect("a client"), _profile: profile };
        let made = browser.post("", &capabilities).await;
        browser.chromium = made["capabilities"]["goog:processID"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        browser.session += &format!("/{}", made["sessionId"].as_str().expect("a session"));
        browser
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.session)).body(body.to_string());
        let response = request.header("content-type", "application/json").send().await.expect("chromedriver answers");
        let status = response.status();
        let text = response.text().await.expect("text");
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        assert!(status.is_success(), "{path} {body}: {answer:#}");
        answer["value"].take()
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).await;
    }

    /// What a function's body returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression is true, whatever it becomes true by: it is looked at after every change of the page.
    pub async fn until(&self, condition: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const so = () => {{ try {{ return Boolean({condition}); }} catch {{ return false; }} }};
             if (so()) return done(true);
             const observer = new MutationObserver(() => look());
             const late = setTimeout(() => end(false), {PATIENCE_MS} - 5000);
             const end = (well) => {{ observer.disconnect(); clearTimeout(late); done(well); }};
             const look = () => {{ if (so()) end(true); }};
             observer.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
             for (const event of ['focusin', 'hashchange', 'scroll']) window.addEventListener(event, look, true);"
        );
        let so = self.post("/execute/async", &json!({ "script": script, "args": [] })).await;
        if so != json!(true) {
            let text = self.run("return document.body.innerText").await;
            panic!(
                "not so after {PATIENCE_MS} ms: {condition}\n{}\n{:#?}",
                text.as_str().unwrap_or_default(),
                self.console().await
            );
        }
    }

    /// Presses keys, one after the other.
    pub async fn press(&self, keys: &[&str]) {
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })])
            .collect();
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] })).await;
    }

    /// Types a text where the focus is.
    pub async fn write(&self, text: &str) {
        let letters: Vec<String> = text.chars().map(String::from).collect();
        self.press(&letters.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    /// Clicks an element as a hand does: where it is, and if it can be hit.
    pub async fn click(&self, selector: &str) {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector })).await;
        let id = found.as_object().and_then(|o| o.values().next()).and_then(Value::as_str).expect("an element");
        self.post(&format!("/element/{id}/click"), &json!({})).await;
    }

    /// A window of this size, in pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        self.until(&format!("innerWidth === {width}")).await;
    }

    /// What the system likes, as `prefers-color-scheme` tells it.
    pub async fn system_colours(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await
    }

    /// A picture of the page from its top, of this height at most, in PNG.
    pub async fn picture(&self, most: u32) -> Vec<u8> {
        let size = self.run("return [innerWidth, document.documentElement.scrollHeight]").await;
        let height = size[1].as_u64().expect("a height").min(u64::from(most));
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": height, "scale": 1 });
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", parameters).await;
        STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64")
    }

    /// A picture of the page from where one element begins to where another one ends, over the page's whole width.
    pub async fn picture_between(&self, from: &str, to: &str) -> Vec<u8> {
        let place = self
            .run(&format!(
                "window.scrollTo(0, 0);
                 const [from, to] = [document.querySelector('{from}'), document.querySelector('{to}')];
                 return [Math.max(0, from.getBoundingClientRect().top - 12), to.getBoundingClientRect().bottom + 12, innerWidth]"
            ))
            .await;
        let at = |i: usize| place[i].as_f64().expect("a place");
        let clip = json!({ "x": 0, "y": at(0), "width": at(2), "height": at(1) - at(0), "scale": 1 });
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", parameters).await;
        STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64")
    }

    /// What the console has said since it was last asked.
    pub async fn console(&self) -> Vec<String> {
        let lines = self.post("/se/log", &json!({ "type": "browser" })).await;
        let line = |line: &Value| {
            format!("{} {}", line["level"].as_str().unwrap_or("?"), line["message"].as_str().unwrap_or("?"))
        };
        lines.as_array().into_iter().flatten().map(line).collect()
    }

    /// The addresses that pages have asked for since this was last asked.
    pub async fn requests(&self) -> Vec<String> {
        let lines = self.post("/se/log", &json!({ "type": "performance" })).await;
        let mut urls = Vec::new();
        for line in lines.as_array().into_iter().flatten() {
            let event: Value = serde_json::from_str(line["message"].as_str().unwrap_or_default()).expect("an event");
            let message = &event["message"];
            if message["method"] == "Network.requestWillBeSent" {
                urls.extend(message["params"]["request"]["url"].as_str().map(str::to_owned));
            }
        }
        urls
    }

    /// What axe finds on the page as it is: rule, and where.
    pub async fn shut_out(&self) -> Vec<String> {
        let axe = browser().expect("a browser").join("node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe).expect("axe");
        let script = format!(
            "const done = arguments[arguments.length - 1]; {axe};
             axe.run(document, {{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }})
               .then((found) => done(found.passes.length < 20 ? ['axe has looked at next to nothing'] : found.violations.map((v) => `${{v.id}}: ${{v.help}}: ` + v.nodes.map((n) =>
                 n.target.join(' ') + ' ' + n.failureSummary).join('; '))), (e) => done([String(e)]));"
        );
        let found = self.post("/execute/async", &json!({ "script": script, "args": [] })).await;
        found.as_array().expect("a list").iter().map(|v| v.as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver would leave it behind.
        if let Some(pid) = self.chromium {
            // SAFETY: sends a signal to the browser that this one's driver has started, and that has not been ended.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        self.driver.signal(libc::SIGTERM);
    }
}
