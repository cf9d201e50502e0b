//! Real servers, each a child that ends with its test.
//!
//! `scripts/servers.sh` has installed them. A guard starts one on a free port of 127.0.0.1 with its
//! data in a directory that goes with the guard, and waits until it answers; it can be stopped,
//! killed and started again on the same port with the same data. What a server has logged is part of
//! the error when it does not come up. What each is good for stands at its type.
//!
//! ```no_run
//! use hurtig_tests::servers::{Kinesalite, Server, left_out};
//!
//! if left_out(&[Server::Kinesis]) {
//!     return; // and said so; with CI set it panics
//! }
//! let mut kinesis = Kinesalite::start().expect("kinesalite");
//! // … against kinesis.endpoint() …
//! kinesis.kill9();
//! kinesis.start_again().expect("on the same port, with the same data");
//! ```

mod apicurio;
mod influx;
mod installed;
mod kafka;
mod kinesalite;
mod kinesis_local;
mod ministack;
mod ports;
mod process;
mod prometheus;
mod questdb;

pub use apicurio::Apicurio;
pub use influx::InfluxDb;
pub use installed::{Server, browser, javascript, left_out, python, readers};
pub use kafka::{Kafka, SecuredKafka};
pub use kinesalite::Kinesalite;
pub use kinesis_local::KinesisLocal;
pub use ministack::Ministack;
pub use prometheus::Prometheus;
pub use questdb::QuestDb;

/// The region that the tests' servers are in.
pub const REGION: &str = "us-east-1";
/// Access key and secret: a local server takes any.
pub const CREDENTIALS: &str = "local";

/// How an AWS client reaches a server of the tests.
pub fn aws_config(endpoint: &str) -> hurtig_aws::AwsConfig {
    hurtig_aws::AwsConfig::new().region(REGION).endpoint_url(endpoint).credentials(CREDENTIALS, CREDENTIALS)
}
