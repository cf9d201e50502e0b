//! How a job is written: [`Environment`], [`DataStream`], [`KeyedStream`].
//!
//! ```
//! use hurtig_operators::prelude::*;
//!
//! fn doubles(source: impl Source<Item = i64>) -> Environment {
//!     let env = Environment::new("doubles");
//!     env.from_source(source, WatermarkStrategy::no_watermarks(), "numbers")
//!         .map(|n| n * 2).name("double")
//!         .filter(|n| *n > 10)
//!         .print();
//!     env
//! }
//! ```
//!
//! A chain is one Rust type: `map` behind `filter` behind a source compiles to one loop. The
//! type is hidden behind the second parameter of [`DataStream`]; a stream that several readers
//! share ([`DataStream::shared`]) ends its chain and has the plain type `DataStream<T>`.

mod data_stream;
mod environment;
mod head;
mod keyed_stream;
mod union;

pub use data_stream::{DataStream, DataStreamSink, Transformed};
pub use environment::Environment;
pub use head::{EdgeHead, Fused, Head, SourceHead, Unchained};
pub use keyed_stream::{KeyedStream, KeyedTransformed};
