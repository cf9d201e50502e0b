//! Consumption by region over time: the last hour by the minute, the last day by the quarter of an hour.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    error::Result,
    moment::Moment,
    question::Span,
    readings::{Readings, VALUE},
    sql::time,
    view::View,
};

/// So many regions are told apart; the others are one.
const REGIONS: usize = 6;

impl Span {
    /// The length of a step in milliseconds, how many there are, and how SQL writes one.
    fn steps(self) -> (i64, i64, &'static str) {
        match self {
            Span::Hour => (60_000, 60, "1m"),
            Span::Day => (900_000, 96, "15m"),
        }
    }

    /// The beginning of the first step.
    fn beginning(self, moment: Moment) -> i64 {
        let (step, steps, _) = self.steps();
        moment.now_ms.div_euclid(step) * step - (steps - 1) * step
    }
}

/// Energy by region and step.
#[derive(Debug, Serialize)]
pub struct Consumption {
    /// `hour` or `day`.
    pub span: &'static str,
    /// A step's length.
    pub step_ms: i64,
    /// The steps' beginnings. The last one is not over.
    pub times_ms: Vec<i64>,
    /// Regions, by their energy; the last may be several.
    pub regions: Vec<Region>,
    /// All regions' energy in each step, kWh.
    pub total_kwh: Vec<f64>,
}

/// A region's energy.
#[derive(Debug, Serialize)]
pub struct Region {
    /// Its name; empty when it has none.
    pub name: String,
    /// How many regions this is, when it is those that are not told apart.
    pub others: Option<usize>,
    /// Energy in each step, kWh.
    pub kwh: Vec<f64>,
    /// Energy in all steps, kWh.
    pub sum_kwh: f64,
}

/// The statement.
pub fn statement(readings: &Readings, span: Span, moment: Moment) -> String {
    let Readings { table, region, is_energy, .. } = readings;
    let (from, to) = (time(span.beginning(moment)), time(moment.now_ms));
    let (_, _, step) = span.steps();
    format!(
        "SELECT {region} AS region, bin(time, {step}) AS step, sum({VALUE}) AS kwh\n\
         FROM {table} WHERE {is_energy} AND time >= {from} AND time <= {to}\n\
         GROUP BY {region}, bin(time, {step})"
    )
}

/// The answer.
pub async fn ask(view: &View, readings: Option<&Readings>, span: Span, moment: Moment) -> Result<Consumption> {
    let (step_ms, steps, _) = span.steps();
    let from = span.beginning(moment);
    let times_ms: Vec<i64> = (0..steps).map(|n| from + n * step_ms).collect();
    let zeros = || vec![0.0; times_ms.len()];
    let mut by_region: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    if let Some(readings) = readings {
        let rows = view.run(&statement(readings, span, moment)).await?;
        let (regions, at, kwh) = (rows.texts("region")?, rows.times("step")?, rows.doubles("kwh")?);
        for ((region, at), kwh) in regions.into_iter().zip(at).zip(kwh) {
            let all = by_region.entry(region.unwrap_or_default()).or_insert_with(zeros);
            let place = at.and_then(|at| usize::try_from((at - from).div_euclid(step_ms)).ok());
            if let Some(sum) = place.and_then(|place| all.get_mut(place)) {
                *sum += kwh.unwrap_or(0.0);
            }
        }
    }
    let mut regions: Vec<Region> = by_region
        .into_iter()
        .map(|(name, kwh)| Region { name, others: None, sum_kwh: kwh.iter().sum(), kwh })
        .collect();
    // By their energy, and those of the same by their names: the order does not jump without a reason.
    regions.sort_by(|a, b| b.sum_kwh.total_cmp(&a.sum_kwh).then_with(|| a.name.cmp(&b.name)));
    let mut total_kwh = zeros();
    regions.iter().for_each(|region| add(&mut total_kwh, &region.kwh));
    if regions.len() > REGIONS + 1 {
        let rest = regions.split_off(REGIONS);
        let mut kwh = zeros();
        rest.iter().for_each(|region| add(&mut kwh, &region.kwh));
        regions.push(Region { name: String::new(), others: Some(rest.len()), sum_kwh: kwh.iter().sum(), kwh });
    }
    let span = if span == Span::Hour { "hour" } else { "day" };
    Ok(Consumption { span, step_ms, times_ms, regions, total_kwh })
}

fn add(to: &mut [f64], what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(sum, value)| *sum += value);
}
