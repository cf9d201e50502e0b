//! `streams [CASE…] --readings N`: the job on real streams that are split, cut and restarted.

use std::process::ExitCode;

use clap::Parser;
use hurtig_tests::streams::{run, settings::Settings};

fn main() -> ExitCode {
    if let Err(e) = run(&Settings::parse(), |line| println!("{line}")) {
        eprintln!("error: {e:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
