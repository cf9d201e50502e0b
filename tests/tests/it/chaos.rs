//! The short form of `make soak`: every failpoint, and twenty kills at random moments at least.

use hurtig_tests::chaos::{campaign::run, settings::Settings};

#[test]
fn what_was_written_is_what_an_undisturbed_run_writes() {
    let seed = std::env::var("HURTIG_CHAOS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_123);
    let settings = Settings {
        rounds: 40,
        seed,
        campaign: None,
        readings: 120_000,
        meters: 20_000,
        rate: 30_000,
        interval_ms: 200,
        late_share: 0.01,
        dir: None,
    };
    println!("seed {seed}");
    let figures = run(&settings, |line| println!("{line}")).unwrap_or_else(|e| panic!("seed {seed}: {e:#}"));
    println!("{figures}");
    assert!(figures.random >= 20, "seed {seed}: {figures}");
    assert!(figures.all_failpoints_hit(), "seed {seed}: not every failpoint was come by: {figures}");
}
