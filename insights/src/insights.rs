//! The insights, a file each.

pub mod anomalies;
mod bins;
pub mod completeness;
pub mod consumption;
pub mod lateness;
pub mod load_curves;
pub mod outages;
