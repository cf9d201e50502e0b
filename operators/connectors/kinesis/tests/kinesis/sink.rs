//! The lanes under a service that refuses, loses answers and reshards as a seed has it; rates; payloads.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use hurtig_aws::AwsConfig;
use hurtig_engine::record::Record;
use hurtig_kinesis::{
    kpl,
    scaling::{HashRange, ShardLimits, even_ranges},
    sink::{
        KinesisSink, dedup_key_of,
        lanes::{Answer, LaneOptions, Lanes, Request},
        member::Member,
        payload,
        rate::ShardRate,
        shard_map::{ShardInfo, ShardMap},
    },
};
use hurtig_operators::{
    connectors::testing::SinkHarness,
    schema::{SchemaError, SerializationSchema},
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

fn options(aggregate: Option<usize>) -> LaneOptions {
    LaneOptions {
        max_batch_size: 20,
        max_batch_size_in_bytes: 20_000,
        aggregate,
        limits: ShardLimits { bytes_per_second: 50_000.0, records_per_second: 500.0 },
        backoff_min_ms: 5,
        backoff_max_ms: 200,
    }
}

/// A stream as its readers see it.
struct Stream {
    shards: Vec<ShardInfo>,
    next: usize,
    /// What a KCL-like reader gets: key and number, in the order in which it was taken.
    read: Vec<(String, u64)>,
    dropped: usize,
    aggregating: bool,
}

impl Stream {
    fn new(shards: usize, aggregating: bool) -> Self {
        let mut stream = Stream { shards: Vec::new(), next: 0, read: Vec::new(), dropped: 0, aggregating };
        even_ranges(shards).into_iter().for_each(|range| stream.open(range));
        stream
    }

    fn open(&mut self, range: HashRange) {
        self.shards.push(ShardInfo { id: format!("shardId-{:012}", self.next).into(), range, open: true });
        self.next += 1;
    }

    fn map(&self) -> ShardMap {
        ShardMap::new(self.shards.clone()).expect("the shards cover everything")
    }

    fn reshard(&mut self, random: &mut StdRng) {
        let open: Vec<usize> = (0..self.shards.len()).filter(|i| self.shards[*i].open).collect();
        let one = open[random.random_range(0..open.len())];
        let range = self.shards[one].range;
        if random.random_bool(0.5) || open.len() < 2 {
            let Some((lower, upper)) = range.middle().and_then(|at| range.split_at(at)) else { return };
            self.shards[one].open = false;
            self.open(lower);
            self.open(upper);
        } else if let Some(other) = open.iter().find(|i| range.adjoins(self.shards[**i].range)) {
            let merged = HashRange { start: range.start, end: self.shards[*other].range.end };
            self.shards[one].open = false;
            self.shards[*other].open = false;
            self.open(merged);
        }
    }

    /// As Kinesis takes it and as the KCL reads it.
    fn take(&mut self, unit: &[Member]) -> Arc<str> {
        let entry = payload::entry(unit, self.aggregating);
        let explicit = entry.explicit_hash_key.map(|h| h.to_string());
        let hash = kpl::hash_key(&entry.partition_key, explicit.as_deref());
        let shard = self.shards.iter().find(|s| s.open && s.range.contains(hash)).expect("a shard").clone();
        let number = |data: &[u8]| String::from_utf8_lossy(data).trim_end_matches('.').parse().expect("a number");
        match kpl::decode(&entry.data) {
            None => self.read.push((entry.partition_key.to_string(), number(&entry.data))),
            Some(aggregate) => {
                for i in 0..aggregate.records.len() {
                    let m = aggregate.member(i).expect("a member");
                    if shard.range.contains(kpl::hash_key(m.partition_key, m.explicit_hash_key)) {
                        self.read.push((m.partition_key.to_owned(), number(m.data)));
                    } else {
                        self.dropped += 1;
                    }
                }
            }
        }
        shard.id
    }
}

/// What an aggregate counts towards Kinesis's limits.
fn size(unit: &[Member]) -> usize {
    let entry = payload::entry(unit, true);
    entry.data.len() + entry.partition_key.len()
}

/// A run: so many records of so many keys, everything that can go wrong does with these odds.
fn run(seed: u64, records: u64, keys: u64, aggregate: Option<usize>) -> (Stream, Lanes) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut stream = Stream::new(random.random_range(1..6), aggregate.is_some());
    let mut lanes = Lanes::new(options(aggregate), seed);
    let mut under_way: Vec<Request> = Vec::new();
    let (mut now, mut pushed, mut quiet) = (0, 0, 0);
    while pushed < records || lanes.buffered() > 0 {
        now += random.random_range(0..20);
        // Towards the end the service behaves, so that every run ends.
        let trouble = if now < 40_000 { 0.25 } else { 0.0 };
        if pushed < records && lanes.buffered() < 300 {
            for _ in 0..random.random_range(0..40_u64).min(records - pushed) {
                let key = random.random_range(0..keys);
                let hash = (key % 3 == 0).then(|| u128::MAX / u128::from(keys) * u128::from(key));
                let data = format!("{pushed}{}", ".".repeat(random.random_range(0..60)));
                lanes.push(Member::new(format!("key-{key}"), hash, data));
                pushed += 1;
            }
        }
        if random.random_bool(0.3) || pushed == records {
            lanes.force();
        }
        if lanes.wants_shards() && random.random_bool(0.5) {
            let map = stream.map();
            lanes.set_shards(map, now);
        }
        if random.random_bool(trouble / 10.0) {
            stream.reshard(&mut random);
        }
        while under_way.len() < 4
            && let Some(request) = lanes.next_request(now)
        {
            assert!(request.units.len() <= 20);
            let bytes: usize = request.units.iter().map(|u| payload::entry(u, aggregate.is_some()).data.len()).sum();
            assert!(bytes <= 20_000, "{bytes}");
            if let Some(most) = aggregate {
                assert!(request.units.iter().all(|u| u.len() == 1 || size(u) <= most));
            }
            let mut keys = HashSet::new();
            let one_each = |m: &Member| keys.insert(m.partition_key.clone());
            if aggregate.is_none() {
                assert!(request.units.iter().flat_map(|u| u.iter()).all(one_each), "a key twice in one request");
            }
            under_way.push(request);
        }
        if under_way.is_empty() {
            // Whatever waits has a time to wake at, or waits for shards or for more records.
            let wakes = lanes.wake_at(now).is_some() || lanes.wants_shards() || lanes.buffered() == 0;
            quiet = if wakes || pushed < records { 0 } else { quiet + 1 };
            assert!(quiet < 3, "nothing is under way and nothing is going to be: {} left", lanes.buffered());
            continue;
        }
        let request = under_way.swap_remove(random.random_range(0..under_way.len()));
        if random.random_bool(trouble / 4.0) {
            // Cut: nothing was taken, or all of it was and nobody heard.
            if random.random_bool(0.5) {
                request.units.iter().for_each(|u| drop(stream.take(u)));
            }
            lanes.answered(request.id, now, None);
            continue;
        }
        let answer = |unit: &Arc<[Member]>| match random.random_bool(trouble) {
            true if random.random_bool(0.5) => Answer::Throttled,
            true => Answer::Failed,
            false => Answer::Taken(stream.take(unit)),
        };
        let answers: Vec<_> = request.units.iter().map(answer).collect();
        lanes.answered(request.id, now, Some(&answers));
    }
    assert_eq!(lanes.take_acknowledged(), records);
    assert_eq!((lanes.buffered_bytes(), lanes.is_full(), lanes.next_request(now)).0, 0);
    (stream, lanes)
}

