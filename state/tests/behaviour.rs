//! What states do, the same on every back end.

mod common;

use common::{Cluster, TTL, kinds};
use hurtig_state::*;

/// Runs a test on every back end, plain and with everything evicted between any two steps.
fn everywhere(test: impl Fn(&mut Cluster, &mut dyn FnMut(&mut Cluster) -> Result<()>) -> Result<()>) {
    for kind in kinds() {
        for evicting in [false, true] {
            let mut cluster = Cluster::new(kind, 1, 128, 1 << 20).expect("opens");
            let mut pause = |cluster: &mut Cluster| {
                if evicting {
                    cluster.each(KeyedStateBackend::evict)?;
                }
                Ok(())
            };
            test(&mut cluster, &mut pause).unwrap_or_else(|e| panic!("{kind:?}, evicting {evicting}: {e}"));
        }
    }
}

#[test]
fn value_state() {
    everywhere(|c, pause| {
        let (b, s) = c.at("a");
        assert_eq!(s.value.value(b)?, None);
        s.value.update(b, "one".to_owned())?;
        assert_eq!(s.value.value(b)?.map(String::as_str), Some("one"));
        pause(c)?;
        let (b, s) = c.at("a");
        s.value.value_mut(b)?.expect("a value").push_str(" two");
        let (b, s) = c.at("b");
        assert_eq!(s.value.value(b)?, None, "another key");
        assert_eq!(s.value.value_mut(b)?, None);
        s.value.get_or_insert_with(b, || "b".to_owned())?.push('!');
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.value.value(b)?.map(String::as_str), Some("one two"));
        assert_eq!(s.value.get_or_insert_with(b, || panic!("there is one"))?, "one two");
        s.value.clear(b)?;
        assert_eq!(s.value.value(b)?, None);
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.value.value(b)?, None);
        s.value.clear(b)?;
        s.value.update(b, "again".to_owned())?;
        pause(c)?;
        let (b, s) = c.at("b");
        assert_eq!(s.value.value(b)?.map(String::as_str), Some("b!"));
        let (b, s) = c.at("a");
        assert_eq!(s.value.value(b)?.map(String::as_str), Some("again"));
        Ok(())
    });
}

#[test]
fn list_state() {
    everywhere(|c, pause| {
        let (b, s) = c.at("a");
        assert!(s.list.get(b)?.is_empty());
        s.list.add(b, "1".to_owned())?;
        pause(c)?;
        let (b, s) = c.at("a");
        s.list.add_all(b, ["2".to_owned(), "3".to_owned()])?;
        pause(c)?;
        let (b, s) = c.at("a");
        s.list.add(b, "4".to_owned())?;
        assert_eq!(s.list.get(b)?, ["1", "2", "3", "4"]);
        s.list.add(b, "5".to_owned())?;
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.list.get(b)?, ["1", "2", "3", "4", "5"]);
        s.list.update(b, ["x".to_owned()])?;
        s.list.add_all(b, [])?;
        pause(c)?;
        let (b, s) = c.at("a");
        s.list.add(b, "y".to_owned())?;
        assert_eq!(s.list.get(b)?, ["x", "y"]);
        s.list.clear(b)?;
        assert!(s.list.get(b)?.is_empty());
        pause(c)?;
        let (b, s) = c.at("a");
        s.list.add(b, "z".to_owned())?;
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.list.get(b)?, ["z"]);
        s.list.update(b, [])?;
        pause(c)?;
        let (b, s) = c.at("a");
        assert!(s.list.get(b)?.is_empty());
        Ok(())
    });
}

