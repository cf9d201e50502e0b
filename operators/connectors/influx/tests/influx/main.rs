//! The crate's tests without a server. Those against servers are the workspace's.

mod answers;
mod lines;
