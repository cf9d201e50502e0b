//! The panels: each is a question, one statement of SQL (or one look at the job), and an answer that becomes JSON.
//!
//! Times are milliseconds since the epoch (`…_ms`), energy is kWh, power kW, voltage volts. A list has at most
//! [`ViewOptions::list_rows`](crate::ViewOptions::list_rows) rows, and says how many there are.

pub mod consumption;
pub mod fleet;
pub mod lateness;
pub mod meter;
pub mod meters;
pub mod pipeline;
pub mod silent;
pub mod voltage;
