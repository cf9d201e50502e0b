//! State that is many times larger than its budget stays right, and within the budget.
#![cfg(feature = "rocksdb")]

mod common;

use std::collections::{BTreeMap, HashMap};

use common::Cluster;
use hurtig_state::*;

/// xorshift: the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

#[test]
fn values_lists_and_maps() {
    let mut c = Cluster::new(BackendKind::RocksDb, 2, 128, 1 << 20).expect("opens");
    let mut random = Random(7);
    let mut values: HashMap<u64, String> = HashMap::new();
    let mut sums: HashMap<u64, i64> = HashMap::new();
    let mut lists: HashMap<u64, Vec<String>> = HashMap::new();
    let mut maps: HashMap<u64, BTreeMap<String, i64>> = HashMap::new();
    for step in 0..200_000_u64 {
        let k = random.next(20_000);
        let (b, s) = c.at(&format!("key-{k}"));
        match random.next(6) {
            0 | 1 => {
                assert_eq!(s.value.value(b).expect("reads"), values.get(&k));
                let value = format!("{step} {}", "x".repeat(random.next(40) as usize));
                s.value.update(b, value.clone()).expect("updates");
                values.insert(k, value);
            }
            2 => {
                s.reducing.add(b, step as i64).expect("adds");
                *sums.entry(k).or_default() += step as i64;
                assert_eq!(s.reducing.get(b).expect("reads"), sums.get(&k));
            }
            3 => {
                s.list.add(b, step.to_string()).expect("adds");
                lists.entry(k).or_default().push(step.to_string());
                if step % 5 == 0 {
                    assert_eq!(s.list.get(b).expect("reads"), lists[&k]);
                }
            }
            _ => {
                let user = format!("{}", random.next(5));
                s.map.put(b, user.clone(), step as i64).expect("puts");
                maps.entry(k).or_default().insert(user, step as i64);
                if step % 7 == 0 {
                    s.map.clear(b).expect("clears");
                    maps.remove(&k);
                }
            }
        }
        if step % 50_000 == 49_999 {
            let stats: Vec<BackendStats> = c.backends.iter().map(|(b, _)| b.stats()).collect();
            assert!(stats.iter().any(|stats| stats.evicted > 0 && stats.store_hits > 0), "{stats:?}");
            c.restart(BackendKind::RocksDb, (step / 50_000) as u16 % 3 + 1).expect("restarts");
        }
        assert!(c.memory.used() < 2 * c.memory.cache_limit(), "{} bytes at step {step}", c.memory.used());
    }
    for k in 0..20_000 {
        let (b, s) = c.at(&format!("key-{k}"));
        assert_eq!(s.value.value(b).expect("reads"), values.get(&k));
        assert_eq!(s.reducing.get(b).expect("reads"), sums.get(&k));
        assert_eq!(s.list.get(b).expect("reads"), lists.get(&k).map_or(&[][..], |list| list));
        let map: BTreeMap<_, _> = s.map.iter(b).expect("reads").map(|(u, v)| (u.clone(), *v)).collect();
        assert_eq!(map, maps.remove(&k).unwrap_or_default());
    }
}

#[test]
fn panes() {
    let mut c = Cluster::new(BackendKind::RocksDb, 1, 128, 1 << 20).expect("opens");
    let mut random = Random(9);
    let mut model: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
    for step in 0..300_000_i64 {
        let window = step / 50_000 * 60 - 60 * random.next(3) as i64;
        let key = format!("key-{}", random.next(30_000));
        let (b, s) = c.at("any");
        *s.panes.entry(b, window, &key, || 0).expect("an entry") += step;
        *model.entry(window).or_default().entry(key).or_default() += step;
        assert!(c.memory.used() < 2 * c.memory.cache_limit(), "{} bytes at step {step}", c.memory.used());
        if step % 100_000 == 99_999 {
            let (window, pane) = model.pop_first().expect("a window");
            assert_eq!(c.fire(window, 777).expect("fires"), pane.into_iter().collect::<Vec<_>>());
            let (b, s) = c.at("any");
            s.panes.purge(b, window).expect("purges");
        }
        if step == 150_000 {
            c.restart(BackendKind::RocksDb, 1).expect("restarts");
        }
    }
    assert!(c.backends[0].0.stats().evicted > 0);
    for (window, pane) in model {
        assert_eq!(c.fire(window, 1000).expect("fires"), pane.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn timers() {
    let mut c = Cluster::new(BackendKind::RocksDb, 1, 128, 1 << 20).expect("opens");
    let mut random = Random(11);
    let mut model = std::collections::BTreeSet::new();
    let mut now = 0;
    for step in 0..150_000_i64 {
        let key = format!("key-{}", random.next(5_000));
        let (b, _) = c.at(&key);
        let time = now + random.next(20_000) as i64;
        b.register_event_time_timer(time).expect("registers");
        model.insert((time, key));
        if step % 3 == 0
            && let Some((time, key)) = model.iter().nth(random.next(50) as usize).cloned()
        {
            let (b, _) = c.at(&key);
            b.delete_event_time_timer(time).expect("deletes");
            model.remove(&(time, key));
        }
        if step % 20_000 == 19_999 {
            now += 1_000;
            let later = model.split_off(&(now + 1, String::new()));
            let due = std::mem::replace(&mut model, later);
            assert_eq!(c.pop(true, now).expect("pops"), due.into_iter().collect::<Vec<_>>());
        }
        if step % 60_000 == 59_999 {
            c.restart(BackendKind::RocksDb, (step / 60_000 % 3) as u16 + 1).expect("restarts");
        }
        if step % 1000 == 0 {
            let in_memory: u64 = c.backends.iter().map(|(b, _)| b.stats().timers_in_memory).sum();
            assert!(in_memory < 20_000, "{in_memory} timers in memory");
        }
    }
    assert!(model.len() > 50_000);
    assert_eq!(c.pop(true, i64::MAX).expect("pops"), model.into_iter().collect::<Vec<_>>());
}