#[test]
fn map_state() {
    everywhere(|c, pause| {
        let key = |i: i64| format!("key {i}");
        let (b, s) = c.at("a");
        assert!(s.map.is_empty(b)?);
        for i in 0..200 {
            s.map.put(b, key(i), i)?;
        }
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.map.get(b, &key(7))?, Some(&7));
        assert_eq!(s.map.get(b, &key(200))?, None);
        assert!(!s.map.is_empty(b)?);
        s.map.remove(b, &key(7))?;
        s.map.put(b, key(8), 80)?;
        *s.map.get_mut(b, &key(9))?.expect("an entry") = 90;
        assert!(!s.map.contains(b, &key(7))?);
        let mut visited = vec![];
        s.map.for_each(b, |key, value| visited.push((key.clone(), *value)))?;
        let mut all: Vec<_> = s.map.iter(b)?.map(|(key, value)| (key.clone(), *value)).collect();
        visited.sort();
        all.sort();
        assert_eq!(visited, all);
        assert_eq!(all.len(), 199);
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.map.keys(b)?.count(), 199);
        assert_eq!(s.map.values(b)?.sum::<i64>(), (0..200).sum::<i64>() - 7 + 72 + 81);
        let (b, s) = c.at("b");
        assert!(s.map.is_empty(b)?, "another key");
        s.map.put(b, key(1), 1)?;
        pause(c)?;
        // More entries than are deleted one by one, and some that come back at once.
        let (b, s) = c.at("a");
        s.map.clear(b)?;
        assert!(s.map.is_empty(b)?);
        s.map.put(b, key(3), 33)?;
        assert_eq!(s.map.iter(b)?.count(), 1);
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.map.get(b, &key(3))?, Some(&33));
        assert_eq!(s.map.get(b, &key(4))?, None);
        assert_eq!(s.map.iter(b)?.count(), 1);
        s.map.clear(b)?;
        s.map.put(b, key(5), 55)?;
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.map.iter(b)?.collect::<Vec<_>>(), [(&key(5), &55)]);
        s.map.remove(b, &key(5))?;
        pause(c)?;
        let (b, s) = c.at("a");
        assert!(s.map.is_empty(b)?);
        let (b, s) = c.at("b");
        assert_eq!(s.map.iter(b)?.count(), 1);
        Ok(())
    });
}

#[test]
fn reducing_and_aggregating_state() {
    everywhere(|c, pause| {
        for i in 1..=4 {
            let (b, s) = c.at("a");
            s.reducing.add(b, i)?;
            s.aggregating.add(b, i * 10)?;
            pause(c)?;
        }
        let (b, s) = c.at("a");
        assert_eq!(s.reducing.get(b)?, Some(&10));
        assert_eq!(s.aggregating.get(b)?, Some(25));
        s.reducing.clear(b)?;
        s.aggregating.clear(b)?;
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.reducing.get(b)?, None);
        assert_eq!(s.aggregating.get(b)?, None);
        s.aggregating.add(b, 5)?;
        assert_eq!(s.aggregating.get(b)?, Some(5));
        Ok(())
    });
}

#[test]
fn pane_state() {
    everywhere(|c, pause| {
        for (window, key, value) in [(60, "a", 1), (0, "a", 2), (60, "b", 3), (60, "a", 4), (-60, "c", 5)] {
            let (b, s) = c.at("whatever");
            *s.panes.entry(b, window, &key.to_owned(), || 100)? += value;
            pause(c)?;
        }
        let (b, s) = c.at("whatever");
        assert_eq!(s.panes.windows(b)?, [-60, 0, 60]);
        assert_eq!(s.panes.first_window(b)?, Some(-60));
        assert_eq!(s.panes.get(b, 60, &"a".to_owned())?, Some(&105));
        assert_eq!(s.panes.get(b, 60, &"c".to_owned())?, None);
        assert_eq!(s.panes.get(b, 61, &"a".to_owned())?, None);
        assert_eq!(c.fire(60, 1)?, [("a".to_owned(), 105), ("b".to_owned(), 103)]);
        assert_eq!(c.fire(60, 2)?.len(), 2, "a second firing");
        // Out of order, and then again what was purged.
        let (b, s) = c.at("whatever");
        s.panes.purge(b, 60)?;
        assert_eq!(s.panes.windows(b)?, [-60, 0]);
        pause(c)?;
        let (b, s) = c.at("whatever");
        *s.panes.entry(b, 60, &"b".to_owned(), || 0)? += 1;
        pause(c)?;
        assert_eq!(c.fire(60, 10)?, [("b".to_owned(), 1)]);
        let (b, s) = c.at("whatever");
        s.panes.purge(b, -60)?;
        s.panes.purge(b, 0)?;
        s.panes.purge(b, 60)?;
        assert_eq!(s.panes.first_window(b)?, None);
        *s.panes.entry(b, 0, &"d".to_owned(), || 0)? += 1;
        pause(c)?;
        c.each(KeyedStateBackend::compact)?;
        assert_eq!(c.fire(0, 10)?, [("d".to_owned(), 1)]);
        assert!(c.fire(60, 10)?.is_empty());
        Ok(())
    });
}

