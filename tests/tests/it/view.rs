//! `hurtig view` in a real browser, beside a real job: what is on the page, by pointer and by keyboard, in both colours, on a
//! wall and on a telephone. `HURTIG_SCREENSHOTS=DIR` keeps pictures of it.

mod browser;
mod fleet;
mod insights;
mod opened;

use std::{path::Path, process::Command, sync::Arc};

use hurtig_engine::time::SystemClock;
use hurtig_store::StoreOptions;
use hurtig_tests::{
    program::{command, hurtig},
    servers::{Server, left_out},
};
use serde_json::{Value, json};

use self::browser::{Browser, key};
use crate::{
    running::Running,
    support::{directory, words},
};

/// A view over a store.
struct Served {
    process: Running,
    url: String,
}

impl Served {
    fn start(store: &Path, listen: &str, rest: &str) -> Self {
        let mut view = command(["view", "--json", "--listen", listen, "--rest", rest, "--dir"]).expect("the binary");
        let mut process = Running::start(view.arg(store));
        let line: Value = serde_json::from_str(&process.until_said("listening")).expect("JSON");
        Served { url: line["url"].as_str().expect("its URL").to_owned(), process }
    }
}

/// A job that runs, and where its REST API is.
fn job(dir: &Path) -> (Running, String) {
    let line =
        "run smart-meters --source generator --meters 500 --rate 500 --checkpoint-interval 500ms --rest-port 0 --json";
    let mut run = command(words(line)).expect("the binary");
    run.arg("--data-dir").arg(dir.join("job"));
    let mut job = Running::start(&mut run);
    let started: Value = serde_json::from_str(&job.until_said("\"started\"")).expect("JSON");
    let rest = started["rest"].as_str().expect("its REST API").to_owned();
    (job, rest)
}

async fn keep(browser: &Browser, name: &str, most: u32) {
    let Some(dir) = std::env::var_os("HURTIG_SCREENSHOTS") else { return };
    let picture = browser.picture(most).await;
    std::fs::write(Path::new(&dir).join(format!("view-{name}.png")), picture).expect("a picture");
}

/// What anybody would trip over.
async fn is_well(browser: &Browser, place: &str) {
    assert_eq!(browser.shut_out().await, Vec::<String>::new(), "{place}");
    let wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]").await;
    assert!(wide[0].as_i64() <= wide[1].as_i64(), "{place} is wider than its window: {wide}");
}

