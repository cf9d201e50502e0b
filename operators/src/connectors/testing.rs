//! Drives a source or a sink without an engine: for the tests of connectors.
//!
//! ```
//! use hurtig_engine::source::SourceReader;
//! use hurtig_operators::connectors::{files::FileSource, testing::SourceHarness};
//!
//! let dir = std::env::temp_dir().join(format!("hurtig-doc-{}", std::process::id()));
//! std::fs::create_dir_all(&dir)?;
//! std::fs::write(dir.join("a.json"), "1\n2\nthree\n")?;
//! let source = FileSource::new(dir.to_str().unwrap_or_default()).json_lines::<i64>();
//!
//! let mut harness = SourceHarness::with_splits(&source, source.splits()?)?;
//! let read = harness.run()?;
//! assert_eq!(read.values(), [1, 2]);
//! assert_eq!(read.letters[0].raw, b"three");
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod sink_harness;
mod source_harness;

pub use sink_harness::{Refused, SinkHarness, committer_context};
pub use source_harness::{Emitted, Letter, Output, SourceHarness, enumerator_context};

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// A small runtime.
fn runtime() -> Runtime {
    let built = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(4).enable_all().build();
    built.unwrap_or_else(|e| panic!("a test's runtime cannot be started: {e}"))
}

/// One for all source harnesses of a process: they leave nothing behind in it.
fn shared_runtime() -> Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(runtime).handle().clone()
}
