//! What goes together: every record once, none of an identity twice at a time, each identity in its order.

use std::collections::{HashMap, HashSet};

use hurtig_async_sink::BatchQueue;
use hurtig_timestream::{
    Route, TimestreamRecord,
    queue::{Item, Queue, RecordBatch},
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

fn item(n: u64, meter: u64, measure: u64, time: i64) -> Item {
    let record = TimestreamRecord::single(format!("m{measure}"), n as f64, time).dimension("meter", meter.to_string());
    Item { value: n, identity: record.identity(), record }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_goes_once_and_those_of_an_identity_one_after_another(seed in any::<u64>(), meters in 1_u64..40) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut queue = Queue::new(10, 4);
        let (mut under_way, mut busy): (Vec<RecordBatch>, HashSet<u64>) = (Vec::new(), HashSet::new());
        let mut gone: HashMap<u64, Vec<u64>> = HashMap::new();
        let mut pushed = 0;
        while pushed < 600 || !queue.is_empty() || !under_way.is_empty() {
            for _ in 0..random.random_range(0..20_u64).min(600 - pushed) {
                let time = random.random_range(0..3);
                let item = item(pushed, random.random_range(0..meters), random.random_range(0..3), time);
                let route = if item.identity.is_multiple_of(5) { Route::Magnetic } else { Route::Memory };
                queue.push(route, item);
                pushed += 1;
            }
            if random.random_bool(0.3) || pushed == 600 {
                queue.force();
            }
            while let Some(batch) = queue.next_batch() {
                prop_assert!((1..=10).contains(&batch.items.len()));
                for item in &batch.items {
                    prop_assert!(busy.insert(item.identity), "an identity is under way twice");
                    gone.entry(item.identity).or_default().push(item.value);
                }
                under_way.push(batch);
                prop_assert!(under_way.len() <= 4);
                let magnetic = under_way.iter().filter(|b| b.route == Route::Magnetic).count();
                prop_assert!(magnetic <= 2, "late data holds up live data");
            }
            if !under_way.is_empty() {
                let batch = under_way.swap_remove(random.random_range(0..under_way.len()));
                batch.items.iter().for_each(|item| prop_assert_busy(&mut busy, item.identity));
                queue.answered(&batch);
            } else {
                prop_assert!(pushed < 600 || queue.is_empty(), "{} are left and nothing is under way", queue.len());
            }
        }
        prop_assert_eq!(gone.values().map(Vec::len).sum::<usize>(), 600);
        prop_assert!(gone.values().all(|values| values.is_sorted()), "an identity is out of order");
    }
}

fn prop_assert_busy(busy: &mut HashSet<u64>, identity: u64) {
    assert!(busy.remove(&identity));
}

#[test]
fn alike_records_go_together_and_nothing_waits_for_them() {
    let mut queue = Queue::new(4, 8);
    for n in 0..8 {
        queue.push(Route::Memory, item(n, n, n % 2, 0));
    }
    let measures =
        |batch: &RecordBatch| batch.items.iter().map(|i| i.record.measure_name.clone()).collect::<HashSet<_>>();
    let first = queue.next_batch().expect("full");
    let second = queue.next_batch().expect("full");
    assert_eq!((measures(&first).len(), measures(&second).len()), (1, 1));
    queue.push(Route::Memory, item(8, 100, 0, 0));
    queue.push(Route::Memory, item(9, 101, 1, 0));
    assert!(queue.next_batch().is_none(), "it may wait for others");
    queue.force();
    assert_eq!(queue.next_batch().expect("due").items.len(), 2);
}
