//! Plans, decisions and the simulation: all of it is pure.

use hurtig_kinesis::scaling::{
    Autoscaler, Decision, HashRange, LoadCurve, OnDemand, Policy, Setup, ShardLoad, Step, covers_everything, draw,
    even_ranges, plan, simulate, update_counts,
};
use proptest::prelude::*;

#[test]
fn even_ranges_cover_everything_and_are_even() {
    for n in [1, 2, 3, 4, 5, 7, 10, 40, 64, 999, 10_000] {
        let ranges = even_ranges(n);
        assert_eq!(ranges.len(), n);
        assert!(covers_everything(&ranges), "{n}");
        let widths: Vec<u128> = ranges.iter().map(|r| r.end - r.start).collect();
        let (least, most) = (widths.iter().min().unwrap(), widths.iter().max().unwrap());
        assert!(most - least <= 1, "{n}: {least}..{most}");
    }
    // As Kinesis prints them.
    assert_eq!(even_ranges(2)[1].start.to_string(), "170141183460469231731687303715884105728");
    assert_eq!(even_ranges(3)[1].start.to_string(), "113427455640312821154458202477256070485");
    assert_eq!(even_ranges(1), [HashRange::ALL]);
}

#[test]
fn gaps_and_overlaps_are_seen() {
    let mut gap = even_ranges(4);
    gap.remove(1);
    assert!(!covers_everything(&gap) && plan(&gap, 4).is_err());
    let mut twice = even_ranges(4);
    twice.push(twice[0]);
    assert!(!covers_everything(&twice));
    assert!(!covers_everything(&[]));
    assert!(plan(&even_ranges(4), 0).is_err());
}

#[test]
fn from_10_to_40_is_thirty_splits_and_back_thirty_merges() {
    let splits = plan(&even_ranges(10), 40).unwrap();
    assert!(splits.len() == 30 && splits.iter().all(|s| matches!(s, Step::Split { .. })), "{splits:?}");
    let merges = plan(&even_ranges(40), 10).unwrap();
    assert!(merges.len() == 30 && merges.iter().all(|s| matches!(s, Step::Merge { .. })));
    assert!(plan(&even_ranges(7), 7).unwrap().is_empty());
    assert_eq!(update_counts(10, 40), [20, 40]);
    assert_eq!(update_counts(10, 45), [20, 40, 45]);
    assert_eq!(update_counts(45, 10), [23, 12, 10]);
    assert_eq!(update_counts(3, 1), [2, 1]);
}