#[test]
fn a_pane_must_not_change_while_it_is_fired() {
    let mut c = Cluster::new(BackendKind::Heap, 1, 128, 1 << 20).expect("opens");
    let (b, s) = c.at("x");
    for i in 0..10 {
        s.panes.entry(b, 0, &format!("{i}"), || 0).expect("an entry");
    }
    let mut cursor = PaneCursor::default();
    assert!(!s.panes.fire(b, 0, &mut cursor, 3, |_, _| ()).expect("fires"));
    s.panes.entry(b, 0, &"new".to_owned(), || 0).expect("an entry");
    let error = s.panes.fire(b, 0, &mut cursor, 3, |_, _| ()).expect_err("changed");
    assert!(error.to_string().contains("finish fire()"), "{error}");
}

#[test]
fn timers() {
    everywhere(|c, pause| {
        for (time, key) in [(30, "a"), (10, "b"), (20, "a"), (10, "b"), (10, "a"), (-5, "c")] {
            let (b, _) = c.at(key);
            b.register_event_time_timer(time)?;
            b.register_processing_time_timer(time + 1)?;
            pause(c)?;
        }
        let (b, _) = c.at("a");
        b.delete_event_time_timer(20)?;
        b.delete_event_time_timer(21)?;
        pause(c)?;
        let of = |list: &[(i64, &str)]| list.iter().map(|(t, k)| (*t, (*k).to_owned())).collect::<Vec<_>>();
        assert_eq!(c.pop(true, -6)?, []);
        assert_eq!(c.pop(true, 10)?, of(&[(-5, "c"), (10, "a"), (10, "b")]));
        pause(c)?;
        // Late, again, and deleted while it is in the past.
        let (b, _) = c.at("d");
        b.register_event_time_timer(-5)?;
        b.register_event_time_timer(-4)?;
        b.register_event_time_timer(10)?;
        pause(c)?;
        let (b, _) = c.at("d");
        b.delete_event_time_timer(-4)?;
        pause(c)?;
        assert_eq!(c.pop(true, 29)?, of(&[(-5, "d"), (10, "d")]));
        assert_eq!(c.pop(true, i64::MAX)?, of(&[(30, "a")]));
        assert_eq!(c.pop(true, i64::MAX)?, []);
        let (b, _) = c.at("d");
        assert_eq!(b.next_processing_time_timer()?, Some(-4));
        assert_eq!(c.pop(false, 20)?, of(&[(-4, "c"), (11, "a"), (11, "b")]));
        let (b, _) = c.at("d");
        assert_eq!(b.next_processing_time_timer()?, Some(21));
        Ok(())
    });
}

