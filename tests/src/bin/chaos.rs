//! `chaos --rounds N`: kills the running job, and compares what it wrote.

use std::process::ExitCode;

use clap::Parser;
use hurtig_tests::chaos::{campaign::run, settings::Settings};

fn main() -> ExitCode {
    let settings = Settings::parse();
    match settings.campaign {
        Some(campaign) => println!("seed {}, campaign {campaign}", settings.seed),
        None => println!("seed {}, {} kills", settings.seed, settings.rounds),
    }
    match run(&settings, |line| println!("{line}")) {
        Ok(figures) => println!("{figures}\nseed {}", settings.seed),
        Err(e) => {
            eprintln!("error: {e:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
