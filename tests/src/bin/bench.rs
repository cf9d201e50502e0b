//! `bench JOB --input DIR --parallelism P`: one job of the comparison with Flink, measured.

use std::process::ExitCode;

use clap::Parser;
use hurtig_tests::bench::{run::run, settings::Settings};

/// What the binary `hurtig` allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
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
