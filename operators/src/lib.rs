//! What a job is built from.
//!
//! [`stream`] is where to begin: `Environment`, `DataStream`, `KeyedStream`. One operator a file,
//! each with its own `impl DataStream` ([`map`], [`filter`], [`flat_map`], [`process`],
//! [`keyed_process`], [`reduce`], [`window`]); light sources and sinks are in [`connectors`],
//! heavy ones are packages of their own. An operator that is not here is added from outside by
//! [`DataStream::transform`](stream::DataStream::transform).

mod announced;
pub mod collector;
pub mod connectors;
pub mod filter;
pub mod flat_map;
pub mod keyed_process;
pub mod map;
pub mod prelude;
pub mod process;
pub mod reduce;
pub mod schema;
pub mod sink_operator;
pub mod stream;
#[cfg(test)]
mod subtasks;
pub mod window;

pub use hurtig_engine as engine;
pub use hurtig_state as state;
