//! Grafana's dashboards: what is committed is what their sources say, every query of Timestream's plugin is answered by a
//! real `hurtig store serve` with what its readings say, and every expression by a real Prometheus beside a real job.

mod naive;
mod plugin;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use hurtig_tests::{
    program::{command, hurtig, workspace},
    servers::{Prometheus, Server, left_out},
};
use serde_json::{Value, json};

use self::{naive::Fleet, plugin::Plugin};
use crate::{running::Running, support::directory};

fn grafana() -> PathBuf {
    workspace().join("grafana")
}

fn dashboard(name: &str) -> Value {
    let file = grafana().join("dashboards").join(name);
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Title and queries of every panel that asks something.
fn panels<'a>(dashboard: &'a Value, query: &'static str) -> Vec<(&'a str, Vec<&'a str>)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let asking = panels.iter().filter(|panel| panel["type"] != "row").map(|panel| {
        let targets = panel["targets"].as_array().expect("targets");
        let queries = targets.iter().map(|target| target[query].as_str().expect("a query")).collect::<Vec<_>>();
        assert!(!queries.is_empty(), "{panel}");
        (panel["title"].as_str().expect("a title"), queries)
    });
    asking.collect()
}

fn variable<'a>(dashboard: &'a Value, name: &str) -> &'a Value {
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    variables.iter().find(|v| v["name"] == name).unwrap_or_else(|| panic!("there is no variable {name}"))
}

#[test]
fn what_is_committed_is_what_its_sources_say_and_grafana_s_types_allow() {
    if left_out(&[Server::Grafana]) {
        return;
    }
    let dir = directory();
    let output = Command::new(grafana().join("generate.sh")).arg(dir.path()).output().expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let files = |dir: PathBuf| -> BTreeMap<String, String> {
        let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
        let read = |e: fs::DirEntry| {
            (e.file_name().to_string_lossy().into_owned(), fs::read_to_string(e.path()).expect("text"))
        };
        entries.map(read).collect()
    };
    let (generated, committed) = (files(dir.path().to_owned()), files(grafana().join("dashboards")));
    assert!(generated.keys().eq(committed.keys()), "{:?} and {:?}", generated.keys(), committed.keys());
    for (name, text) in &generated {
        assert!(committed[name] == *text, "{name} is not what grafana/generate.sh makes of its sources");
    }
}

#[test]
fn data_sources_that_dashboards_begin_with_are_provisioned() {
    let provisioned = fs::read_to_string(grafana().join("provisioning/datasources/hurtig.yaml")).expect("a file");
    for (name, source) in [("smart-meters.json", "source"), ("pipeline.json", "prometheus")] {
        let dashboard = dashboard(name);
        let variable = variable(&dashboard, source);
        let begins_with = variable["current"]["value"].as_str().expect("a uid");
        assert!(provisioned.contains(&format!("uid: {begins_with}\n")), "{begins_with}");
        assert!(provisioned.contains(&format!("type: {}\n", variable["query"].as_str().expect("a kind"))));
        for panel in dashboard["panels"].as_array().expect("panels").iter().filter(|panel| panel["type"] != "row") {
            assert_eq!(panel["datasource"]["uid"], json!(format!("${{{source}}}")), "{panel}");
        }
    }
}

#[test]
fn every_query_is_answered_by_the_store() {
    let dir = directory();
    let mut serve = Command::new(hurtig().expect("the binary"));
    serve.args(["store", "serve", "--listen", "127.0.0.1:0", "--json", "--table", "meters/readings", "--dir"]);
    let mut served = Running::start(serve.arg(dir.path()));
    let line: Value = serde_json::from_str(&served.until_said("listening")).expect("JSON");
    let fleet = Fleet::now();
    let plugin = Plugin::new(line["url"].as_str().expect("its URL"), fleet.from, fleet.to);
    plugin.write(&fleet.records());

    let dashboard = dashboard("smart-meters.json");
    let mut variables = BTreeMap::new();
    // With other values another count would be right.
    for (name, value) in [("nominal", "230"), ("tolerance", "10"), ("silence", "2h")] {
        assert_eq!(variable(&dashboard, name)["current"]["value"], value);
        variables.insert(name, vec![value.to_owned()]);
    }
    // As the dashboard does when it is opened: all regions, and one meter of theirs.
    for name in ["region", "meter"] {
        let query = variable(&dashboard, name)["query"].as_str().expect("a query").to_owned();
        let answer = plugin.ask(&query, &variables);
        let values: Vec<String> = answer.rows.iter().map(|row| row[0].text().to_owned()).collect();
        assert_eq!(values, fleet.values(name), "{query}");
        variables.insert(name, if name == "meter" { vec![naive::LOUD.to_owned()] } else { values });
    }
    for (title, queries) in panels(&dashboard, "rawQuery") {
        let [query] = queries.as_slice() else { panic!("{title} asks more than one query") };
        let answer = plugin.ask(query, &variables);
        fleet.check(title, &answer);
    }
    // One region alone.
    variables.insert("region", vec![naive::QUOTED.to_owned()]);
    let energy = panels(&dashboard, "rawQuery").into_iter().find(|(title, _)| *title == "Energy of each region");
    let answer = plugin.ask(energy.expect("the panel").1[0], &variables);
    let regions: Vec<_> = answer.rows.iter().map(|row| row[0].text()).collect();
    assert_eq!(regions, [naive::QUOTED]);
}

