//! `/metrics`: Prometheus text, under the names and labels of Flink's own reporter, so that
//! dashboards made for Flink work. What Flink has no name for begins with `hurtig_`.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::text,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    Api,
    job::LOCAL,
    jobs::Job,
    metrics::{job_metrics, task_metrics},
};
use crate::graph::plan::stable_id;

type Labels = Vec<(&'static str, String)>;
type Value = Gauge<f64, AtomicU64>;

/// GET `/metrics`
pub async fn metrics(State(api): State<Api>) -> Response {
    let mut scrape = Scrape::default();
    for job in api.jobs.all() {
        scrape.job(&job);
    }
    match scrape.text() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

/// One answer in the making. Everything is a gauge, as Flink's reporter has it.
#[derive(Default)]
struct Scrape {
    families: BTreeMap<String, (&'static str, Family<Labels, Value>)>,
}

impl Scrape {
    fn job(&mut self, job: &Job) {
        let handle = &job.handle;
        let of_job = vec![("job_id", handle.id().to_owned()), ("job_name", handle.name().to_owned())];
        for (name, value) in job_metrics(job) {
            // The one that is no number, the path, is not for Prometheus.
            if let Ok(value) = value.parse() {
                self.set(format!("flink_jobmanager_job_{name}"), "scope: jobmanager_job", &of_job, value);
            }
        }
        let status = handle.status();
        for (v, vertex) in handle.graph().vertices.iter().enumerate() {
            for (subtask, m) in handle.metrics().get(v).into_iter().flatten().enumerate() {
                let mut labels = of_job.clone();
                labels.extend([
                    ("task_id", vertex.id()),
                    ("task_name", vertex.title()),
                    ("task_attempt_num", status.restarts.to_string()),
                    ("subtask_index", subtask.to_string()),
                    ("tm_id", LOCAL.to_owned()),
                    ("host", LOCAL.to_owned()),
                ]);
                for (name, value) in task_metrics(job, v, subtask) {
                    if name != "currentInputWatermark" || !vertex.is_source() {
                        self.set(
                            format!("flink_taskmanager_job_task_{name}"),
                            "scope: taskmanager_job_task",
                            &labels,
                            value,
                        );
                    }
                }
                let dead = m.dead_lettered.load(Relaxed) as f64;
                self.set("hurtig_task_dead_lettered", "records sent to the dead letters", &labels, dead);
                let unread = m.unread.load(Relaxed) as f64;
                self.set("hurtig_task_unread", "records for side outputs that nobody reads", &labels, unread);
                let state = m.state_bytes.load(Relaxed) as f64;
                self.set("hurtig_task_state_bytes", "state in the last snapshot", &labels, state);
                for gauge in m.registry.entries() {
                    let mut labels = labels.clone();
                    labels.extend([("operator_id", stable_id(&gauge.uid)), ("operator_name", gauge.operator)]);
                    labels.extend(gauge.labels);
                    let name = format!("flink_taskmanager_job_task_operator_{}", gauge.name);
                    self.set(name, "scope: taskmanager_job_task_operator", &labels, gauge.gauge.get() as f64);
                }
                let watermark = m.watermark.load(Relaxed) as f64;
                for operator in &vertex.operators {
                    let mut labels = labels.clone();
                    labels.push(("operator_id", stable_id(&operator.uid)));
                    labels.push(("operator_name", operator.name.clone()));
                    let name = "flink_taskmanager_job_task_operator_currentOutputWatermark";
                    self.set(name, "scope: taskmanager_job_task_operator", &labels, watermark);
                }
            }
        }
        for sink in &status.books {
            let counts = [
                ("read", sink.books.read),
                ("written", sink.books.written),
                ("rejected", sink.books.rejected),
                ("dead_lettered", sink.books.dead_lettered),
            ];
            for (count, value) in counts {
                let mut labels = of_job.clone();
                labels.push(("operator_id", stable_id(&sink.uid)));
                labels.push(("operator_name", sink.name.clone()));
                let name = format!("hurtig_sink_books_{count}");
                self.set(name, "as of the last completed checkpoint", &labels, value as f64);
            }
        }
    }

    fn set(&mut self, name: impl Into<String>, help: &'static str, labels: &Labels, value: f64) {
        let (_, family) = self.families.entry(name.into()).or_insert_with(|| (help, Family::default()));
        family.get_or_create(labels).set(value);
    }

    fn text(self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::default();
        for (name, (help, family)) in self.families {
            registry.register(name, help, family);
        }
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}
