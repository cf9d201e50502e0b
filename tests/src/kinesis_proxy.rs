//! Kinesis as it behaves under load and on a bad day, in front of a local server that never refuses.
//!
//! A client talks to [`KinesisProxy::endpoint`]; what it asks goes on to the real server. In between
//! every shard has AWS's [`Limits`] (1 MiB/s and 1,000 records/s in, 5 reads/s and 2 MB/s out, so that
//! a read of 10 MiB is followed by up to 5 s without another), and what [`Faults`] says goes wrong:
//! single records of a PutRecords fail, iterators expire, connections are cut before or after the
//! server has done what was asked, answers come late. Which request is hit is drawn from a seed.
//! Faults may be changed while requests run; [`Counters`] say what was done.
//!
//! ```no_run
//! use hurtig_tests::{kinesis_proxy::{Faults, KinesisProxy}, servers::Kinesalite};
//!
//! let server = Kinesalite::start().expect("kinesalite");
//! let proxy = KinesisProxy::start(&server.endpoint(), 7, Faults::throttled()).expect("the proxy");
//! // … against proxy.endpoint() …
//! proxy.update(|faults| faults.cut_after = 0.01);
//! assert!(proxy.counters().throttled_records > 0);
//! ```

mod bucket;
mod counters;
mod faults;
mod forward;
mod put;
mod read;
mod server;
mod shards;

pub use counters::Counters;
pub use faults::{Faults, Limits};
pub use server::KinesisProxy;