/// What a job that reads no service does not have; the files that register it.
const OF_CONNECTORS: [(&str, &[&str]); 2] = [
    ("Behind Kinesis", &["kinesis/src/source/metrics.rs"]),
    ("Pending in the sources", &["kinesis/src/source/metrics.rs", "kafka/src/source/reader.rs"]),
];

/// The last words of the names of metrics.
fn gauges(expr: &str) -> Vec<&str> {
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("flink_") || word.starts_with("hurtig_"));
    names.filter_map(|name| name.rsplit('_').next()).collect()
}

#[test]
fn every_expression_is_answered_by_prometheus() {
    if left_out(&[Server::Prometheus]) {
        return;
    }
    let dir = directory();
    let arguments = "run smart-meters --source generator --meters 100 --rate 5000 --null-share 0.05 \
                     --checkpoint-interval 500ms --rest-port 0 --view-port 0 --json --data-dir";
    let mut run = command(arguments.split_whitespace()).expect("the binary");
    let mut job = Running::start(run.arg(dir.path()));
    let started: Value = serde_json::from_str(&job.until_said(r#""started""#)).expect("JSON");
    let rest = started["rest"].as_str().expect("where it answers").trim_start_matches("http://").to_owned();
    let prometheus = Prometheus::start(&rest).expect("prometheus");
    let (runtime, http) = (plugin::runtime(), reqwest::Client::new());
    let get = |path: &str, parameters: &[(&str, &str)]| -> Value {
        let url = format!("{}/api/v1/{path}", prometheus.endpoint());
        let url = reqwest::Url::parse_with_params(&url, parameters).expect("a URL");
        let text = runtime.block_on(async { http.get(url).send().await?.text().await }).expect("an answer");
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
        answer["data"].clone()
    };
    let ask = |expr: &str| {
        let expr = expr.replace("$job", "smart-meters").replace("$__rate_interval", "10s");
        assert!(!expr.contains('$'), "{expr}");
        get("query", &[("query", &expr)])["result"].as_array().expect("a result").clone()
    };

    let dashboard = dashboard("pipeline.json");
    let jobs = variable(&dashboard, "job")["query"]["query"].as_str().expect("a query");
    let inside = jobs.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).expect("label_values");
    let (metric, label) = inside.split_once(", ").expect("a metric and its label");

    let (of_connectors, of_all): (Vec<_>, Vec<_>) = panels(&dashboard, "expr")
        .into_iter()
        .partition(|(title, _)| OF_CONNECTORS.iter().any(|(known, _)| known == title));
    let mut unanswered = Vec::new();
    let answered = || {
        unanswered.clear();
        for (title, expressions) in &of_all {
            unanswered.extend(expressions.iter().filter(|expr| ask(expr).is_empty()).map(|expr| (*title, *expr)));
        }
        unanswered.is_empty()
    };
    let all = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.until("an answer to each", answered)));
    assert!(all.is_ok(), "nothing is answered to {unanswered:?}");
    assert_eq!(get(&format!("label/{label}/values"), &[("match[]", metric)]), json!(["smart-meters"]));

    let mut values = BTreeMap::new();
    for (title, expressions) in &of_all {
        for expr in expressions {
            for series in ask(expr) {
                let value: f64 = series["value"][1].as_str().expect("a value").parse().expect("a number");
                values.insert((*title, series["metric"].to_string(), *expr), value);
            }
        }
    }
    let of = |wanted: &str| {
        let found: Vec<f64> =
            values.iter().filter(|((title, ..), _)| *title == wanted).map(|(_, value)| *value).collect();
        assert!(!found.is_empty(), "{wanted} is not there");
        found
    };
    assert_eq!((of("Restarts"), of("Unaccounted for")), (vec![0.0], vec![0.0]));
    assert!(of("Records a second")[0] > 0.0 && of("Dead letters")[0] > 0.0);
    assert!(of("Written by each sink").into_iter().any(|written| written > 0.0));
    assert!(["Busy", "Held back"].iter().all(|title| of(title).iter().all(|share| (0.0..=101.0).contains(share))));

    for (title, files) in OF_CONNECTORS {
        let panel = of_connectors.iter().find(|(known, _)| *known == title);
        for expr in &panel.unwrap_or_else(|| panic!("there is no panel {title}")).1 {
            // It can be read, and nobody has it.
            assert!(ask(expr).is_empty(), "{title} is answered: it needs no exception");
            for (file, gauge) in files.iter().flat_map(|file| gauges(expr).into_iter().map(move |gauge| (file, gauge)))
            {
                let source = fs::read_to_string(workspace().join("operators/connectors").join(file)).expect("a file");
                assert!(source.contains(&format!("gauge(\"{gauge}\"")), "{file} registers no {gauge}");
            }
        }
    }
}
