//! Live traffic first: the pacer on a simulated stream, and a paced sink on a clock of its own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use hurtig_engine::{
    Record, Result,
    sink::{Sink, SinkContext, SinkWriter, WriterContext},
    time::Clock,
};
use hurtig_ingest::{Observation, Paced, Pacer, PacerOptions, Pacing, Rate};
use hurtig_operators::connectors::testing::SinkHarness;

const STEP_MS: i64 = 50;
/// One message of the simulation, in bytes.
const MESSAGE: f64 = 1_000.0;

/// What came of a simulation.
#[derive(Debug, Default)]
struct Outcome {
    live: f64,
    live_throttled: f64,
    ingested: f64,
    throttled_steps: usize,
    steps: usize,
    longest_lag_ms: f64,
}

/// A stream of four shards that takes 4 MB/s, refuses what is more from everybody alike, and whose
/// live writers come again with what was refused; live readers fall behind by what waits.
fn simulate(seconds: i64, live_at: impl Fn(f64) -> f64, tell: impl Fn(f64, f64, f64) -> Observation) -> Outcome {
    let capacity = Rate::shards(4);
    let mut pacer = Pacer::new(PacerOptions { capacity, ..PacerOptions::default() });
    let mut outcome = Outcome::default();
    let (mut waiting, mut refused) = (0.0, 0.0);
    for now in (0..seconds * 1_000).step_by(STEP_MS as usize) {
        let live_rate = live_at(now as f64 / 1_000.0);
        let step = STEP_MS as f64 / 1_000.0;
        outcome.live += live_rate * step;
        let live = live_rate * step + waiting;
        let mut ours = 0.0;
        pacer.observe(now, &tell(refused, live_rate, waiting / live_rate.max(1.0) * 1_000.0));
        while pacer.is_ready(now) {
            pacer.take(MESSAGE as usize);
            ours += MESSAGE;
        }
        let room = capacity.bytes * step;
        let taken = (room / (live + ours)).min(1.0);
        waiting = live * (1.0 - taken);
        refused = ours * (1.0 - taken) / MESSAGE;
        outcome.live_throttled += waiting;
        outcome.ingested += ours * taken;
        outcome.longest_lag_ms = outcome.longest_lag_ms.max(waiting / live_rate.max(1.0) * 1_000.0);
        outcome.throttled_steps += usize::from(taken < 1.0);
        outcome.steps += 1;
    }
    outcome
}

/// The talk's morning: 1 MB/s, up to 3.6 MB/s at its peak, within ten minutes.
fn morning(at: f64) -> f64 {
    let hill = (std::f64::consts::PI * at / 600.0).sin().max(0.0);
    1_000_000.0 + 2_600_000.0 * hill
}

#[test]
fn seeing_nothing_but_its_own_throttled_records_it_hardly_ever_stands_in_the_way() {
    let o = simulate(600, morning, |refused, _, _| Observation {
        throttled: refused.ceil() as u64,
        ..Observation::default()
    });
    assert!(o.live_throttled < 0.01 * o.live, "live records were refused: {o:?}");
    assert!(o.longest_lag_ms < 100.0, "{o:?}");
    // What live traffic left was 4 MB/s less a mean of 2.66: a good part of it was used.
    let left = 4_000_000.0 * 600.0 - o.live;
    assert!(o.ingested > 0.5 * left, "{o:?} of {left}");
}

#[test]
fn knowing_the_live_load_it_is_never_in_the_way_while_there_is_room() {
    let o = simulate(
        600,
        |at| morning(at).min(2_700_000.0),
        |refused, live, _| Observation {
            throttled: refused.ceil() as u64,
            live: Some(Rate { bytes: live, records: live / MESSAGE }),
            ..Observation::default()
        },
    );
    assert_eq!(o.throttled_steps, 0, "{o:?}");
    assert!(o.ingested > 100_000_000.0, "{o:?}");
}

#[test]
fn it_gives_way_when_live_readers_fall_behind_and_comes_back() {
    let mut pacer = Pacer::new(PacerOptions { capacity: Rate::shards(10), ..PacerOptions::default() });
    let at_lag = |pacer: &mut Pacer, from: i64, lag: i64| {
        for i in 0..100 {
            pacer.observe(from + i * 200, &Observation { live_lag_ms: Some(lag), ..Observation::default() });
        }
        pacer.rate().bytes
    };
    assert_eq!(at_lag(&mut pacer, 0, 100), 7_000_000.0, "seventy in a hundred of ten shards");
    assert_eq!(at_lag(&mut pacer, 20_000, 60_000), 100_000.0, "it never stops altogether");
    assert_eq!(pacer.figures().live_lag_ms, Some(60_000));
    assert!(at_lag(&mut pacer, 40_000, 100) > 6_900_000.0);
    // Resharded: the same part of more.
    pacer.observe(60_000, &Observation { capacity: Some(Rate::shards(40)), ..Observation::default() });
    assert!(pacer.rate().bytes > 27_000_000.0);
}

#[test]
fn records_count_as_well_as_bytes_and_nothing_is_saved_up_for_long() {
    let mut pacer = Pacer::new(PacerOptions { share: 1.0, ..PacerOptions::default() });
    for i in 0..100 {
        pacer.observe(i * 200, &Observation::default());
    }
    let mut taken = 0;
    for now in 60_000..61_000 {
        while pacer.is_ready(now) {
            pacer.take(10);
            taken += 1;
        }
    }
    assert!((1_000..=1_202).contains(&taken), "{taken} records of ten bytes in a second, one shard");
    assert!((1..=2).contains(&pacer.wait_ms()));
}

/// Counts what it is given.
struct Counting(Arc<AtomicU64>);

impl Sink<Vec<u8>> for Counting {
    type Writer = Counting;

    fn writer(&self, _ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Counting> {
        Ok(Counting(self.0.clone()))
    }
}

impl SinkWriter<Vec<u8>> for Counting {
    fn write(&mut self, record: Record<Vec<u8>>, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.0.fetch_add(record.value.len() as u64, Relaxed);
        ctx.written(1);
        Ok(())
    }
}

#[test]
fn a_paced_sink_pushes_back_until_its_time_has_come() {
    let written = Arc::new(AtomicU64::new(0));
    let pacing =
        Pacing::new(Pacer::new(PacerOptions { increase: 0.0, ..PacerOptions::default() }), |_| Observation::default());
    let sink = Paced::new(Counting(written.clone()), pacing.clone(), Vec::len);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    let mut refused = 0;
    for _ in 0..50 {
        let now = harness.clock.now_ms();
        let mut ctx = SinkContext::new(&mut harness.books, &mut harness.letters, i64::MIN, now);
        while harness.writer.ready(&mut ctx).expect("it answers") {
            let record = Record::new(vec![0; 1_000]);
            harness.writer.write(record, &mut ctx).expect("taken");
        }
        refused += 1;
        harness.clock.advance(100);
    }
    // A fifth of seventy in a hundred of one shard, for five seconds.
    let bytes = written.load(Relaxed);
    assert!((690_000..=740_000).contains(&bytes), "{bytes}");
    assert_eq!(refused, 50);
    assert_eq!(pacing.figures().bytes_per_second as u64, 140_000);
}
