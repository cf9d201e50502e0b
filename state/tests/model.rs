//! Random histories against maps and sets: whatever is flushed, evicted, compacted, snapshotted and
//! restored at another parallelism or on the other back end in between, reads say the same.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Cluster, TTL, kinds};
use hurtig_state::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Update(usize, i64),
    Clear(usize),
    TtlUpdate(usize, i64),
    ListAdd(usize, i64),
    ListClear(usize),
    ListGet(usize),
    ListUpdate(usize, Vec<i64>),
    ListTtlAdd(usize, i64),
    MapPut(usize, i64, i64),
    MapRemove(usize, i64),
    MapClear(usize),
    MapGet(usize, i64),
    MapIter(usize),
    MapTtlPut(usize, i64, i64),
    Reduce(usize, i64),
    ReduceClear(usize),
    Aggregate(usize, i64),
    Pane(usize, i64, i64),
    Purge(i64),
    Register(usize, i64),
    RegisterMany(i64, i64),
    Delete(usize, i64),
    Pop(i64),
    Advance(i64),
    Flush,
    Evict,
    Compact,
    Restart(bool, u16),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let key = || 0..30_usize;
    let user = || 0..8_i64;
    let value = || any::<i32>().prop_map(i64::from);
    let time = || 0..300_i64;
    prop_oneof![
        6 => (key(), value()).prop_map(|(k, v)| Update(k, v)),
        2 => key().prop_map(Clear),
        4 => (key(), value()).prop_map(|(k, v)| TtlUpdate(k, v)),
        5 => (key(), value()).prop_map(|(k, v)| ListAdd(k, v)),
        1 => key().prop_map(ListClear),
        2 => key().prop_map(ListGet),
        1 => (key(), prop::collection::vec(value(), 0..4)).prop_map(|(k, v)| ListUpdate(k, v)),
        3 => (key(), value()).prop_map(|(k, v)| ListTtlAdd(k, v)),
        6 => (key(), user(), value()).prop_map(|(k, u, v)| MapPut(k, u, v)),
        3 => (key(), user()).prop_map(|(k, u)| MapRemove(k, u)),
        2 => key().prop_map(MapClear),
        3 => (key(), user()).prop_map(|(k, u)| MapGet(k, u)),
        2 => key().prop_map(MapIter),
        4 => (key(), user(), value()).prop_map(|(k, u, v)| MapTtlPut(k, u, v)),
        4 => (key(), value()).prop_map(|(k, v)| Reduce(k, v)),
        1 => key().prop_map(ReduceClear),
        4 => (key(), value()).prop_map(|(k, v)| Aggregate(k, v)),
        8 => (key(), user(), value()).prop_map(|(k, w, v)| Pane(k, w * 60, v)),
        2 => user().prop_map(|w| Purge(w * 60)),
        6 => (key(), time()).prop_map(|(k, t)| Register(k, t)),
        1 => (time(), 1..5_i64).prop_map(|(t, by)| RegisterMany(t, by)),
        3 => (key(), time()).prop_map(|(k, t)| Delete(k, t)),
        2 => time().prop_map(Pop),
        3 => (0..TTL).prop_map(Advance),
        2 => Just(Flush),
        3 => Just(Evict),
        1 => Just(Compact),
        1 => (any::<bool>(), 1..4_u16).prop_map(|(heap, p)| Restart(heap, p)),
    ]
}

/// The naive state.
#[derive(Default)]
struct Model {
    now: i64,
    value: BTreeMap<String, String>,
    value_ttl: BTreeMap<String, (i64, i64)>,
    list: BTreeMap<String, Vec<String>>,
    list_ttl: BTreeMap<String, Vec<(i64, i64)>>,
    map: BTreeMap<(String, String), i64>,
    map_ttl: BTreeMap<(String, i64), (i64, i64)>,
    reducing: BTreeMap<String, i64>,
    aggregating: BTreeMap<String, (i64, u32)>,
    panes: BTreeMap<i64, BTreeMap<String, i64>>,
    timers: BTreeSet<(i64, String)>,
}

impl Model {
    fn map_of(&self, key: &str) -> BTreeMap<String, i64> {
        let of = self.map.iter().filter(|((k, _), _)| k == key);
        of.map(|((_, user), value)| (user.clone(), *value)).collect()
    }

    fn live(&self, stamp: i64) -> bool {
        stamp + TTL > self.now
    }
}

fn key(k: usize) -> String {
    format!("key-{k}")
}

fn user(u: i64) -> String {
    format!("u{u}")
}

