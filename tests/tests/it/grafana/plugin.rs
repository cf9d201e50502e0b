//! Grafana's plugin for Timestream, as far as it matters what it sends: variables and macros are put in as it does, all pages
//! are read, and its three kinds of values are told apart.

use std::collections::BTreeMap;

use jiff::{civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A cell as the plugin reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Text(String),
    Number(f64),
    /// Milliseconds.
    Time(i64),
    Series(Vec<(i64, f64)>),
    Null,
}

impl Cell {
    pub fn text(&self) -> &str {
        match self {
            Cell::Text(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }

    pub fn number(&self) -> f64 {
        match self {
            Cell::Number(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }
}

/// Names of columns, and rows.
#[derive(Debug)]
pub struct Answer {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

/// A client with the dashboard's range.
pub struct Plugin {
    runtime: Runtime,
    http: reqwest::Client,
    url: String,
    from: i64,
    to: i64,
}

/// Width of a step, as Grafana would choose it.
pub const INTERVAL_MS: i64 = 900_000;

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

impl Plugin {
    pub fn new(url: &str, from: i64, to: i64) -> Self {
        Plugin { runtime: runtime(), http: reqwest::Client::new(), url: url.to_owned(), from, to }
    }

    fn post(&self, operation: &str, body: &Value) -> Value {
        let request = self.http.post(&self.url).header("content-type", "application/x-amz-json-1.0");
        let request = request.header("x-amz-target", format!("Timestream_20181101.{operation}")).body(body.to_string());
        let (status, text) = self.runtime.block_on(async {
            let answer = request.send().await.expect("an answer");
            (answer.status(), answer.text().await.expect("text"))
        });
        assert!(status.is_success(), "{body}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub fn write(&self, records: &[Value]) {
        for records in records.chunks(100) {
            let body = json!({ "DatabaseName": "meters", "TableName": "readings", "Records": records });
            assert_eq!(self.post("WriteRecords", &body)["RecordsIngested"]["Total"], records.len());
        }
    }

    /// Grafana's variables first, then the plugin's macros, the longest name first.
    fn expand(&self, query: &str, variables: &BTreeMap<&str, Vec<String>>) -> String {
        let mut query = query.to_owned();
        for (name, values) in variables {
            let quoted: Vec<_> = values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
            query = query.replace(&format!("${{{name}:sqlstring}}"), &quoted.join(","));
            query = query.replace(&format!("${name}"), &values.join(","));
        }
        let step = format!("{INTERVAL_MS}ms");
        let filter = format!("time BETWEEN from_milliseconds({}) AND from_milliseconds({})", self.from, self.to);
        for (name, value) in [
            ("interval_raw_ms", INTERVAL_MS.to_string()),
            ("interval_ms", step.clone()),
            ("timeFilter", filter),
            ("timeFrom", self.from.to_string()),
            ("interval", step),
            ("database", r#""meters""#.to_owned()),
            ("measure", "kwh_measure".to_owned()),
            ("timeTo", self.to.to_string()),
            ("now_ms", self.to.to_string()),
            ("table", r#""readings""#.to_owned()),
        ] {
            query = query.replace(&format!("$__{name}"), &value);
        }
        assert!(!query.contains('$'), "{query}");
        query
    }

    /// All pages of the answer.
    pub fn ask(&self, query: &str, variables: &BTreeMap<&str, Vec<String>>) -> Answer {
        let query = self.expand(query, variables);
        let (mut answer, mut token) = (Answer { columns: Vec::new(), rows: Vec::new() }, None::<String>);
        loop {
            let mut body = json!({ "QueryString": query });
            if let Some(token) = &token {
                body["NextToken"] = json!(token);
            }
            let page = self.post("Query", &body);
            let columns = page["ColumnInfo"].as_array().expect("columns");
            answer.columns = columns.iter().map(|c| c["Name"].as_str().expect("a name").to_owned()).collect();
            for row in page["Rows"].as_array().expect("rows") {
                let cells = columns.iter().zip(row["Data"].as_array().expect("data"));
                answer.rows.push(cells.map(|(column, datum)| cell(&column["Type"], datum)).collect());
            }
            token = page["NextToken"].as_str().map(str::to_owned);
            if token.is_none() {
                return answer;
            }
        }
    }
}

fn cell(kind: &Value, datum: &Value) -> Cell {
    if datum["NullValue"] == true {
        return Cell::Null;
    }
    if let Some(points) = datum["TimeSeriesValue"].as_array() {
        let of = &kind["TimeSeriesMeasureValueColumnInfo"]["Type"];
        let point = |point: &Value| (time(&point["Time"]), cell(of, &point["Value"]).number());
        return Cell::Series(points.iter().map(point).collect());
    }
    let text = datum["ScalarValue"].as_str().expect("a scalar");
    match kind["ScalarType"].as_str().expect("a scalar's type") {
        "VARCHAR" => Cell::Text(text.to_owned()),
        "DOUBLE" | "BIGINT" | "INTEGER" => Cell::Number(text.parse().expect("a number")),
        "TIMESTAMP" => Cell::Time(time(&datum["ScalarValue"])),
        other => panic!("no panel knows what to do with {other}"),
    }
}

fn time(text: &Value) -> i64 {
    let civil: DateTime = text.as_str().expect("a time").parse().expect("a time");
    civil.to_zoned(TimeZone::UTC).expect("a time in UTC").timestamp().as_millisecond()
}
