//! Where the job keeps what it writes.

use std::path::{Path, PathBuf};

use super::Options;

/// The directories of one job.
///
/// ```
/// use hurtig::smart_meters::Layout;
///
/// let layout = Layout::new("data".as_ref());
/// assert!(layout.readings.ends_with("lake/typed/readings"));
/// assert!(layout.store.ends_with("data/store"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The messages as they were read, JSON lines.
    pub raw: PathBuf,
    /// The table `readings`, Parquet.
    pub readings: PathBuf,
    /// The table `aggregates_1m`, Parquet.
    pub aggregates_1m: PathBuf,
    /// The table `aggregates_1h`, Parquet.
    pub aggregates_1h: PathBuf,
    /// The embedded time-series store.
    pub store: PathBuf,
    /// The table `dead_letters`, JSON lines.
    pub dead_letters: PathBuf,
    /// Readings outside of the time-series store's window, JSON lines.
    pub outside_window: PathBuf,
}

impl Layout {
    /// With everything below `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        Layout::of(&Options::default(), data_dir)
    }

    /// With everything below `data_dir` but for what `options` put elsewhere.
    pub fn of(options: &Options, data_dir: &Path) -> Self {
        let lake = options.lake.clone().unwrap_or_else(|| data_dir.join("lake"));
        let typed = lake.join("typed");
        Layout {
            raw: lake.join("raw"),
            readings: typed.join("readings"),
            aggregates_1m: typed.join("aggregates_1m"),
            aggregates_1h: typed.join("aggregates_1h"),
            store: data_dir.join("store"),
            dead_letters: options.dead_letters.clone().unwrap_or_else(|| data_dir.join("dead-letters")),
            outside_window: data_dir.join("outside-window"),
        }
    }
}