fn apply(c: &mut Cluster, m: &mut Model, step: &Step) -> Result<()> {
    match step {
        Step::Update(k, v) => {
            let (b, s) = c.at(&key(*k));
            s.value.update(b, v.to_string())?;
            m.value.insert(key(*k), v.to_string());
        }
        Step::Clear(k) => {
            let (b, s) = c.at(&key(*k));
            s.value.clear(b)?;
            m.value.remove(&key(*k));
        }
        Step::TtlUpdate(k, v) => {
            let (b, s) = c.at(&key(*k));
            let expected = m.value_ttl.get(&key(*k)).filter(|(_, stamp)| m.live(*stamp)).map(|(v, _)| *v);
            assert_eq!(s.value_ttl.value(b)?.copied(), expected);
            s.value_ttl.update(b, *v)?;
            m.value_ttl.insert(key(*k), (*v, m.now));
        }
        Step::ListAdd(k, v) => {
            let (b, s) = c.at(&key(*k));
            s.list.add(b, v.to_string())?;
            m.list.entry(key(*k)).or_default().push(v.to_string());
        }
        Step::ListClear(k) => {
            let (b, s) = c.at(&key(*k));
            s.list.clear(b)?;
            m.list.remove(&key(*k));
        }
        Step::ListGet(k) => {
            let (b, s) = c.at(&key(*k));
            assert_eq!(s.list.get(b)?, m.list.get(&key(*k)).map_or(&[][..], |list| list));
        }
        Step::ListUpdate(k, list) => {
            let list: Vec<String> = list.iter().map(i64::to_string).collect();
            let (b, s) = c.at(&key(*k));
            s.list.update(b, list.clone())?;
            m.list.insert(key(*k), list);
        }
        Step::ListTtlAdd(k, v) => {
            let (b, s) = c.at(&key(*k));
            s.list_ttl.add(b, *v)?;
            m.list_ttl.entry(key(*k)).or_default().push((*v, m.now));
        }
        Step::MapPut(k, u, v) => {
            let (b, s) = c.at(&key(*k));
            s.map.put(b, user(*u), *v)?;
            m.map.insert((key(*k), user(*u)), *v);
        }
        Step::MapRemove(k, u) => {
            let (b, s) = c.at(&key(*k));
            s.map.remove(b, &user(*u))?;
            m.map.remove(&(key(*k), user(*u)));
        }
        Step::MapClear(k) => {
            let (b, s) = c.at(&key(*k));
            s.map.clear(b)?;
            m.map.retain(|(of, _), _| *of != key(*k));
        }
        Step::MapGet(k, u) => {
            let (b, s) = c.at(&key(*k));
            assert_eq!(s.map.get(b, &user(*u))?, m.map.get(&(key(*k), user(*u))));
            assert_eq!(s.map.is_empty(b)?, m.map_of(&key(*k)).is_empty());
        }
        Step::MapIter(k) => {
            let (b, s) = c.at(&key(*k));
            let mut visited = BTreeMap::new();
            s.map.for_each(b, |user, value| assert!(visited.insert(user.clone(), *value).is_none()))?;
            assert_eq!(visited, m.map_of(&key(*k)));
            let all: BTreeMap<_, _> = s.map.iter(b)?.map(|(user, value)| (user.clone(), *value)).collect();
            assert_eq!(all, visited);
        }
        Step::MapTtlPut(k, u, v) => {
            let (b, s) = c.at(&key(*k));
            let expected = m.map_ttl.get(&(key(*k), *u)).filter(|(_, stamp)| m.live(*stamp)).map(|(v, _)| *v);
            assert_eq!(s.map_ttl.get(b, u)?.copied(), expected);
            s.map_ttl.put(b, *u, *v)?;
            m.map_ttl.insert((key(*k), *u), (*v, m.now));
        }
        Step::Reduce(k, v) => {
            let (b, s) = c.at(&key(*k));
            s.reducing.add(b, *v)?;
            *m.reducing.entry(key(*k)).or_default() += *v;
        }
        Step::ReduceClear(k) => {
            let (b, s) = c.at(&key(*k));
            s.reducing.clear(b)?;
            m.reducing.remove(&key(*k));
        }
        Step::Aggregate(k, v) => {
            let (b, s) = c.at(&key(*k));
            s.aggregating.add(b, *v)?;
            let sum = m.aggregating.entry(key(*k)).or_default();
            *sum = (sum.0 + v, sum.1 + 1);
        }
        Step::Pane(k, window, v) => {
            let (b, s) = c.at(&key(*k));
            let key = key(*k);
            *s.panes.entry(b, *window, &key, || 0)? += v;
            *m.panes.entry(*window).or_default().entry(key).or_default() += v;
        }
        Step::Purge(window) => {
            let fired = c.fire(*window, 3)?;
            let expected = m.panes.remove(window).unwrap_or_default();
            assert_eq!(fired, expected.into_iter().collect::<Vec<_>>());
            for (b, s) in &mut c.backends {
                s.panes.purge(b, *window)?;
            }
        }
        Step::Register(k, t) => {
            let (b, _) = c.at(&key(*k));
            b.register_event_time_timer(*t)?;
            m.timers.insert((*t, key(*k)));
        }
        Step::RegisterMany(t, by) => {
            for i in 0..150_i64 {
                let (k, t) = (key((i % 30) as usize), t + (i * by) % 97);
                let (b, _) = c.at(&k);
                b.register_event_time_timer(t)?;
                m.timers.insert((t, k));
            }
        }
        Step::Delete(k, t) => {
            let (b, _) = c.at(&key(*k));
            b.delete_event_time_timer(*t)?;
            m.timers.remove(&(*t, key(*k)));
        }
        Step::Pop(t) => {
            let popped = c.pop(true, *t)?;
            let later = m.timers.split_off(&(*t + 1, String::new()));
            let expected = std::mem::replace(&mut m.timers, later);
            assert_eq!(popped, expected.into_iter().collect::<Vec<_>>());
        }
        Step::Advance(ms) => {
            c.clock.advance(*ms);
            m.now += ms;
        }
        Step::Flush => c.each(KeyedStateBackend::flush)?,
        Step::Evict => c.each(KeyedStateBackend::evict)?,
        Step::Compact => c.each(KeyedStateBackend::compact)?,
        Step::Restart(heap, parallelism) => {
            let kind = if *heap { BackendKind::Heap } else { *kinds().last().expect("a kind") };
            c.restart(kind, *parallelism)?;
        }
    }
    Ok(())
}

