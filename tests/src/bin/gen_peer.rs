//! Writes the peers' readings as files: `gen_peer DIR N M FILES [--rounds K]`.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Parser;
use hurtig_tests::peer_gen::{reading, write_line};

/// Writes the readings that Flink was measured on, byte for byte: reading i goes to file i mod FILES.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the files part-0.json, part-1.json … go
    dir: PathBuf,
    /// How many readings
    n: u64,
    /// Of how many meters
    m: u64,
    /// In how many files
    files: u64,
    /// So many times, each time with time moved on
    #[arg(long, default_value_t = 1)]
    rounds: u64,
}

fn main() -> Result<()> {
    let Arguments { dir, n, m, files, rounds } = Arguments::parse();
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    std::thread::scope(|scope| {
        let dir = &dir;
        let threads: Vec<_> = (0..files).map(|k| scope.spawn(move || write(dir, k, n, m, files, rounds))).collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| anyhow::bail!("a writer panicked")))
    })
}

fn write(dir: &Path, k: u64, n: u64, m: u64, files: u64, rounds: u64) -> Result<()> {
    let path = dir.join(format!("part-{k}.json"));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).with_context(|| path.display().to_string())?);
    let mut line = Vec::new();
    for round in 0..rounds {
        for i in (k..n).step_by(files as usize) {
            let mut r = reading(i, m);
            r.ts += (round * (n / 10)) as i64;
            line.clear();
            write_line(&mut line, &r);
            file.write_all(&line)?;
        }
    }
    Ok(file.flush()?)
}
