//! How many shards a stream needs, and how it gets them.
//!
//! - [`plan`](plan()): from the shards there are to the shards that are wanted, as legal steps; pure.
//! - [`Scaler`] carries a plan out on a real stream.
//! - [`Autoscaler`] decides from the measured load of every shard; pure, on a clock that is given.
//! - [`simulate`](simulate()) shows how a fixed stream, the autoscaler and an on-demand stream take the same load.
//!
//! ```
//! use hurtig_kinesis::scaling::{covers_everything, even_ranges, plan};
//!
//! let mut shards = even_ranges(10);
//! let steps = plan(&shards, 40)?;
//! assert_eq!(steps.len(), 30);
//! for step in steps {
//!     step.apply(&mut shards)?;
//!     assert!(covers_everything(&shards));
//! }
//! assert_eq!(shards, even_ranges(40));
//! # Ok::<(), hurtig_kinesis::scaling::ScalingError>(())
//! ```

mod autoscaler;
mod error;
mod hash_range;
mod load;
mod load_curve;
mod on_demand;
mod picture;
mod plan;
mod sampled_load;
mod scaler;
mod simulate;
mod streams;

pub use autoscaler::{Autoscaler, Decision, Policy};
pub use error::ScalingError;
pub use hash_range::{HashRange, covers_everything, even_ranges};
pub use load::{LoadMeter, LoadSource, MeteredLoad, ShardLimits, ShardLoad};
pub use load_curve::LoadCurve;
pub use on_demand::OnDemand;
pub use picture::draw;
pub use plan::{Step, plan, update_counts};
pub use sampled_load::SampledLoad;
pub use scaler::{Progress, Scaler, StreamState};
pub use simulate::{PolicyRun, Sample, Setup, Simulation, simulate};
pub use streams::Streams;