/// Everything is read, and of every key the records come first in the order in which they were pushed.
fn whole_and_in_order(stream: &Stream, records: u64) {
    let mut seen = HashSet::new();
    let mut last: HashMap<&str, u64> = HashMap::new();
    for (key, number) in &stream.read {
        if seen.insert(*number)
            && let Some(before) = last.insert(key, *number)
        {
            assert!(before < *number, "{key}: {number} was read after {before}");
        }
    }
    assert_eq!(seen.len() as u64, records, "some are lost");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_arrives_in_its_keys_order(seed in any::<u64>(), keys in 1_u64..200) {
        whole_and_in_order(&run(seed, 1_000, keys, None).0, 1_000);
    }

    #[test]
    fn the_same_with_aggregates_whatever_is_split_under_them(seed in any::<u64>(), keys in 1_u64..200) {
        whole_and_in_order(&run(seed, 2_000, keys, Some(1_500)).0, 2_000);
    }

    /// Two members of long keys fill it to the brim: what is around them counts.
    #[test]
    fn an_aggregate_never_exceeds_its_bound(
        key in 1_usize..=256, explicit in any::<bool>(), spare in 0_usize..400, bound in 1_024_usize..3_000,
    ) {
        let mut lanes = Lanes::new(LaneOptions { limits: ShardLimits::UNLIMITED, ..options(Some(bound)) }, 1);
        lanes.set_shards(Stream::new(1, true).map(), 0);
        let data = (bound / 2).saturating_sub(key + 39 + spare).max(1);
        for n in 0..6_u8 {
            let key = format!("{}{n}", "k".repeat(key - 1));
            lanes.push(Member::new(key, explicit.then_some(u128::MAX - u128::from(n)), vec![b'x'; data]));
        }
        lanes.force();
        let mut sent = 0;
        while let Some(request) = lanes.next_request(0) {
            for unit in &request.units {
                prop_assert!(unit.len() == 1 || size(unit) <= bound, "{} of {bound}", size(unit));
                sent += unit.len();
            }
            let answers: Vec<_> = request.units.iter().map(|_| Answer::Taken("shardId-000000000000".into())).collect();
            lanes.answered(request.id, 0, Some(&answers));
        }
        prop_assert_eq!(sent, 6);
    }
}

