//! The insights' pages in a real browser: over what the job made of the real meters, over a fleet that knows when readings
//! arrived, and beside a job that runs. `HURTIG_SCREENSHOTS=DIR` keeps pictures.

use std::path::Path;

use hurtig_tests::{
    program::{command, real_meters, run_well},
    servers::{Server, left_out},
};
use serde_json::{Value, json};

use super::{
    browser::{Browser, key},
    is_well,
};
use crate::{
    running::Running,
    support::{directory, words},
};

/// Six pictures have come, or the words why not.
const ALL_THERE: &str =
    "document.querySelectorAll('[data-insight]').length === 6 && !document.querySelector('[aria-busy]')";

const TARIFF: &str = "\
currency = \"GBP\"
[[tariff]]
name = \"Economy 7\"
regions = [\"uk\"]
standing_charge = 0.53
price = 0.285
[[tariff.rate]]
name = \"night\"
hours = \"00:30-07:30\"
price = 0.125
[[tariff]]
name = \"flat\"
price = 0.23
";

/// Two of the meters have a place that is known; it is invented.
const TOPOLOGY: &str = "\
meter_id,substation,transformer,latitude,longitude
uk-electricity-hdd-only-hourly-sample-0,Thames,T-1,51.50,-0.12
uk-electricity-hdd-only-hourly-sample-1,Thames,T-1,51.52,-0.10
uk-electricity-hdd-only-hourly-sample-2,Thames,T-2,51.47,-0.02
uk-gas-hdd-only-hourly-sample-0,Lea,T-3,51.58,-0.05
il-electricity-cdd-hdd-hourly,Prairie,T-7,,
il-electricity-cdd-only-hourly,Prairie,T-7,,
il-gas-hdd-only-hourly,Prairie,T-8,,
";

fn job(data: &Path, line: &str) {
    let mut arguments = words(line);
    arguments.extend(["--bounded", "--rest-port", "off", "--json", "--data-dir"].map(str::to_owned));
    arguments.push(data.display().to_string());
    run_well(arguments).expect("the job runs");
}

fn view(data: &Path, more: &[&str]) -> (Running, String) {
    let mut view = command(["view", "--json", "--listen", "127.0.0.1:0", "--dir"]).expect("the binary");
    let mut process = Running::start(view.arg(data.join("store")).args(more));
    let line: Value = serde_json::from_str(&process.until_said("listening")).expect("JSON");
    let url = line["url"].as_str().expect("its URL").to_owned();
    (process, url)
}

async fn keep(browser: &Browser, name: &str, from: &str, to: &str) {
    let Some(dir) = std::env::var_os("HURTIG_SCREENSHOTS") else { return };
    let picture = browser.picture_between(from, to).await;
    std::fs::write(Path::new(&dir).join(format!("insights-{name}.png")), picture).expect("a picture");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn insights_of_real_readings_in_a_browser() {
    if left_out(&[Server::Browser]) {
        return;
    }
    let dir = directory();
    let data = dir.path().join("meters");
    job(&data, &format!("run smart-meters --source file:{}", real_meters().display()));
    let (tariff, topology) = (dir.path().join("tariff.toml"), dir.path().join("grid.csv"));
    std::fs::write(&tariff, TARIFF).expect("a file");
    std::fs::write(&topology, TOPOLOGY).expect("a file");
    let (tariff, topology) = (tariff.display().to_string(), topology.display().to_string());
    let own = ["--tariff", &tariff, "--topology", &topology, "--time-zone", "Europe/London"];
    let (_view, url) = view(&data, &own);
    let browser = Browser::start().await;
    browser.system_colours("light").await;
    browser.resize(1280, 1000).await;
    browser.requests().await;

    // From one page to the other.
    browser.open(&url).await;
    browser.until("document.querySelector('.pages a[href=\"/insights\"]')").await;
    browser.click(".pages a[href='/insights']").await;
    browser.until(ALL_THERE).await;
    let drawn = "return [...document.querySelectorAll('[data-insight]')].filter((b) => b.querySelector('svg')).map((b) => b.dataset.insight)";
    let expected = json!(["consumption", "load-curves", "outages", "anomalies", "completeness"]);
    assert_eq!(browser.run(drawn).await, expected, "{}", browser.run("return document.body.innerText").await);
    let empty = browser.run("return document.querySelector('#lateness .empty').textContent").await;
    assert!(empty.as_str().is_some_and(|words| words.contains("Nobody knows when")), "files do not say: {empty}");
    assert_eq!(browser.run("return document.querySelector('#from').value").await, json!("2012-01-03"));
    is_well(&browser, "insights, light").await;
    keep(&browser, "light", "body", "#load-curves").await;
    keep(&browser, "outages", "#outages", "#outages").await;

    // What is drawn is what is written: the same pictures, by the report.
    let report = dir.path().join("report");
    let mut arguments = vec!["report".to_owned(), "--json".into(), "--data-dir".into(), data.display().to_string()];
    arguments.extend(own.map(str::to_owned));
    arguments.extend(["--out".into(), report.display().to_string()]);
    let said = run_well(arguments).expect("the report");
    let written = said.event("written").expect("what it wrote");
    assert_eq!(written["files"].as_array().map(Vec::len), Some(1 + 5 + 8), "{written}");
    for name in ["consumption", "load-curves", "outages", "anomalies", "completeness"] {
        let file = std::fs::read_to_string(report.join(format!("{name}.svg"))).expect("a picture");
        let link = browser.run(&format!("return document.querySelector('#{name} a[download$=svg]').href")).await;
        let link = link.as_str().expect("a link").to_owned();
        let page = reqwest::get(link).await.expect("an answer").text().await.expect("text");
        assert_eq!(page, file, "{name}");
    }
    // Its page by itself, as a file.
    browser.open(&format!("file://{}", report.join("index.html").display())).await;
    browser.until("document.querySelectorAll('svg.picture').length === 5").await;
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.open(&format!("{url}insights?zone=Europe/London")).await;
    browser.until(ALL_THERE).await;

    // By keyboard: past the top, and the SQL under a picture.
    browser.run("window.scrollTo(0, 0); document.activeElement.blur()").await;
    browser.press(&[key::TAB]).await;
    assert_eq!(browser.run("return document.activeElement.className").await, json!("skip"));
    browser.press(&[key::ENTER]).await;
    assert_eq!(browser.run("return document.activeElement.id").await, json!("content"));
    browser.run("document.querySelector('#consumption details.sql summary').focus()").await;
    browser.press(&[key::ENTER]).await;
    browser.until("document.querySelector('#consumption details.sql').open").await;
    let sql = browser.run("return document.querySelector('#consumption code').textContent").await;
    assert!(sql.as_str().is_some_and(|sql| sql.contains("FROM readings") && sql.contains("'Europe/London'")), "{sql}");
    browser.click("#consumption details:not(.sql) summary").await;
    browser.until("document.querySelectorAll('#consumption tbody tr').length > 50").await;
    is_well(&browser, "insights with SQL and table").await;

    // Dark, as the system has it, and as it was chosen.
    browser.system_colours("dark").await;
    is_well(&browser, "insights, dark").await;
    browser.open(&format!("{url}insights?zone=Europe/London")).await;
    browser.until(ALL_THERE).await;
    keep(&browser, "dark", "#anomalies", "#anomalies").await;
    let face = "getComputedStyle(document.querySelector('#consumption .s0')).fill";
    let dark = browser.run(&format!("return {face}")).await;
    browser.run("document.querySelector('.themes input[value=auto]').focus()").await;
    browser.press(&[key::RIGHT]).await;
    browser.until("document.documentElement.dataset.theme === 'light'").await;
    assert_ne!(browser.run(&format!("return {face}")).await, dark);
    browser.press(&[key::LEFT]).await;
    browser.system_colours("light").await;

    // Another period, by the form.
    browser
        .run("document.querySelector('#from').value = '2013-03-01'; document.querySelector('#to').value = '2013-04-30'")
        .await;
    browser.click(".period button").await;
    browser.until("location.search.includes('from=2013-03-01')").await;
    browser.until(ALL_THERE).await;
    let labels = browser.run("return document.querySelector('#consumption svg').textContent").await;
    assert!(labels.as_str().is_some_and(|text| text.contains("Mar") && !text.contains("2014")), "{labels}");
    // One without readings: empty, and it says what to do.
    browser.open(&format!("{url}insights?from=2019-01-01&to=2019-01-31")).await;
    browser.until(ALL_THERE).await;
    browser.until("document.querySelectorAll('.insight .empty').length === 6").await;
    is_well(&browser, "insights of nothing").await;
    assert_eq!(browser.console().await, Vec::<String>::new());

    // What cannot be: in words, six times, and the way back.
    browser.open(&format!("{url}insights?zone=Nowhere")).await;
    browser.until("document.querySelectorAll('.failed').length === 6").await;
    let words = browser.run("return document.querySelector('.failed span').textContent").await;
    assert!(
        words.as_str().is_some_and(|words| words.starts_with("'Nowhere' is no time zone: write a name")),
        "{words}"
    );
    is_well(&browser, "insights that failed").await;
    // The browser itself notes what was refused; nothing else.
    let console = browser.console().await;
    let other: Vec<_> =
        console.iter().filter(|line| !(line.contains("/insights/api/") && line.contains("400"))).collect();
    assert_eq!(other, Vec::<&String>::new());

    // On a telephone.
    browser.resize(360, 760).await;
    browser.open(&format!("{url}insights?zone=Europe/London")).await;
    browser.until(ALL_THERE).await;
    is_well(&browser, "insights, narrow").await;
    keep(&browser, "narrow", "body", "#consumption").await;
    browser.open(&url).await;
    browser.until("document.querySelector('.pages')").await;
    is_well(&browser, "the overview with its link, narrow").await;

    assert_eq!(browser.console().await, Vec::<String>::new());
    let requests = browser.requests().await;
    let elsewhere: Vec<_> = requests
        .iter()
        .filter(|asked| !asked.starts_with(&url) && !asked.starts_with("data:") && !asked.starts_with("file:"))
        .collect();
    assert!(requests.len() > 30 && elsewhere.is_empty(), "elsewhere {elsewhere:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lateness_of_a_fleet_in_a_browser() {
    if left_out(&[Server::Browser]) {
        return;
    }
    let dir = directory();
    let data = dir.path().join("fleet");
    job(&data, "run smart-meters --source generator --meters 300 --duration 4d");
    let (_view, url) = view(&data, &[]);
    let browser = Browser::start().await;
    browser.resize(1280, 1000).await;
    browser.open(&format!("{url}insights")).await;
    browser.until(ALL_THERE).await;
    browser.until("document.querySelectorAll('[data-insight] svg').length === 6").await;
    is_well(&browser, "insights of a fleet").await;
    keep(&browser, "lateness", "#lateness", "#lateness").await;
    assert_eq!(browser.console().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_has_insights_beside_its_view() {
    let dir = directory();
    let line = "run smart-meters --source generator --meters 300 --rate 500 --checkpoint-interval 300ms --rest-port 0 --view-port 0 --json";
    let mut run = command(words(line)).expect("the binary");
    let mut job = Running::start(run.arg("--data-dir").arg(dir.path().join("job")));
    let started: Value = serde_json::from_str(&job.until_said("\"started\"")).expect("JSON");
    let view = started["view"].as_str().expect("its view").to_owned();
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{view}{path}")).await.expect("an answer");
        (answer.status().as_u16(), answer.headers().clone(), answer.text().await.expect("text"))
    };
    let (status, headers, page) = get("insights").await;
    assert!(status == 200 && page.contains("data-insight"), "{page}");
    assert!(
        headers.contains_key("content-security-policy") && headers["x-frame-options"] == "DENY",
        "the view's guard"
    );
    assert!(get("").await.2.contains("<a href=\"/insights\">Insights</a>"));
    let foreign = reqwest::Client::new().get(format!("{view}insights")).header("host", "evil.example").send();
    assert_eq!(foreign.await.expect("an answer").status().as_u16(), 403);
    // With the checkpoints come readings.
    let mut lateness = Value::Null;
    for _ in 0..60 {
        job.until_said("\"progress\"");
        let (status, _, text) = get("insights/api/lateness").await;
        lateness = serde_json::from_str(&text).expect("JSON");
        assert_eq!(status, 200, "{lateness}");
        if lateness["picture"].is_string() {
            break;
        }
    }
    assert!(lateness["picture"].is_string(), "{lateness}");
    job.signal(libc::SIGTERM);
    assert_eq!(job.end().code, Some(143));
}

#[test]
fn wrong_reports_are_one_line() {
    let dir = directory();
    let run = |arguments: &[&str]| {
        let said = hurtig_tests::program::run([&["report"], arguments].concat()).expect("it runs");
        (said.code, said.err)
    };
    let nowhere = dir.path().join("nowhere").display().to_string();
    for (arguments, code, words) in [
        (&["weather"][..], 2, "there is no insight 'weather': there are consumption,"),
        (&["--from", "soon"], 2, "from soon: that is no day"),
        (&["--band", "2"], 2, "a share from 0.5"),
        (&["--tariff", &nowhere], 2, "nowhere: No such file"),
        (&["--energy-measure", "joule"], 2, "'joule' is no energy: kwh, wh and therm are"),
        (&["--data-dir", &nowhere], 1, "there are no readings in"),
    ] {
        let (found, said) = run(arguments);
        assert!(found == Some(code) && said.contains(words), "{arguments:?}: {found:?} {said}");
    }
}
