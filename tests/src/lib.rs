//! hurtig as a whole: benchmarks, chaos, and what whole-job tests share.
//!
//! - [`peer_gen`]: the readings that Flink was measured on, made in memory or written to files;
//!   [`repeating_files`] reads such files again and again, with time moving on.
//! - [`bench`]: the jobs of the comparison, and what is measured on them (`bin bench`).
//! - [`state_size`]: state many times its memory budget (`bin state_size`).
//! - [`chaos`]: kills the real binary again and again and compares what it wrote (`bin chaos`).
//! - [`gated`]: a source that goes on only as far as a test lets it.
//! - [`kinesis_proxy`]: throttles, partial failures and cuts, in front of a server of Kinesis.
//! - [`lake`]: the lake while its job is killed, its tables compacted and counted (`bin lake`).
//! - [`mix`]: numbers that look drawn, and are not.
//! - [`program`]: the binary `hurtig`, built and run as its users do.
//! - [`streams`]: the job on real streams, all of it disturbed (`bin streams`).
//! - [`scratch`]: directories whose contents may be thrown away.
//! - [`servers`]: real servers of Kinesis, Kafka and S3, started and killed.
//!
//! The whole-job tests themselves are one binary, `tests/it`.

pub mod all_at_once;
pub mod bench;
pub mod chaos;
pub mod gated;
pub mod kinesis_proxy;
pub mod lake;
pub mod mix;
pub mod peer_gen;
pub mod program;
pub mod repeating_files;
pub mod scratch;
pub mod servers;
pub mod state_size;
pub mod stop;
pub mod streams;
