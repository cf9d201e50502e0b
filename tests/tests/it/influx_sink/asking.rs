//! Questions to the servers, over HTTP: what have they stored?

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tokio::runtime::Runtime;

use super::sample::Sample;

/// Asks a server over HTTP.
pub struct Asking {
    pub runtime: Runtime,
    pub http: reqwest::Client,
    pub endpoint: String,
    pub credentials: Option<(&'static str, &'static str)>,
}

impl Asking {
    pub fn new(endpoint: String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Asking { runtime: runtime.expect("a runtime"), http: reqwest::Client::new(), endpoint, credentials: None }
    }

    pub fn get(&self, path: &str, parameters: &[(&str, &str)], post: bool) -> Value {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.endpoint), parameters).expect("a URL");
        let mut request = if post { self.http.post(url) } else { self.http.get(url) };
        if let Some((user, password)) = self.credentials {
            request = request.basic_auth(user, Some(password));
        }
        let answer = self.runtime.block_on(async { request.send().await?.text().await }).expect("an answer");
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }

    /// InfluxQL.
    pub fn ask(&self, database: &str, query: &str) -> Value {
        let answer = self.get("/query", &[("db", database), ("epoch", "ns"), ("q", query)], true);
        let result = &answer["results"][0];
        assert!(result["error"].is_null() && answer["error"].is_null(), "{query}: {answer}");
        result.clone()
    }

    /// All points of a database that have texts alone.
    pub fn samples(&self, database: &str) -> BTreeSet<Sample> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let answer = self.ask(database, "SELECT * FROM /.*/ GROUP BY *");
        let mut samples = BTreeSet::new();
        for series in answer["series"].as_array().into_iter().flatten() {
            let tags = series["tags"].as_object().into_iter().flatten();
            // It gives a series the tags of others, empty.
            let tags = tags.filter_map(|(name, value)| Some((name.clone(), text(value)?)));
            let tags: BTreeMap<_, _> = tags.filter(|(_, value)| !value.is_empty()).collect();
            let columns: Vec<String> = series["columns"].as_array().expect("columns").iter().filter_map(text).collect();
            for row in series["values"].as_array().expect("values") {
                let fields = columns.iter().zip(row.as_array().expect("a row")).skip(1);
                let sample = Sample {
                    measurement: text(&series["name"]).expect("a name"),
                    tags: tags.clone(),
                    texts: fields.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect(),
                    time: row[0].as_i64().expect("a time"),
                };
                assert!(samples.insert(sample), "twice in {answer}");
            }
        }
        samples
    }

    /// The meters and values of `readings`, by time.
    pub fn stored(&self, database: &str) -> BTreeMap<i64, (String, Value)> {
        let answer = self.ask(database, "SELECT v, meter FROM readings");
        let rows = answer["series"][0]["values"].as_array().cloned().unwrap_or_default();
        let row =
            |row: Value| (row[0].as_i64().expect("a time"), (row[2].as_str().expect("a meter").into(), row[1].clone()));
        rows.into_iter().map(row).collect()
    }

    /// A query of QuestDB's, when all that was written is applied.
    pub fn sql(&self, query: &str) -> Vec<Value> {
        loop {
            let tables = self.get("/exec", &[("query", "select writerTxn, sequencerTxn from wal_tables()")], false);
            let applied = |table: &Value| table[0] == table[1];
            if tables["dataset"].as_array().expect("tables").iter().all(applied) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let answer = self.get("/exec", &[("query", query)], false);
        assert!(answer["error"].is_null(), "{query}: {answer}");
        answer["dataset"].as_array().cloned().unwrap_or_default()
    }
}
