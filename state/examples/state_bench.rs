//! What the state alone costs, without sources, parsing and exchange.
//!
//! `cargo run --release -p hurtig-state --example state_bench -- JOB [RECORDS] [BUDGET_MIB] [WORKERS] [heap|rocksdb] [SNAPSHOT_EVERY]`
//!
//! | job | what a record does |
//! |---|---|
//! | dedup | key (meter, ts), nearly all new, 2 % repeats: `value`, and if there is none `update`; TTL of 1 h |
//! | talk | 100,000 meters: `value` and `update` of an i64 |
//! | tumble | 100,000 meters, 1-minute panes of 600,000 records: `entry`; panes are fired and purged |
//! | random | 5 million keys at random: `get_or_insert_with` (more state than memory) |
//! | timers | a timer an hour ahead for each record; what is due is popped |

#![allow(clippy::disallowed_methods)] // a benchmark reads the clock

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use compact_str::{CompactString, format_compact};
use hurtig_state::*;

struct BatchClock(AtomicI64);

impl Clock for BatchClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Options {
    job: String,
    records: u64,
    budget: usize,
    workers: u16,
    kind: BackendKind,
    snapshot_every: u64,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: u64| args.get(i).and_then(|s| s.parse().ok()).unwrap_or(default);
    let options = Options {
        job: args.first().cloned().unwrap_or_else(|| "dedup".to_owned()),
        records: number(1, 10_000_000),
        budget: number(2, 64) as usize,
        workers: number(3, 2) as u16,
        kind: if args.get(4).is_some_and(|s| s == "heap") { BackendKind::Heap } else { BackendKind::RocksDb },
        snapshot_every: number(5, 0),
    };
    let root = std::env::temp_dir().join(format!("state-bench-{}", std::process::id()));
    std::fs::create_dir_all(&root).expect("a directory");
    let memory = MemoryBudget::new(options.budget << 20);
    let clock = Arc::new(BatchClock(AtomicI64::new(0)));
    let (cpu, start) = (cpu_seconds(), Instant::now());
    let results: Vec<(u64, BackendStats)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.workers)
            .map(|index| {
                let config = BackendConfig {
                    kind: options.kind,
                    uid: "bench".to_owned(),
                    dir: root.join(format!("worker-{index}")),
                    max_parallelism: 128,
                    key_groups: KeyGroupRange::of(128, 1, 0),
                    memory: Arc::clone(&memory),
                    clock: clock.clone(),
                    background_threads: options.workers.into(),
                };
                let options = options.clone();
                let clock = clock.clone();
                scope.spawn(move || work(&options, u64::from(index), config, &clock))
            })
            .collect();
        threads.into_iter().map(|t| t.join().expect("a worker").expect("no error")).collect()
    });
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let records = options.records as f64;
    println!(
        "{} {:?}: {:.0} records/s, {:.2} CPU s per million, {:.1} s, {} MiB budget, peak RSS {} MiB, found {}",
        options.job,
        options.kind,
        records / seconds,
        cpu / records * 1e6,
        seconds,
        options.budget,
        peak_rss() >> 20,
        results.iter().map(|(found, _)| found).sum::<u64>(),
    );
    println!("{:#?}", results[0].1);
    std::fs::remove_dir_all(&root).expect("removed");
    Ok(())
}