const FOCUS: &str = "document.activeElement";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_view_in_a_browser() {
    if left_out(&[Server::Browser]) {
        return;
    }
    let dir = directory();
    let store = dir.path().join("store");
    fleet::write(StoreOptions::new(&store, Arc::new(SystemClock))).await;
    let (_job, rest) = job(dir.path());
    let mut view = Served::start(&store, "127.0.0.1:0", &rest);
    let browser = Browser::start().await;
    browser.system_colours("light").await;
    browser.resize(1600, 1000).await;
    // What the browser has shown until now is its own.
    browser.requests().await;
    browser.open(&view.url).await;

    // The panels, each with what is known of its readings.
    browser.until("document.querySelector('#consumption path.column')").await;
    browser.until(&tile("meters", fleet::METERS)).await;
    browser.until(&tile("silent", fleet::SILENT.len())).await;
    browser.until(&tile("outside", fleet::OUTSIDE.len())).await;
    let column =
        |list: &str| format!("return [...document.querySelectorAll('#{list} tbody a')].map((a) => a.textContent)");
    browser.until("document.querySelectorAll('#silent tbody tr').length > 0").await;
    let silent: Vec<String> = fleet::SILENT.iter().map(|(meter, _)| fleet::name(*meter)).collect();
    assert_eq!(browser.run(&column("silent")).await, json!(silent), "the longest first");
    browser.until("document.querySelectorAll('#voltage tbody tr').length > 0").await;
    // By how far they are from 230 V: 33.5, 32, 27.5, 27.5 ± 0.5, …
    let outside = browser.run(&column("voltage")).await;
    let mut names: Vec<&str> = outside.as_array().expect("names").iter().filter_map(Value::as_str).collect();
    assert_eq!(names.first().copied(), Some(fleet::name(161).as_str()));
    names.sort_unstable();
    let mut expected: Vec<String> = fleet::OUTSIDE.iter().map(|(meter, ..)| fleet::name(*meter)).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let regions = browser.run("return document.querySelectorAll('#consumption .legend li').length").await;
    assert_eq!(regions, json!(5));

    // The job: it reads, it completes checkpoints, and its books balance.
    browser.until("document.querySelector('.job .badge').textContent === 'running'").await;
    browser.until("/^[45]\\d\\d /.test(document.querySelector('.tile.rate .value').textContent)").await;
    browser.until("document.querySelectorAll('.job .verdict').length > 0").await;
    assert_eq!(browser.run("return document.querySelectorAll('.verdict.alarm').length").await, json!(0));
    browser.until("document.querySelectorAll('#lateness tbody tr').length > 0").await;
    is_well(&browser, "the overview, light").await;
    keep(&browser, "light", 1_640).await;

    // The first stop of the keyboard is the way past the top.
    browser.run("window.scrollTo(0, 0); document.activeElement.blur()").await;
    browser.press(&[key::TAB]).await;
    assert_eq!(browser.run(&format!("return {FOCUS}.className")).await, json!("skip"));
    browser.press(&[key::ENTER]).await;
    assert_eq!(browser.run(&format!("return {FOCUS}.id")).await, json!("content"));
    // Behind it come the panels: the switch, then the chart, which arrow keys read.
    browser.press(&[key::TAB, key::TAB]).await;
    browser.until(&format!("{FOCUS}.classList.contains('plot')")).await;
    let told = async || browser.run(&format!("return {FOCUS}.getAttribute('aria-valuetext')")).await;
    let last = told().await;
    assert!(last.as_str().is_some_and(|words| words.contains("not over") && words.contains("kWh")), "{last}");
    browser.press(&[key::LEFT, key::LEFT]).await;
    let before = told().await;
    assert!(before != last && before.as_str().is_some_and(|words| words.contains("North")), "{before}");
    assert_eq!(browser.run("return document.querySelector('#consumption .tip').hidden").await, json!(false));
    keep(&browser, "keyboard", 460).await;
    browser.press(&[key::HOME]).await;
    assert_eq!(browser.run(&format!("return {FOCUS}.getAttribute('aria-valuenow')")).await, json!("0"));
    browser.press(&[key::ESCAPE]).await;
    assert_eq!(browser.run("return document.querySelector('#consumption .tip').hidden").await, json!(true));

    // The other span, and its values as a table.
    browser.click("#span input[value=day]").await;
    browser.until("document.querySelector('#consumption .summary').textContent.includes('the last day')").await;
    browser.click("#consumption summary").await;
    browser.until("document.querySelectorAll('#consumption tbody tr').length === 96").await;
    browser.click("#consumption summary").await;

    // Colours: the system's, until somebody chooses.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.run(&format!("return {ground}")).await;
    browser.system_colours("dark").await;
    let dark = browser.run(&format!("return {ground}")).await;
    assert_ne!(light, dark);
    is_well(&browser, "the overview, dark").await;
    keep(&browser, "dark", 1_640).await;
    browser.run("document.querySelector('.themes input[value=auto]').focus()").await;
    browser.press(&[key::RIGHT]).await;
    browser.until("document.documentElement.dataset.theme === 'light'").await;
    assert_eq!(browser.run(&format!("return {ground}")).await, light);

    // From a silent meter to its page, back, and to another one by its name.
    let (first, minutes) = fleet::SILENT[1];
    assert_eq!((first, minutes), (58, 260));
    browser.click("#silent a[href='#meter=meter-058']").await;
    browser.until("document.querySelector('#meter h1')?.textContent === 'meter-058'").await;
    browser.until("document.querySelector('#meter .badge.quiet')?.textContent.startsWith('Silent for 4 h')").await;
    browser.until("document.querySelector('#meter path.curve') && document.querySelector('#meter path.column')").await;
    assert_eq!(browser.run(&format!("return {FOCUS}.tagName")).await, json!("H1"), "the focus goes along");
    assert!(browser.run("return document.title").await.as_str().is_some_and(|title| title.starts_with("meter-058")));
    browser.click(".back a").await;
    browser
        .until("!document.querySelector('#overview').hidden && document.querySelectorAll('#silent tbody tr').length")
        .await;
    browser.click("#find-text").await;
    browser.write("METER-12").await;
    browser.until("document.querySelectorAll('#find-list [role=option]').length === 10").await;
    browser.press(&[key::DOWN]).await;
    browser.until("document.querySelector('#find-text').getAttribute('aria-activedescendant') === 'find-0'").await;
    is_well(&browser, "the search").await;
    browser.press(&[key::ENTER]).await;
    browser.until("document.querySelector('#meter h1')?.textContent === 'meter-120'").await;
    browser.until("document.querySelector('#meter .badge.alarm')?.textContent === 'Voltage too high'").await;
    browser.until("document.querySelectorAll('#meter path.outside').length > 50").await;
    // It is there, wherever in its day the keyboard looks.
    browser.click("#meter summary").await;
    browser.until("document.querySelectorAll('#meter tbody tr').length >= 287").await;
    is_well(&browser, "a meter").await;
    browser.click("#meter summary").await;
    keep(&browser, "meter", 1_200).await;
    browser.click(".days button").await;
    browser.until("!document.querySelector('.days button:last-child').disabled").await;

    // A meter that there is not.
    browser.open(&format!("{}#meter=nobody", view.url)).await;
    browser
        .until("document.querySelector('#meter .nothing')?.textContent.includes(\"There is no meter 'nobody'\")")
        .await;
    let console = browser.console().await;
    // The browser itself notes what was not found; nothing else.
    let other: Vec<_> =
        console.iter().filter(|line| !(line.contains("/api/meter?id=nobody") && line.contains("404"))).collect();
    assert_eq!(other, Vec::<&String>::new());

    // On a telephone.
    browser.resize(360, 760).await;
    browser.open(&view.url).await;
    browser.until("document.querySelector('#consumption path.column') && document.querySelectorAll('#silent tbody tr').length").await;
    is_well(&browser, "the overview, narrow").await;
    keep(&browser, "narrow", 1_500).await;
    browser.resize(1600, 1000).await;

    // Nothing has gone anywhere else, and the console is silent.
    assert_eq!(browser.console().await, Vec::<String>::new());
    let requests = browser.requests().await;
    let elsewhere: Vec<_> =
        requests.iter().filter(|url| !url.starts_with(&view.url) && !url.starts_with("data:")).collect();
    assert!(requests.len() > 50 && elsewhere.is_empty(), "{} requests, elsewhere {elsewhere:?}", requests.len());

    // The process goes, and comes back: the page says both.
    let address = view.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    view.process.signal(libc::SIGTERM);
    assert_eq!(view.process.end().code, Some(0));
    browser.until("document.querySelector('#link').textContent.includes('Connection lost')").await;
    assert_eq!(
        browser.run("return document.querySelectorAll('#silent tbody tr').length").await,
        json!(5),
        "what was known stays"
    );
    let _again = Served::start(&store, &address, &rest);
    browser.until("document.querySelector('#link-text').textContent === 'Connected again'").await;
}

#[test]
fn wrong_places_are_one_line() {
    let dir = directory();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(hurtig().expect("the binary"));
        let output = command.arg("view").args(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let nowhere = dir.path().join("nowhere").display().to_string();
    let (code, said) = run(&["--dir", &nowhere]);
    assert!(code == Some(2) && said.contains("there is no store in") && said.lines().count() == 1, "{code:?}: {said}");
    assert!(!Path::new(&nowhere).exists(), "looking makes nothing");
    let (code, said) = run(&["--dir", &nowhere, "--listen", "0.0.0.0:0"]);
    assert!(code == Some(2) && said.contains("can be reached from other machines"), "{code:?}: {said}");
    let (code, said) = run(&["--dir", &nowhere, "--tolerance", "10"]);
    assert!(code == Some(2) && said.contains("a share between 0 and 1"), "{code:?}: {said}");
}

/// Whether a tile shows a number.
fn tile(name: &str, shown: impl std::fmt::Display) -> String {
    format!("document.querySelector('.tile.{name} .value span').textContent.trim() === '{shown}'")
}
