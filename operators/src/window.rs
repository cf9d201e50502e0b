//! Event-time windows on keyed streams.
//!
//! ```no_run
//! use hurtig_operators::prelude::*;
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)] struct Reading { meter: u32, kwh: i64 }
//! # #[derive(Clone)] struct Sum;
//! # impl AggregateFunction for Sum {
//! #   type In = Reading; type Acc = i64; type Out = i64;
//! #   fn create_accumulator(&self) -> i64 { 0 }
//! #   fn add(&self, acc: &mut i64, r: Reading) { *acc += r.kwh }
//! #   fn get_result(&self, acc: &i64) -> i64 { *acc }
//! #   fn merge(&self, acc: &mut i64, other: i64) { *acc += other }
//! # }
//! # fn f(readings: DataStream<Reading>) {
//! readings
//!     .key_by(|r: &Reading| r.meter)
//!     .window(TumblingEventTimeWindows::of(mins(1)))
//!     .allowed_lateness(mins(5))
//!     .aggregate(Sum, |meter: &u32, window: TimeWindow, sum: i64| (*meter, window.start, sum))
//! # .sink_to(DiscardingSink);
//! # }
//! ```

mod assigner;
mod operator;
mod stream;
#[cfg(test)]
mod tests;

pub use assigner::{TimeWindow, TumblingEventTimeWindows};
pub use operator::{WindowAggregate, WindowOperator};
pub use stream::WindowedStream;