#[test]
fn time_to_live() {
    everywhere(|c, pause| {
        let (b, s) = c.at("a");
        s.value_ttl.update(b, 1)?;
        s.value_read_ttl.update(b, 1)?;
        s.list_ttl.add(b, 1)?;
        s.map_ttl.put(b, 1, 1)?;
        c.clock.advance(TTL / 2);
        pause(c)?;
        let (b, s) = c.at("a");
        assert_eq!(s.value_read_ttl.value(b)?, Some(&1));
        s.list_ttl.add(b, 2)?;
        s.map_ttl.put(b, 2, 2)?;
        pause(c)?;
        c.clock.advance(TTL / 2);
        let (b, s) = c.at("a");
        assert_eq!(s.value_ttl.value(b)?, None, "expires exactly after its time");
        assert_eq!(s.value_ttl.value_mut(b)?, None);
        assert_eq!(s.value_read_ttl.value(b)?, Some(&1), "reading has kept it alive");
        assert_eq!(s.list_ttl.get(b)?, [2]);
        assert_eq!(s.map_ttl.get(b, &1)?, None);
        assert_eq!(s.map_ttl.iter(b)?.collect::<Vec<_>>(), [(&2, &2)]);
        pause(c)?;
        c.each(KeyedStateBackend::compact)?;
        let (b, s) = c.at("a");
        assert_eq!(*s.value_ttl.get_or_insert_with(b, || 7)?, 7);
        s.list_ttl.add(b, 3)?;
        assert_eq!(s.list_ttl.get(b)?, [2, 3]);
        pause(c)?;
        c.clock.advance(TTL * 2);
        let (b, s) = c.at("a");
        assert_eq!(s.value_read_ttl.value(b)?, None);
        assert!(s.list_ttl.get(b)?.is_empty());
        assert!(s.map_ttl.is_empty(b)?);
        assert_eq!(s.map_ttl.iter(b)?.count(), 0);
        Ok(())
    });
}

#[test]
fn handles_and_keys_are_checked() {
    for kind in kinds() {
        let mut c = Cluster::new(kind, 1, 128, 1 << 20).expect("opens");
        let config = BackendConfig::local(kind, "op", c.dir("other"));
        let mut b = KeyedStateBackend::<String>::open(config, vec![]).expect("opens");
        let error = ValueState::<i64>::default().value(&mut b).expect_err("an empty handle").to_string();
        assert!(error.contains("does not belong to this backend"), "{error}");
        let value = b.value_state(ValueStateDescriptor::<i64>::new("x")).expect("registers");
        let error = value.value(&mut b).expect_err("no key").to_string();
        assert!(error.contains("no current key"), "{error}");
        let error = b.value_state(ValueStateDescriptor::<u8>::new("x")).expect_err("taken").to_string();
        assert!(error.contains("already registered as value state of `i64`"), "{error}");
        b.set_current_key("k".to_owned());
        value.update(&mut b, 1).expect("updates");
        let again = b.value_state(ValueStateDescriptor::<i64>::new("x")).expect("the same state");
        assert_eq!(again.value(&mut b).expect("reads"), Some(&1));
        let (other, _) = c.at("k");
        let wrong = b.list_state(ListStateDescriptor::<i64>::new("y")).expect("registers");
        assert!(wrong.get(other).is_err(), "a handle of another backend and type");
    }
}

#[test]
fn a_key_of_another_backend_is_refused() {
    for kind in kinds() {
        let mut c = Cluster::new(kind, 2, 128, 1 << 20).expect("opens");
        let (b, s) = &mut c.backends[1];
        // Group 97 of 128 is the second's, "m-0012345" is of group 76: see the JVM's vectors.
        b.set_current_key("m-0012345".to_owned());
        s.value.update(b, "mine".to_owned()).expect("76 is in 64..=127");
        let (b, s) = &mut c.backends[0];
        b.set_current_key("m-0012345".to_owned());
        s.value.update(b, "not mine".to_owned()).expect("checked when it is written");
        let dir = tempfile::tempdir().expect("a directory");
        let error = b.snapshot(&dir.path().join("chk")).expect_err("foreign").to_string();
        assert!(error.contains("belongs to key group 76, this backend owns 0..=63"), "{error}");
    }
}
