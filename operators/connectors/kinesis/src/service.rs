//! What source, sink and scaling share of the service: what its errors mean, how a stream is named,
//! which shards it has.

mod failure;
mod listing;
mod shard;
mod stream_name;

pub use failure::Failure;
pub use shard::Shard;

pub(crate) use listing::list_shards;
pub(crate) use stream_name::{is_stream, name_or_arn};
