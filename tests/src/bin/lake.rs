//! `lake --readings N --kills N`: kills the job while its lake is compacted and read, and looks whether the lake is right.

use std::process::ExitCode;

use clap::Parser;
use hurtig_tests::lake::{Settings, run};

fn main() -> ExitCode {
    let settings = Settings::parse();
    println!("seed {}, {} readings, {} kills", settings.seed, settings.readings, settings.kills);
    match run(&settings, |line| println!("{line}")) {
        Ok(figures) => println!("{figures}\nseed {}", settings.seed),
        Err(e) => {
            eprintln!("error: {e:#}\nseed {}", settings.seed);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
