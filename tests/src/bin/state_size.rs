//! `state_size`: 20 million keys under 64 MiB of memory for state, measured.

use std::process::ExitCode;

use clap::Parser;
use hurtig_tests::state_size::run::{Settings, run};

/// What the binary `hurtig` allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let settings = Settings::parse();
    match run(&settings) {
        Ok(report) if settings.json => println!("{}", report.json()),
        Ok(report) => print!("{report}"),
        Err(e) => {
            eprintln!("error: {e:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