/// Everything there is, read back.
fn compare(c: &mut Cluster, m: &Model) -> Result<()> {
    for k in 0..30 {
        let key = key(k);
        let (b, s) = c.at(&key);
        assert_eq!(s.value.value(b)?, m.value.get(&key));
        let expected = m.value_ttl.get(&key).filter(|(_, stamp)| m.live(*stamp)).map(|(v, _)| *v);
        assert_eq!(s.value_ttl.value(b)?.copied(), expected);
        assert_eq!(s.list.get(b)?, m.list.get(&key).map_or(&[][..], |list| list));
        let list: Vec<i64> = m
            .list_ttl
            .get(&key)
            .map_or(vec![], |list| list.iter().filter(|(_, stamp)| m.live(*stamp)).map(|(v, _)| *v).collect());
        assert_eq!(s.list_ttl.get(b)?, list);
        let map: BTreeMap<_, _> = s.map.iter(b)?.map(|(user, value)| (user.clone(), *value)).collect();
        assert_eq!(map, m.map_of(&key));
        let map: BTreeMap<_, _> = s.map_ttl.iter(b)?.map(|(user, value)| (*user, *value)).collect();
        let expected: BTreeMap<_, _> = m
            .map_ttl
            .iter()
            .filter(|((k, _), (_, stamp))| *k == key && m.live(*stamp))
            .map(|((_, user), (value, _))| (*user, *value))
            .collect();
        assert_eq!(map, expected);
        assert_eq!(s.reducing.get(b)?, m.reducing.get(&key));
        let expected = m.aggregating.get(&key).map(|(sum, count)| sum / i64::from(*count));
        assert_eq!(s.aggregating.get(b)?, expected);
    }
    let mut windows = BTreeSet::new();
    for (b, s) in &mut c.backends {
        windows.extend(s.panes.windows(b)?);
    }
    assert_eq!(windows, m.panes.keys().copied().collect());
    for (window, pane) in &m.panes {
        assert_eq!(c.fire(*window, 7)?, pane.clone().into_iter().collect::<Vec<_>>());
    }
    assert_eq!(c.pop(true, i64::MAX)?, m.timers.iter().cloned().collect::<Vec<_>>());
    Ok(())
}

fn run(kind: BackendKind, max_parallelism: u16, steps: &[Step]) {
    let mut cluster = Cluster::new(kind, 1, max_parallelism, 1 << 18).expect("opens");
    let mut model = Model { now: cluster.clock.now_ms(), ..Model::default() };
    for step in steps {
        apply(&mut cluster, &mut model, step).unwrap_or_else(|e| panic!("{step:?}: {e}"));
    }
    // As a job would be rescaled: 1 → 2 → 3 → 1.
    for parallelism in [2, 3, 1] {
        cluster.restart(cluster.kind, parallelism).expect("restarts");
    }
    compare(&mut cluster, &model).expect("reads");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_heap_does_as_the_model(steps in prop::collection::vec(step(), 1..250)) {
        run(BackendKind::Heap, 128, &steps);
    }

    #[test]
    fn the_store_does_as_the_model(steps in prop::collection::vec(step(), 1..250)) {
        run(*kinds().last().expect("a kind"), 128, &steps);
    }

    #[test]
    fn also_with_many_key_groups(steps in prop::collection::vec(step(), 1..120)) {
        run(*kinds().last().expect("a kind"), 300, &steps);
    }
}