fn work(options: &Options, index: u64, config: BackendConfig, clock: &BatchClock) -> Result<(u64, BackendStats)> {
    let root = config.dir.clone();
    let workers = u64::from(options.workers);
    let mut random = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let meter = |i: u64| format_compact!("m-{:07}", i.wrapping_mul(7919) % 100_000);
    let mine = options.records / workers;
    let mut found = 0;
    let mut snapshots = 0;
    let mut snapshot_at = |i: u64, flush: &mut dyn FnMut(&std::path::Path) -> Result<()>| -> Result<()> {
        if options.snapshot_every > 0 && i % options.snapshot_every == options.snapshot_every - 1 {
            let start = Instant::now();
            let dir = root.join(format!("chk-{snapshots}"));
            flush(&dir)?;
            if snapshots > 0 {
                std::fs::remove_dir_all(root.join(format!("chk-{}", snapshots - 1))).expect("removed");
            }
            snapshots += 1;
            println!("worker {index}: snapshot {snapshots} took {} ms", start.elapsed().as_millis());
        }
        Ok(())
    };
    let stats = match options.job.as_str() {
        "dedup" => {
            let mut b = KeyedStateBackend::<(CompactString, i64)>::open(config, vec![])?;
            let seen = b.value_state(ValueStateDescriptor::<bool>::new("seen").ttl(StateTtlConfig::new(3_600_000)))?;
            for n in 0..mine {
                let i = n * workers + index;
                clock.0.store((i / 1000) as i64, Ordering::Relaxed);
                let i = if next() % 50 == 0 { i.saturating_sub(workers * (next() % 500)) } else { i };
                b.set_current_key((meter(i), 1_700_000_000_000 + (i / 10) as i64));
                if seen.value(&mut b)?.is_some() {
                    found += 1;
                } else {
                    seen.update(&mut b, true)?;
                }
                snapshot_at(n, &mut |dir| b.snapshot(dir).map(drop))?;
            }
            b.stats()
        }
        "talk" => {
            let mut b = KeyedStateBackend::<CompactString>::open(config, vec![])?;
            let last = b.value_state(ValueStateDescriptor::<i64>::new("last"))?;
            for n in 0..mine {
                let i = n * workers + index;
                b.set_current_key(meter(i));
                let ts = i as i64;
                let ts = last.value(&mut b)?.map_or(ts, |last| ts.max(last + 1));
                last.update(&mut b, ts)?;
                found += u64::from(ts != i as i64);
                snapshot_at(n, &mut |dir| b.snapshot(dir).map(drop))?;
            }
            b.stats()
        }
        "tumble" => {
            let mut b = KeyedStateBackend::<CompactString>::open(config, vec![])?;
            let sums = b.pane_state::<(i64, u64, f64)>("sums", 0)?;
            for n in 0..mine {
                let i = n * workers + index;
                let late = next() % 100 == 0;
                let ts = (i / 10) as i64 - if late { (next() % 30_000) as i64 } else { 0 };
                let key = meter(i);
                let sum = sums.entry(&mut b, ts.div_euclid(60_000) * 60_000, &key, || (0, 0, 0.0))?;
                sum.0 += ts;
                sum.1 += 1;
                sum.2 = sum.2.max(ts as f64);
                if i % 4096 < workers {
                    let watermark = (i / 10) as i64 - 30_000;
                    while let Some(window) = sums.first_window(&mut b)?.filter(|w| w + 60_000 <= watermark) {
                        let mut cursor = PaneCursor::default();
                        while !sums.fire(&mut b, window, &mut cursor, 4096, |_, sum| found += sum.1)? {}
                        sums.purge(&mut b, window)?;
                    }
                }
                snapshot_at(n, &mut |dir| b.snapshot(dir).map(drop))?;
            }
            b.stats()
        }
        "random" => {
            let mut b = KeyedStateBackend::<u64>::open(config, vec![])?;
            let counts = b.value_state(ValueStateDescriptor::<(u64, u64)>::new("counts"))?;
            for n in 0..mine {
                b.set_current_key(next() % (5_000_000 / workers));
                let count = counts.get_or_insert_with(&mut b, || (0, n))?;
                count.0 += 1;
                found += u64::from(count.0 > 1);
                snapshot_at(n, &mut |dir| b.snapshot(dir).map(drop))?;
            }
            b.stats()
        }
        "timers" => {
            let mut b = KeyedStateBackend::<(CompactString, i64)>::open(config, vec![])?;
            for n in 0..mine {
                let i = n * workers + index;
                let ts = (i / 10) as i64;
                b.set_current_key((meter(i), ts));
                b.register_event_time_timer(ts + 360_000)?;
                if n % 4096 == 0 {
                    while b.pop_event_time_timer(ts)?.is_some() {
                        found += 1;
                    }
                }
                snapshot_at(n, &mut |dir| b.snapshot(dir).map(drop))?;
            }
            b.stats()
        }
        other => panic!("unknown job {other}"),
    };
    Ok((found, stats))
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .map(|rest| rest.split_whitespace().skip(11).take(2).filter_map(|s| s.parse::<u64>().ok()).sum())
        .unwrap_or(0);
    ticks as f64 / 100.0
}

fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) << 10
}
