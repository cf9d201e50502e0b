//! What must come out of the comparison's own input.
//!
//! The figures came with the comparison: Flink found them on both of its back ends, and again after
//! it was killed. They hold for the ten million readings of a hundred thousand meters, read once.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result};

use crate::peer_gen::{SPLITS, reading, write_line};

/// Right answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// How many readings are there.
    pub readings: u64,
    /// Of how many meters.
    pub meters: u64,
    /// How many of them dedup must find to be repeats.
    pub repeats: u64,
    /// How many windows hold all of them.
    pub windows: u64,
    /// What [`Windows`](super::windows::Windows) must print of tumble's output.
    pub check: &'static str,
}

/// Those of the comparison.
pub const KNOWN: Answers = Answers {
    readings: 10_000_000,
    meters: 100_000,
    repeats: 195_757,
    windows: 1_700_161,
    check: "1700161 10000000 1700161 2b4c6a10981353a6dbf067a631ffdfb287ee63566612e5132b9604c96dab774f",
};

/// How many lines of each file are looked at.
const LOOKED_AT: u64 = 1_000;

/// Whether the files in `dir` with `readings` lines are the comparison's, as far as their length and
/// their first lines say.
pub fn are_the_comparisons(dir: &Path, readings: u64) -> Result<bool> {
    if readings != KNOWN.readings {
        return Ok(false);
    }
    for split in 0..SPLITS {
        let path = dir.join(format!("part-{split}.json"));
        if !path.exists() {
            return Ok(false);
        }
        let mut file = BufReader::new(File::open(&path).with_context(|| path.display().to_string())?);
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        for i in (split..).step_by(SPLITS as usize).take(LOOKED_AT as usize) {
            file.read_until(b'\n', &mut found)?;
            write_line(&mut expected, &reading(i, KNOWN.meters));
        }
        if found != expected {
            return Ok(false);
        }
    }
    Ok(true)
}