#[test]
fn members_outside_the_shard_that_took_them_are_sent_again() {
    // So that the property above is known to have met the case.
    let dropped: usize = (0..20).map(|seed| run(seed, 2_000, 100, Some(1_500)).0.dropped).sum();
    assert!(dropped > 50, "only {dropped}");
}

fn two_shards() -> ShardMap {
    Stream::new(2, true).map()
}

#[test]
fn nothing_is_sent_before_the_shards_are_known_or_before_it_is_time() {
    let mut lanes = Lanes::new(options(None), 1);
    lanes.push(Member::new("a", None, "1"));
    lanes.force();
    assert!(lanes.wants_shards() && lanes.next_request(0).is_none());
    lanes.set_shards(two_shards(), 0);
    assert_eq!(lanes.next_request(0).expect("due").units.len(), 1);
    lanes.push(Member::new("b", None, "2"));
    assert!(lanes.next_request(0).is_none(), "it may wait for others");
    for i in 0..19 {
        lanes.push(Member::new(format!("c{i}"), None, "3"));
    }
    assert_eq!(lanes.next_request(0).expect("full").units.len(), 20);
    lanes.push(Member::new("b", None, "4"));
    lanes.force();
    assert!(lanes.next_request(1_000).is_none(), "b's first is under way");
}

#[test]
fn a_shard_that_throttles_holds_up_no_other() {
    let mut lanes = Lanes::new(options(None), 1);
    lanes.set_shards(two_shards(), 0);
    let low = |n: u32| Member::new(format!("low-{n}"), Some(0), format!("{n}"));
    let high = |n: u32| Member::new(format!("high-{n}"), Some(u128::MAX), format!("{n}"));
    lanes.push(low(0));
    lanes.push(high(0));
    lanes.force();
    let first = lanes.next_request(0).expect("both");
    let shard = |m: &Member| if m.hash() == 0 { "shardId-000000000000" } else { "shardId-000000000001" };
    let answers: Vec<_> = first
        .units
        .iter()
        .map(|u| if u[0].hash() == 0 { Answer::Throttled } else { Answer::Taken(shard(&u[0]).into()) })
        .collect();
    lanes.answered(first.id, 0, Some(&answers));
    assert!(lanes.wants_shards(), "the first throttling asks for the shards");
    lanes.push(low(1));
    lanes.push(high(1));
    lanes.force();
    let second = lanes.next_request(1).expect("the other shard's");
    assert_eq!(second.units.iter().map(|u| u[0].hash()).collect::<Vec<_>>(), [u128::MAX]);
    let at = lanes.wake_at(1).expect("a time for the throttled one");
    assert!((2..=400).contains(&at), "{at}");
    let third = lanes.next_request(at.max(200)).expect("it goes again");
    assert_eq!(third.units[0][0].data, "0", "its first, first");
    assert!(lanes.shards()[0].rate.share() < 1.0 && lanes.shards()[1].rate.share() == 1.0);
}

