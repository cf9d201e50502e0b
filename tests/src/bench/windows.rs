//! What `tumble` has committed, read back from its files and put into one line.
//!
//! This is `check.py` of the comparison with Flink, in Rust: a window is
//! `meter,start,count,max_voltage,watt-hours`, all of them sorted make one SHA-256. The energy is
//! rounded to whole watt-hours, so that the order of summing does not matter. Flink's output of the
//! comparison's ten million readings gives [`KNOWN`](super::answers::KNOWN), and so must ours.

use std::{
    fmt,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use compact_str::CompactString;
use ring::digest;
use serde::Deserialize;

/// All windows of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// How many.
    pub windows: u64,
    /// The readings in them.
    pub readings: u64,
    /// Pairs of a meter and a beginning; fewer than windows: some were written twice.
    pub distinct: u64,
    /// SHA-256 of the sorted lines, in hexadecimal.
    pub sha256: String,
}

/// What a window says of itself, as far as it is compared.
#[derive(Debug, Clone, Deserialize)]
pub struct Window {
    /// The meter.
    pub meter_id: CompactString,
    /// The first millisecond.
    pub window_start: i64,
    /// How many readings.
    pub count: u64,
    /// The highest voltage.
    pub max_voltage: f64,
    /// The energy.
    pub sum_kwh: f64,
}

impl Window {
    fn line(&self) -> String {
        let watt_hours = (self.sum_kwh * 1000.0).round_ties_even() as i64;
        // `{:?}` writes 230.0 as Python does, with its point.
        format!("{},{},{},{:?},{watt_hours}", self.meter_id, self.window_start, self.count, self.max_voltage)
    }
}

impl Windows {
    /// The windows in all visible files below `dir`.
    pub fn below(dir: &Path) -> Result<Self> {
        let mut windows = Vec::new();
        for path in visible(dir)? {
            read(&path, &mut windows).with_context(|| path.display().to_string())?;
        }
        Ok(Windows::of(windows))
    }

    /// These windows, in any order.
    pub fn of(windows: impl IntoIterator<Item = Window>) -> Self {
        let mut readings = 0;
        let lines = windows.into_iter().inspect(|w| readings += w.count).map(|w| w.line());
        let mut lines: Vec<_> = lines.collect();
        lines.sort_unstable();
        let mut hash = digest::Context::new(&digest::SHA256);
        let (mut distinct, mut last) = (0, "");
        for line in &lines {
            hash.update(line.as_bytes());
            hash.update(b"\n");
            let meter_and_start = line.rsplitn(4, ',').last().unwrap_or_default();
            distinct += u64::from(meter_and_start != last);
            last = meter_and_start;
        }
        if lines.is_empty() {
            hash.update(b"\n");
        }
        let sha256 = hash.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
        Windows { windows: lines.len() as u64, readings, distinct, sha256 }
    }
}

/// The line of `check.py`.
impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.windows, self.readings, self.distinct, self.sha256)
    }
}

fn read(path: &Path, windows: &mut Vec<Window>) -> Result<()> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        windows.push(serde_json::from_slice(&line)?);
        line.clear();
    }
    Ok(())
}

/// Files that are committed: the others' names begin with a dot.
fn visible(dir: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if !path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = "\
        {\"meter_id\":\"m-2\",\"window_start\":60000,\"window_end\":120000,\"sum_kwh\":1.2345,\"count\":3,\"max_voltage\":230.0,\"avg_kwh\":0.4115}\n\
        {\"meter_id\":\"m-1\",\"window_start\":0,\"window_end\":60000,\"sum_kwh\":0.30000000000000004,\"count\":2,\"max_voltage\":229.8,\"avg_kwh\":0.15}\n";

    /// What `check.py` has printed for these two lines.
    const CHECKED: &str = "2 5 2 3a160c857de0b5953dd4fb0975d27bad15881e407d9cd76fbea37d2c448a786f";

    #[test]
    fn what_check_py_prints() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("below")).expect("a directory");
        fs::write(dir.path().join("below/part-0.jsonl"), COMMITTED).expect("a file");
        fs::write(dir.path().join(".part-1.jsonl.pending"), COMMITTED).expect("a file");
        assert_eq!(Windows::below(dir.path()).expect("windows").to_string(), CHECKED);
        fs::write(dir.path().join("part-2.jsonl"), COMMITTED).expect("a file");
        let twice = Windows::below(dir.path()).expect("windows");
        assert_eq!((twice.windows, twice.readings, twice.distinct), (4, 10, 2));
    }
}
