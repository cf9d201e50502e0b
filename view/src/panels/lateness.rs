//! How late readings come: the job counts them by their lateness.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{exposition::samples, rest::Rest};

/// Ends the name that the job's gauges have at its `/metrics`.
const GAUGE: &str = "_latenessBucket";

/// A histogram.
#[derive(Debug, Default, Serialize)]
pub struct Lateness {
    /// Why there is none.
    pub why: Option<String>,
    /// Ascending.
    pub buckets: Vec<Bucket>,
    /// All readings that were counted.
    pub total: f64,
}

/// Readings of a lateness between the bound before and this one.
#[derive(Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// The bound as the job writes it: `10m`, `inf`.
    pub le: String,
    /// In milliseconds; none without a bound.
    pub upper_ms: Option<i64>,
    /// How many, over all subtasks.
    pub count: f64,
}

/// The answer. A job that cannot be reached is one, too.
pub async fn ask(rest: Option<&Rest>) -> Lateness {
    let Some(rest) = rest else {
        let why = "The job counts late readings, and no job's REST address was given.".to_owned();
        return Lateness { why: Some(why), ..Lateness::default() };
    };
    match rest.text("/metrics").await {
        Ok(text) => histogram(&text),
        Err(e) => Lateness { why: Some(e.to_string()), ..Lateness::default() },
    }
}

fn histogram(metrics: &str) -> Lateness {
    let mut counts: BTreeMap<(i64, String), f64> = BTreeMap::new();
    for sample in samples(metrics).iter().filter(|sample| sample.name.ends_with(GAUGE)) {
        // What has a bound that cannot be read has none that could be shown.
        if let Some((le, upper)) = sample.label("le").and_then(|le| Some((le, upper(le)?))) {
            *counts.entry((upper, le.to_owned())).or_default() += sample.value;
        }
    }
    let buckets: Vec<Bucket> = counts
        .into_iter()
        .map(|((upper, le), count)| Bucket { le, upper_ms: (upper < i64::MAX).then_some(upper), count })
        .collect();
    let why = buckets.is_empty().then(|| "No job that runs there counts late readings.".to_owned());
    Lateness { why, total: buckets.iter().map(|bucket| bucket.count).sum(), buckets }
}

/// `10m` in milliseconds.
fn upper(le: &str) -> Option<i64> {
    if matches!(le, "inf" | "+Inf") {
        return Some(i64::MAX);
    }
    let digits = le.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = le.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}