#[test]
fn a_hot_shard_is_named_with_its_keys_once() {
    let mut lanes = Lanes::new(LaneOptions { limits: ShardLimits::UNLIMITED, ..options(None) }, 1);
    lanes.set_shards(Stream::new(4, false).map(), 0);
    let mut hot = Vec::new();
    for window in 0..3_u64 {
        for n in 0..400_u64 {
            let now = window * 10_000 + n * 20;
            // Three of four records have one of two keys, in the first shard.
            let (key, hash) =
                if n % 4 > 0 { (format!("heavy-{}", n % 2), 7) } else { (format!("k{n}"), u128::MAX / 3 * 2) };
            lanes.push(Member::new(key, Some(hash + u128::from(n)), "data"));
            lanes.force();
            let Some(request) = lanes.next_request(now) else { continue };
            let take = |u: &Arc<[Member]>| match (u[0].hash() < 1 << 20, n % 50 == 1) {
                (true, true) => Answer::Throttled,
                (true, false) => Answer::Taken("shardId-000000000000".into()),
                _ => Answer::Taken("shardId-000000000002".into()),
            };
            let answers: Vec<_> = request.units.iter().map(take).collect();
            lanes.answered(request.id, now, Some(&answers));
        }
        hot.push(lanes.take_hot());
    }
    assert_eq!(hot.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 0], "said once");
    let shard = &hot[0][0];
    assert_eq!((&*shard.id, lanes.hot_shards()), ("shardId-000000000000", 1));
    assert!(shard.times_others > 2.0 && shard.keys[0].0.starts_with("heavy-"), "{shard:?}");
}

/// A window in which `bytes` go to each shard, and each refuses one more.
fn window(lanes: &mut Lanes, now: u64, bytes: &[(u128, usize)]) -> Vec<String> {
    for (hash, bytes) in bytes {
        lanes.push(Member::new("k", Some(*hash), vec![b'x'; *bytes]));
    }
    lanes.force();
    let mut refused = HashSet::new();
    let mut at = now;
    while lanes.buffered() > 0 {
        at += 1_000;
        let Some(request) = lanes.next_request(at) else { continue };
        let shard = |hash: u128| lanes.shards().iter().find(|s| s.range.contains(hash)).expect("a shard").id.clone();
        let answers: Vec<_> = request
            .units
            .iter()
            .map(|u| if refused.insert(u[0].hash()) { Answer::Throttled } else { Answer::Taken(shard(u[0].hash())) })
            .collect();
        lanes.answered(request.id, at, Some(&answers));
    }
    lanes.take_hot().iter().map(|s| s.id.to_string()).collect()
}

#[test]
fn one_of_two_shards_can_be_hot_and_is_no_longer_when_it_is_closed() {
    let mut lanes = Lanes::new(LaneOptions { limits: ShardLimits::UNLIMITED, ..options(None) }, 1);
    let mut stream = Stream::new(2, false);
    lanes.set_shards(stream.map(), 0);
    let high = u128::MAX - 1;
    let first = "shardId-000000000000";
    assert!(window(&mut lanes, 0, &[(0, 500), (high, 400)]).is_empty(), "both get much");
    assert_eq!(window(&mut lanes, 100_000, &[(0, 900), (1, 900), (2, 900), (high, 10)]), [first]);
    assert_eq!(lanes.hot_shards(), 1);
    // It is split, and nothing says more of it.
    let (lower, upper) = stream.shards[0].range.split_at(1 << 100).expect("two");
    stream.shards[0].open = false;
    stream.open(lower);
    stream.open(upper);
    lanes.set_shards(stream.map(), 200_000);
    assert!(lanes.take_hot().is_empty());
    assert_eq!(lanes.hot_shards(), 0);
    // A listing that does not have it is followed by one that does: it begins anew.
    let mut one = Lanes::new(LaneOptions { limits: ShardLimits::UNLIMITED, ..options(None) }, 1);
    one.set_shards(Stream::new(1, false).map(), 0);
    assert!(window(&mut one, 0, &[(0, 500), (high, 400)]).is_empty(), "the only shard is as hot as the stream");
}

#[derive(Clone)]
struct Raw;

impl SerializationSchema<Vec<u8>> for Raw {
    fn serialize(&mut self, value: &Vec<u8>, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        out.extend_from_slice(value);
        Ok(())
    }
}

#[test]
fn a_record_that_has_to_be_wrapped_counts_with_its_wrap() {
    // Nobody listens there: what is refused is refused before it is sent.
    let aws = AwsConfig::new().region("us-east-1").endpoint_url("http://127.0.0.1:9").credentials("a", "b");
    let sink = KinesisSink::new("readings", Raw, |_: &Vec<u8>| "key".to_owned()).aws(aws);
    let mut harness = SinkHarness::start(&sink.aggregate_up_to(1_024).max_record_size(1_100), "1").expect("started");
    let of = |first: &[u8]| Record::new([first, &[b'x'; 1_080]].concat());
    harness.write(of(b"none")).expect("taken");
    assert!(harness.letters.is_empty());
    harness.write(of(&kpl::MAGIC)).expect("refused");
    assert!(harness.letters[0].3.contains("the sink's largest record is 1100"), "{:?}", harness.letters);
    let bad = KinesisSink::new("arn:aws:sqs:us-east-1:1:queue", Raw, |_: &Vec<u8>| "key".to_owned());
    let said = SinkHarness::start(&bad, "1").err().expect("no stream").to_string();
    assert!(said.contains("neither a stream's name nor its ARN"), "{said}");
}

