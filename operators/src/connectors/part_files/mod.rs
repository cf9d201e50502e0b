//! What every sink that writes files exactly once is made of.
//!
//! Records gather in memory by partition; chunks of them are appended to hidden `.pending`
//! files on the pool; at a barrier all files are closed and fsynced, and handed over as
//! committables; when the checkpoint is complete, the [`PartCommitter`] renames them. A format
//! ([`PartFormat`]) says how records become chunks and chunks become bytes:
//! [`json_files`](super::json_files) has JSON lines, `hurtig-firehose` lines as received,
//! `hurtig-lake` Parquet.
//!
//! Memory and open files are bounded whatever the number of partitions ([`PartOptions`]): when
//! memory is short, the partitions with the most records in it are written; a file of lines that
//! cannot stay open is parked, closed and opened again for its next chunk, so that a partition has
//! one file per checkpoint all the same.
//!
//! ```text
//! lake/year=2024/month=07/part-lake.5e1f0a-0-1.2-7.jsonl            committed
//! lake/year=2024/month=07/.part-lake.5e1f0a-0-1.2-8.jsonl.pending   invisible until its checkpoint is
//! ```
//!
//! Names carry the sink's uid, subtask and attempt and a number, so that nobody ever writes to
//! a file of somebody else, nor to one of an earlier attempt of his own.
//!
//! ```
//! use hurtig_operators::connectors::part_files::{EventTimePartition, PartOptions, PartitionBy};
//!
//! let by_month = PartitionBy::<(i64, f64)>::event_time_of(|r| r.0, EventTimePartition::Month);
//! let by_region = PartitionBy::<(String, f64)>::custom(|r| format!("region={}", r.0));
//! let options = PartOptions { max_open_files: 16, ..PartOptions::default() };
//! # let _ = (by_month, by_region, options);
//! ```

mod committer;
mod directories;
mod format;
mod line_file;
mod part;
mod partition;
mod pending;
mod rolling;
mod slots;
mod writer;

pub use committer::PartCommitter;
pub use format::{PartFormat, Refusal, Stored};
pub use line_file::LineFile;
pub use partition::{EventTimePartition, PartitionBy, check_path};
pub use pending::{FileToken, PendingFile};
pub use rolling::{PartOptions, RollingPolicy};
pub use writer::PartWriter;
