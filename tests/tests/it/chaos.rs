//! The short form of `make soak`: every failpoint, and as many kills at random moments.

use hurtig_tests::chaos::{
    campaign::{all_failpoints_hit, run},
    settings::Settings,
};

#[test]
fn what_was_written_is_what_an_undisturbed_run_writes() {
    let seed = std::env::var("HURTIG_CHAOS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_123);
    let settings = Settings {
        rounds: 20,
        seed,
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
    assert!(all_failpoints_hit(&figures), "seed {seed}: not every failpoint was come by: {figures}");
}