#[test]
fn the_rate_falls_by_a_share_and_rises_by_steps() {
    let limits = ShardLimits { bytes_per_second: 1e6, records_per_second: 1e3 };
    let mut rate = ShardRate::new(limits, 0);
    // A full bucket, then the limit: 1,000 records of 500 bytes a second.
    let sent = |rate: &mut ShardRate, from: u64, ms: u64, bytes: usize| {
        let mut n = 0;
        for now in from..from + ms {
            while rate.may_send(now) {
                rate.sent(bytes);
                n += 1;
            }
        }
        n
    };
    let first = sent(&mut rate, 0, 10_000, 500);
    assert!((9_900..=10_300).contains(&first), "{first}: records are the limit");
    let second = sent(&mut rate, 10_000, 10_000, 10_000);
    assert!((950..=1_030).contains(&second), "{second}: bytes are the limit");
    rate.throttled(20_000, |n| 100 << n);
    assert_eq!(rate.share(), 0.7);
    rate.throttled(20_100, |n| 100 << n);
    assert_eq!(rate.share(), 0.7, "what was under way says nothing new");
    assert!(!rate.may_send(20_099) && rate.available_at(20_000) >= 20_100);
    rate.throttled(20_300, |n| 100 << n);
    assert!((rate.share() - 0.49).abs() < 1e-9);
    (0..1_000).for_each(|i| rate.succeeded(20_500 + i));
    assert!((0.6..0.75).contains(&rate.share()), "{}: ten steps a second", rate.share());
    (0..100_000).step_by(50).for_each(|i| rate.succeeded(30_000 + i));
    assert_eq!(rate.share(), 1.0);
    let mut free = ShardRate::new(ShardLimits::UNLIMITED, 0);
    assert!((0..10_000).all(|_| free.may_send(0) && {
        free.sent(1 << 20);
        true
    }));
    assert_eq!(free.available_at(5), 5);
}

#[test]
fn a_listing_in_the_middle_of_a_change_is_not_used() {
    let stream = Stream::new(4, false);
    let mut shards = stream.shards.clone();
    shards[2].open = false;
    assert!(ShardMap::new(shards).is_none());
    let map = stream.map();
    for (i, shard) in map.open().iter().enumerate() {
        for hash in [shard.range.start, shard.range.end] {
            assert_eq!(map.locate(hash), i);
        }
    }
    assert_eq!(map.range("shardId-000000000003"), Some(even_ranges(4)[3]));
    assert_eq!(map.range("shardId-7"), None);
}

#[test]
fn what_stands_in_a_request() {
    let one = Member::new("a", Some(7), "x");
    let plain = payload::entry(std::slice::from_ref(&one), true);
    assert_eq!((plain.data.as_slice(), plain.explicit_hash_key, &*plain.partition_key), (&b"x"[..], Some(7), "a"));
    // What would be taken for an aggregate is packed, where there are aggregates.
    let magic = Member::new("a", None, kpl::MAGIC.to_vec());
    assert!(kpl::decode(&payload::entry(std::slice::from_ref(&magic), true).data).is_some());
    assert_eq!(payload::entry(std::slice::from_ref(&magic), false).data, kpl::MAGIC);
    let three = [one, Member::new("b", None, "y"), Member::new("a", Some(7), "z")];
    let entry = payload::entry(&three, true);
    let aggregate = kpl::decode(&entry.data).expect("an aggregate");
    assert_eq!((aggregate.partition_key_table.len(), aggregate.explicit_hash_key_table.len()), (2, 1));
    let members: BTreeMap<_, _> = (0..3).map(|i| (i, aggregate.member(i).expect("a member"))).collect();
    assert_eq!(
        (members[&1].partition_key, members[&1].explicit_hash_key, &members[&1].data[..]),
        ("b", None, &b"y"[..])
    );
    assert_eq!((members[&2].explicit_hash_key, entry.explicit_hash_key), (Some("7"), Some(7)));
    assert_eq!(dedup_key_of("a\u{1f}b\u{1f}c"), ("a\u{1f}b", Some("c")));
}
