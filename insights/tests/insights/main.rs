//! Every insight's SQL against plain counts over small data, and what becomes of the answers.

mod anomalies;
mod completeness;
mod consumption;
mod edges;
mod lateness;
mod load_curves;
mod outages;
mod pages;
mod pictures;
mod report;
mod support;
mod tariffs;
mod topologies;