/// Shards as they are after any splits: boundaries anywhere.
fn shards() -> impl Strategy<Value = Vec<HashRange>> {
    let anywhere =
        prop_oneof![any::<u128>(), (1..8_u128), (u128::MAX - 8..=u128::MAX), (1..64_u32).prop_map(|s| 1 << s)];
    prop::collection::btree_set(anywhere, 0..40).prop_map(|mut starts| {
        starts.insert(0);
        let starts: Vec<u128> = starts.into_iter().collect();
        let ends = starts.iter().skip(1).map(|s| s - 1).chain([u128::MAX]);
        starts.iter().zip(ends).map(|(start, end)| HashRange { start: *start, end }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_is_legal_at_every_step_and_ends_where_it_should(shards in shards(), count in 1_usize..80) {
        let most = shards.len() + count;
        let mut now = shards.clone();
        for step in plan(&shards, count).unwrap() {
            step.apply(&mut now).unwrap();
            now.sort_unstable();
            prop_assert!(covers_everything(&now), "after {step}");
            prop_assert!(now.len() <= most, "{} shards on the way from {} to {count}", now.len(), shards.len());
        }
        prop_assert_eq!(now, even_ranges(count));
    }

    #[test]
    fn between_even_ranges_there_is_one_shard_more_at_most(from in 1_usize..120, count in 1_usize..120) {
        let mut now = even_ranges(from);
        for step in plan(&now, count).unwrap() {
            step.apply(&mut now).unwrap();
            prop_assert!(now.len() <= from.max(count) + 1);
        }
        prop_assert_eq!(now, even_ranges(count));
    }

    #[test]
    fn counts_never_more_than_double_or_halve(from in 1_usize..2000, to in 1_usize..2000) {
        let mut at = from;
        for next in update_counts(from, to) {
            prop_assert!(next <= at * 2 && next * 2 >= at && next != at);
            at = next;
        }
        prop_assert_eq!(at, to);
    }
}

const MB: f64 = 1e6;

/// A load that is the same for every hash key.
fn even_load(shards: usize, bytes: f64) -> Vec<ShardLoad> {
    let each = bytes / shards as f64;
    let load = |(i, range): (usize, HashRange)| ShardLoad {
        id: format!("{i}").into(),
        range,
        bytes_per_second: each,
        records_per_second: each / 1000.0,
        throttled_per_second: 0.0,
    };
    even_ranges(shards).into_iter().enumerate().map(load).collect()
}

#[test]
fn up_at_once_down_after_the_cool_down() {
    let mut scaler = Autoscaler::new(Policy { cool_down_ms: 600_000, settle_ms: 30_000, ..Policy::default() }).unwrap();
    assert_eq!(scaler.decide(0, &even_load(10, 5.0 * MB)), Decision::Hold);
    assert_eq!(scaler.decide(10_000, &even_load(10, 7.1 * MB)), Decision::ScaleTo(11));
    // The last change is still settling.
    assert_eq!(scaler.decide(20_000, &even_load(11, 18.0 * MB)), Decision::Hold);
    assert_eq!(scaler.decide(40_000, &even_load(11, 18.0 * MB)), Decision::ScaleTo(26));
    // Less load, and for long: the most of the last ten minutes counts.
    let mut now = 50_000;
    while now < 640_000 {
        assert_eq!(scaler.decide(now, &even_load(26, 2.0 * MB)), Decision::Hold, "at {now}");
        now += 10_000;
    }
    assert_eq!(scaler.decide(640_000, &even_load(26, 2.0 * MB)), Decision::ScaleTo(13), "by half at most");
    assert_eq!(scaler.decide(700_000, &even_load(13, 2.0 * MB)), Decision::Hold, "a cool-down between two");
}

#[test]
fn records_and_throttles_count_and_bounds_hold() {
    let policy = Policy { min: 4, max: 20, ..Policy::default() };
    let mut small = even_load(4, 0.4 * MB);
    small.iter_mut().for_each(|s| s.records_per_second = 1000.0);
    let mut scaler = Autoscaler::new(policy).unwrap();
    assert_eq!(scaler.needed(&small), 6, "4,000 small records a second at 70 %");
    small.iter_mut().for_each(|s| s.throttled_per_second = 1000.0);
    assert_eq!(scaler.decide(0, &small), Decision::ScaleTo(12), "as much again was refused");
    assert_eq!(Autoscaler::new(policy).unwrap().decide(0, &even_load(4, 1e9)), Decision::ScaleTo(20));
    assert_eq!(Autoscaler::new(policy).unwrap().decide(0, &even_load(2, 0.0)), Decision::ScaleTo(4));
    assert_eq!(Autoscaler::new(policy).unwrap().decide(0, &even_load(30, 0.0)), Decision::ScaleTo(20));
    assert_eq!(Autoscaler::new(policy).unwrap().decide(0, &[]), Decision::Hold);
    for bad in [
        Policy { target: 0.0, ..policy },
        Policy { target: 1.1, ..policy },
        Policy { min: 21, ..policy },
        Policy { min: 0, ..policy },
    ] {
        assert!(Autoscaler::new(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn a_hot_shard_is_split_alone_until_it_is_one_key() {
    let mut scaler = Autoscaler::new(Policy::default()).unwrap();
    let mut load = even_load(4, 0.4 * MB);
    load[2].bytes_per_second = 0.95 * MB;
    let hot = load[2].range;
    let Decision::Split { shard, at } = scaler.decide(0, &load) else { panic!("a split") };
    assert_eq!((shard, Some(at)), (hot, hot.middle()));
    // Whatever is split, the lower half stays hot: it is one key.
    let mut now = 0;
    let mut splits = 1;
    loop {
        let (lower, upper) = load[2].range.split_at(load[2].range.middle().unwrap()).unwrap();
        let rest = ShardLoad { range: upper, bytes_per_second: 0.0, records_per_second: 0.0, ..load[2].clone() };
        load[2].range = lower;
        load.push(rest);
        now += 60_000;
        match scaler.decide(now, &load) {
            Decision::Split { .. } => splits += 1,
            Decision::OneKey { shard } => break assert_eq!(shard, load[2].range),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(splits, 3);
    // It keeps nobody from giving away what that key does not use, and is not split again afterwards.
    load[..2].iter_mut().for_each(|s| s.bytes_per_second = 0.0);
    load[3].bytes_per_second = 0.0;
    let shards = loop {
        now += 60_000;
        match scaler.decide(now, &load) {
            Decision::OneKey { .. } => assert!(now < 60 * 60_000, "it never scales down"),
            Decision::ScaleTo(n) => break n,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shards, 4, "by half of 7");
    let mut fewer = even_load(shards, 0.0);
    let hot = fewer.iter_mut().find(|s| s.range.overlaps(load[2].range)).unwrap();
    hot.bytes_per_second = 0.95 * MB;
    let range = hot.range;
    assert_eq!(scaler.decide(now + 60_000, &fewer), Decision::OneKey { shard: range });
}

#[test]
fn on_demand_as_it_is_documented() {
    assert_eq!(OnDemand::wanted(0.0), 4);
    assert_eq!(OnDemand::wanted(5.0 * MB), 10);
    assert_eq!(OnDemand::wanted(18.0 * MB), 36);
    let mut stream = OnDemand::new(1, 60_000);
    assert_eq!((stream.shards(), stream.assured()), (4, 4.0 * MB), "new");
    let minutes = |m: i64| m * 60_000;
    stream.observe(0, 3.0 * MB);
    stream.observe(minutes(14), 3.0 * MB);
    assert_eq!(stream.assured(), 4.0 * MB, "not old enough to count");
    stream.observe(minutes(15), 1.0 * MB);
    assert_eq!((stream.assured(), stream.peak()), (6.0 * MB, 3.0 * MB), "twice the peak");
    assert_eq!(stream.shards(), 8, "4 are too few for 2 times 3");
    stream.observe(minutes(16), 1.0 * MB);
    stream.observe(minutes(60 * 24 * 29), 1.0 * MB);
    assert_eq!(stream.assured(), 6.0 * MB, "for thirty days");
    stream.observe(minutes(60 * 24 * 31), 1.0 * MB);
    assert_eq!(stream.assured(), 4.0 * MB, "and no longer");
    assert_eq!(stream.shards(), 8);
}

#[test]
fn the_talks_curve() {
    let simulation = simulate(&Setup::talk()).unwrap();
    let [fixed, scaled, on_demand] = simulation.runs.as_slice() else { panic!("three runs") };
    let at = |run: &hurtig_kinesis::scaling::PolicyRun, h: i64, m: i64| {
        let time = (h * 60 + m) * 60_000;
        *run.samples.iter().find(|s| s.at == time).expect("a sample")
    };
    // 10 shards at 21:23, 40 by 21:30 with 18 MB/s.
    assert_eq!((at(on_demand, 21, 23).shards, at(on_demand, 21, 30).shards), (10, 40));
    assert_eq!(at(on_demand, 21, 30).load, 18.0 * MB);
    assert_eq!(on_demand.throttled(), 0.0, "the shards grew in time");
    assert!(on_demand.at_risk() > 0.0, "though 18 is more than twice 5 within 15 minutes");
    assert_eq!(at(on_demand, 21, 45).at_risk, 0.0, "after 15 minutes the promise has caught up");

    // Ten shards take 10 MB/s; from 21:25:42 on 8 MB/s more wait.
    assert_eq!(fixed.shards(), (10, 10, 10));
    let expected = {
        let curve = LoadCurve::talk();
        let (from, to) = curve.span();
        (from..=to).step_by(1000).map(|t| (curve.at(t) - 10.0 * MB).max(0.0)).sum::<f64>()
    };
    assert!((fixed.worst_backlog() / expected - 1.0).abs() < 1e-9, "{} {expected}", fixed.worst_backlog());
    assert!((fixed.throttled() / expected - 1.0).abs() < 1e-9);
    assert_eq!(at(on_demand, 21, 0).at_risk, 0.0, "it is not new");

    // 18 / 0.7 = 26 shards, in time.
    assert_eq!(scaled.shards(), (10, 26, 26));
    assert_eq!(scaled.throttled(), 0.0);
    assert!(scaled.shard_hours() < on_demand.shard_hours());
    for run in &simulation.runs {
        // Nothing is lost: what was produced was taken or waits.
        let produced: f64 = run.samples.iter().map(|s| s.load).sum();
        let taken: f64 = run.samples.iter().map(|s| s.taken).sum();
        let waits = run.samples.last().map_or(0.0, |s| s.backlog);
        assert!(((taken + waits) / produced - 1.0).abs() < 1e-9, "{}: {produced} {taken} {waits}", run.name);
        assert!(run.samples.iter().all(|s| s.taken <= s.capacity + 1.0));
    }
}

#[test]
fn a_hot_key_throttles_whatever_the_stream_takes() {
    let mut setup = Setup::talk();
    setup.hot_keys = vec![(1 << 126, 0.1)];
    let simulation = simulate(&setup).unwrap();
    for run in &simulation.runs {
        assert!(run.throttled() > 0.0, "{}: 1.8 MB/s of one key on one shard", run.name);
    }
    // Without the hot key the stream as a whole has room for it.
    let on_demand = &simulation.runs[2];
    assert!(on_demand.samples.iter().all(|s| s.load < s.capacity));
    setup.hot_keys = vec![(1, 0.6), (2, 0.6)];
    assert!(simulate(&setup).is_err());
}

#[test]
fn a_load_from_a_file() {
    let curve = LoadCurve::from_csv("time,MB/s\n21:00,1\n\n21:10,3\n21:10:30,3\n", 500.0).unwrap();
    assert_eq!(curve.at(curve.span().0 + 300_000), 2.0 * MB);
    assert_eq!(LoadCurve::from_csv("0,1\n60,2", 1000.0).unwrap().span(), (0, 60_000));
    for (bad, what) in [
        ("21:00,1\n21:05;2\n", "line 2"),
        ("21:00,1\n21:05,many\n", "line 2"),
        ("21:00,1\n", "two points"),
        ("21:05,1\n21:00,1\n", "ascending"),
        ("21:00,-1\n21:05,1\n", "from 0 up"),
        ("", "two points"),
    ] {
        let e = LoadCurve::from_csv(bad, 1000.0).unwrap_err().to_string();
        assert!(e.contains(what) && !e.contains('\n'), "{bad:?}: {e}");
    }
}

#[test]
fn the_picture_says_what_it_shows() {
    let simulation = simulate(&Setup::talk()).unwrap();
    let svg = draw(&simulation, "18 MB/s by 21:30").unwrap();
    for word in
        ["<svg", "18 MB/s by 21:30", "fixed: 10 shards", "autoscaler: 70 %", "on-demand", "21:30", "MB/s", "shards"]
    {
        assert!(svg.contains(word), "{word}");
    }
    if let Some(path) = std::env::var_os("HURTIG_PICTURE") {
        std::fs::write(path, svg).unwrap();
    }
}
