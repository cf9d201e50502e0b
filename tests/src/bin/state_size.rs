//! `state_size`: 20 million keys under 64 MiB of memory for state, measured.

use std::process::ExitCode;

use clap::Parser;
use hurtig_tests::state_size::run::{Settings, run};

/// What the binary `hurtig` allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let settings = Settings::parse();
    let report = match run(&settings) {
        Ok(report) => report,
        Err(e) => {
            eprintln!("error: {e:#}");
            return ExitCode::FAILURE;
        }
    };
    if settings.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    for failure in &report.failures {
        eprintln!("error: {failure}");
    }
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
