//! Every shard is read once, parents before children, whatever happens to stream and job.

use std::collections::BTreeSet;

use hurtig_kinesis::source::{
    KinesisSplit, Position, Shard,
    tracker::{Assigner, ShardTracker},
};
use proptest::prelude::*;

use super::shard;

fn ids(splits: &[KinesisSplit]) -> Vec<&str> {
    splits.iter().map(|s| s.shard.id.as_str()).collect()
}

fn restored(tracker: &ShardTracker, back: Vec<KinesisSplit>) -> ShardTracker {
    let bytes = hurtig_engine::error::to_bytes("tracker", tracker).expect("bytes");
    let mut tracker: ShardTracker = hurtig_engine::error::from_bytes("tracker", &bytes).expect("a tracker");
    tracker.give_back(back);
    tracker
}

#[test]
fn children_wait_for_their_parent_and_begin_at_their_beginning() {
    let mut tracker = ShardTracker::new(Position::AtTimestamp(5), None);
    tracker.listed(&[shard("0", &[], (0, 9))]);
    assert_eq!(ids(&tracker.take_ready()), ["0"]);
    let split = [shard("0", &[], (0, 9)), shard("1", &["0"], (0, 4)), shard("2", &["0"], (5, 9))];
    tracker.listed(&split);
    assert!(tracker.take_ready().is_empty());
    tracker.finish("0");
    let ready = tracker.take_ready();
    assert_eq!(ids(&ready), ["1", "2"]);
    assert!(ready.iter().all(|s| s.position == Position::TrimHorizon));
    assert!(tracker.take_ready().is_empty());
}

#[test]
fn the_first_listing_begins_at_the_start_position_parents_first() {
    let mut tracker = ShardTracker::new(Position::AtTimestamp(5), None);
    tracker.listed(&[shard("0", &[], (0, 9)), shard("1", &["0"], (0, 4))]);
    let first = tracker.take_ready();
    assert_eq!((ids(&first), &first[0].position), (vec!["0"], &Position::AtTimestamp(5)));
    tracker.finish("0");
    assert_eq!(tracker.take_ready()[0].position, Position::AtTimestamp(5));
}

#[test]
fn a_merged_shard_waits_for_both_parents_also_over_a_restore() {
    let list = [shard("0", &[], (0, 4)), shard("1", &[], (5, 9)), shard("2", &["0", "1"], (0, 9))];
    let mut tracker = ShardTracker::new(Position::TrimHorizon, None);
    tracker.listed(&list);
    let mut first = tracker.take_ready();
    assert_eq!(ids(&first), ["0", "1"]);
    tracker.finish("0");
    assert!(tracker.take_ready().is_empty());
    first[1].position = Position::After("17".into());
    let mut tracker = restored(&tracker, vec![first.remove(1)]);
    tracker.listed(&list);
    let again = tracker.take_ready();
    assert_eq!((ids(&again), &again[0].position), (vec!["1"], &Position::After("17".into())));
    assert!(tracker.take_ready().is_empty());
    tracker.finish("1");
    assert_eq!(ids(&tracker.take_ready()), ["2"]);
}

/// FLINK-37416: the reader's last words were not heard before the checkpoint.
#[test]
fn what_was_assigned_and_does_not_come_back_was_read() {
    let list = [shard("0", &[], (0, 9)), shard("1", &["0"], (0, 9))];
    let mut tracker = ShardTracker::new(Position::TrimHorizon, None);
    tracker.listed(&list);
    tracker.take_ready();
    let mut tracker = restored(&tracker, Vec::new());
    tracker.listed(&list);
    assert_eq!(ids(&tracker.take_ready()), ["1"]);
    assert!(tracker.is_finished("0"));
}

/// FLINK-37627: a shard that was split while nobody ran.
#[test]
fn a_reshard_while_the_job_was_down_is_read_parent_first() {
    let mut tracker = ShardTracker::new(Position::AtTimestamp(5), None);
    tracker.listed(&[shard("0", &[], (0, 9))]);
    let mut back = tracker.take_ready();
    back[0].position = Position::After("3".into());
    let mut tracker = restored(&tracker, back);
    tracker.listed(&[shard("0", &[], (0, 9)), shard("1", &["0"], (0, 4)), shard("2", &["0"], (5, 9))]);
    let ready = tracker.take_ready();
    assert_eq!((ids(&ready), &ready[0].position), (vec!["0"], &Position::After("3".into())));
    tracker.finish("0");
    assert_eq!(ids(&tracker.take_ready()), ["1", "2"]);
}

/// FLINK-8484: a closed shard that is still listed is not read a second time; and it is
/// forgotten once the retention has taken it.
#[test]
fn finished_shards_are_remembered_as_long_as_they_are_listed() {
    let (parent, child) = (shard("0", &[], (0, 9)), shard("1", &["0"], (0, 9)));
    let mut tracker = ShardTracker::new(Position::TrimHorizon, None);
    tracker.listed(&[parent.clone(), child.clone()]);
    tracker.take_ready();
    tracker.finish("0");
    for _ in 0..5 {
        tracker = restored(&tracker, tracker.clone().take_ready());
        tracker.listed(&[parent.clone(), child.clone()]);
        assert_eq!(tracker.counts().2, 1, "{tracker:?}");
    }
    // One listing without it is not enough: listings are not consistent.
    tracker.listed(std::slice::from_ref(&child));
    tracker.listed(&[parent, child.clone()]);
    assert!(tracker.is_finished("0"));
    (0..3).for_each(|_| tracker.listed(std::slice::from_ref(&child)));
    assert!(!tracker.is_finished("0"));
}

#[test]
fn a_parent_that_was_never_seen_counts_as_read() {
    let mut tracker = ShardTracker::new(Position::TrimHorizon, None);
    tracker.listed(&[shard("8", &["3", "4"], (0, 9))]);
    assert_eq!(ids(&tracker.take_ready()), ["8"]);
}

#[test]
fn latest_skips_what_is_closed_and_a_bound_reaches_every_shard() {
    let mut closed = shard("0", &[], (0, 9));
    closed.closed = true;
    let list = [closed, shard("1", &["0"], (0, 9))];
    let mut tracker = ShardTracker::new(Position::AtTimestamp(7), Some(7));
    tracker.skip(list.iter().filter(|s| s.closed));
    tracker.listed(&list);
    let ready = tracker.take_ready();
    assert_eq!((ids(&ready), ready[0].until), (vec!["1"], Some(7)));
    assert!(!tracker.all_read());
    tracker.finish("1");
    assert!(tracker.all_read());
    assert!(!ShardTracker::new(Position::TrimHorizon, None).all_read(), "nothing was listed yet");
}

#[test]
fn a_child_goes_to_the_reader_of_its_parent() {
    let mut assigner = Assigner::default();
    let parent = shard("0", &[], (0, u128::MAX));
    assert_eq!(assigner.assign(&parent, 4, 8), 1);
    assigner.finish("0");
    let (low, high) = (shard("1", &["0"], (0, u128::MAX / 2)), shard("2", &["0"], (u128::MAX / 2 + 1, u128::MAX)));
    assert_eq!((assigner.assign(&low, 4, 8), assigner.assign(&high, 4, 8)), (1, 1));
    assert_eq!(Assigner::default().assign(&high, 4, 8), 2, "after a restore shards are spread anew");
}

#[test]
fn a_merged_shard_goes_to_the_reader_of_the_parent_that_ended_last() {
    let half = u128::MAX / 2;
    let merged = shard("2", &["0", "1"], (0, u128::MAX));
    for (order, reader) in [(["0", "1"], 1), (["1", "0"], 0)] {
        let mut assigner = Assigner::default();
        assert_eq!(assigner.assign(&shard("0", &[], (0, half)), 2, 2), 0);
        assert_eq!(assigner.assign(&shard("1", &[], (half + 1, u128::MAX)), 2, 2), 1);
        order.iter().for_each(|id| assigner.finish(id));
        assert_eq!(assigner.assign(&merged, 2, 1), reader, "{order:?}");
    }
}

/// One shard at the start, forty at the end: no reader has more than its fair share of them.
#[test]
fn shards_are_spread_while_a_stream_grows() {
    let (mut tracker, mut assigner) = (ShardTracker::new(Position::TrimHorizon, None), Assigner::default());
    let mut open = vec![shard("0000", &[], (0, u128::MAX))];
    let (mut all, mut loads) = (open.clone(), [0_usize; 4]);
    let mut with = std::collections::HashMap::new();
    while open.len() <= 40 {
        tracker.listed(&all);
        let ready = tracker.take_ready();
        let (_, count, _) = tracker.counts();
        for split in ready {
            let reader = assigner.assign(&split.shard, 4, count);
            loads[reader] += 1;
            with.insert(split.shard.id, reader);
        }
        assert!(loads.iter().all(|&n| n <= count.div_ceil(4)), "{loads:?} of {count}");
        // The oldest is split.
        let parent = open.remove(0);
        let (first, last) = parent.hash_keys;
        for keys in [(first, first + (last - first) / 2), (first + (last - first) / 2 + 1, last)] {
            let child = shard(&format!("{:04}", all.len()), &[&parent.id], keys);
            all.push(child.clone());
            open.push(child);
        }
        tracker.finish(&parent.id);
        assigner.finish(&parent.id);
        loads[with[&parent.id]] -= 1;
    }
}

/// What a bounded job has read to its bound goes on after it when the bound falls.
#[test]
fn a_bounded_savepoint_goes_on_without_its_bound() {
    let list = [shard("0", &[], (0, 4)), shard("1", &[], (5, 9))];
    let mut tracker = ShardTracker::new(Position::TrimHorizon, Some(70));
    tracker.listed(&list);
    let mut back = tracker.take_ready();
    assert!(back.iter().all(|s| s.until == Some(70)));
    tracker.finish("0");
    back.remove(0);
    back[0].position = Position::After("3".into());

    let bytes = hurtig_engine::error::to_bytes("tracker", &tracker).expect("bytes");
    let mut again: ShardTracker = hurtig_engine::error::from_bytes("tracker", &bytes).expect("a tracker");
    again.bound(Some(99));
    again.give_back(back.clone());
    again.listed(&list);
    let ready = again.take_ready();
    assert_eq!((ids(&ready), ready[0].until), (vec!["1"], Some(70)), "a bound stays what it was");

    tracker.bound(None);
    tracker.give_back(back);
    tracker.listed(&list);
    let ready = tracker.take_ready();
    assert!(!tracker.is_bounded() && ready.iter().all(|s| s.until.is_none()), "{ready:?}");
    let positions: Vec<_> = ready.iter().map(|s| (s.shard.id.as_str(), s.position.clone())).collect();
    assert_eq!(positions, [("0", Position::AtTimestamp(71)), ("1", Position::After("3".into()))]);
}

/// A step in the life of a stream and of the job that reads it.
#[derive(Debug, Clone)]
enum Step {
    Split(prop::sample::Index),
    Merge(prop::sample::Index),
    List,
    /// A reader comes to the end of one of the closed shards that it has.
    Finish(prop::sample::Index),
    /// The retention takes the oldest closed shards.
    Expire(usize),
    /// A checkpoint is taken now.
    Checkpoint,
    /// The job goes back to its last checkpoint.
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<prop::sample::Index>().prop_map(Step::Split),
        2 => any::<prop::sample::Index>().prop_map(Step::Merge),
        4 => Just(Step::List),
        8 => any::<prop::sample::Index>().prop_map(Step::Finish),
        1 => (1_usize..3).prop_map(Step::Expire),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Restore),
    ]
}

/// The world: all shards that ever were, and what a job has read.
struct World {
    shards: Vec<Shard>,
    expired: usize,
    tracker: ShardTracker,
    reading: Vec<KinesisSplit>,
    /// In the order in which they were read to the end, since the last restore.
    read: Vec<String>,
    checkpoint: (ShardTracker, Vec<KinesisSplit>, Vec<String>),
}

impl World {
    fn new() -> Self {
        let half = u128::MAX / 2;
        let shards = vec![shard("000", &[], (0, half)), shard("001", &[], (half + 1, u128::MAX))];
        let mut tracker = ShardTracker::new(Position::TrimHorizon, None);
        tracker.listed(&shards);
        let checkpoint = (tracker.clone(), Vec::new(), Vec::new());
        World { shards, expired: 0, tracker, reading: Vec::new(), read: Vec::new(), checkpoint }
    }

    fn open(&self) -> Vec<usize> {
        (0..self.shards.len()).filter(|&i| !self.shards[i].closed).collect()
    }

    fn add(&mut self, parents: &[usize], hash_keys: (u128, u128)) {
        let id = format!("{:03}", self.shards.len());
        let parents: Vec<_> = parents.iter().map(|&p| self.shards[p].id.clone()).collect();
        self.shards.push(Shard { id, parents, hash_keys, closed: false });
    }

    fn list(&mut self) {
        self.tracker.listed(&self.shards[self.expired..]);
    }

    fn assign(&mut self) -> Result<(), TestCaseError> {
        for split in self.tracker.take_ready() {
            let known = |id: &String| self.reading.iter().any(|r| r.shard.id == *id);
            prop_assert!(!known(&split.shard.id) && !self.read.contains(&split.shard.id), "{} twice", split.shard.id);
            prop_assert!(!split.shard.parents.iter().any(known), "{} before its parents", split.shard.id);
            self.reading.push(split);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Split(which) => {
                let shard = *which.get(&self.open());
                let (first, last) = self.shards[shard].hash_keys;
                if last - first > 1 {
                    self.shards[shard].closed = true;
                    let middle = first + (last - first) / 2;
                    self.add(&[shard], (first, middle));
                    self.add(&[shard], (middle + 1, last));
                }
            }
            Step::Merge(which) => {
                let one = *which.get(&self.open());
                let (first, last) = self.shards[one].hash_keys;
                let next =
                    self.open().into_iter().find(|&i| last < u128::MAX && self.shards[i].hash_keys.0 == last + 1);
                if let Some(next) = next {
                    (self.shards[one].closed, self.shards[next].closed) = (true, true);
                    self.add(&[one, next], (first, self.shards[next].hash_keys.1));
                }
            }
            Step::List => self.list(),
            Step::Finish(which) => {
                let closed = |s: &KinesisSplit| self.shards.iter().any(|w| w.id == s.shard.id && w.closed);
                let ends: Vec<_> = (0..self.reading.len()).filter(|&i| closed(&self.reading[i])).collect();
                if !ends.is_empty() {
                    let done = self.reading.remove(*which.get(&ends));
                    self.tracker.finish(&done.shard.id);
                    self.read.push(done.shard.id);
                }
            }
            // Only what was read in the checkpoint too: what is lost otherwise no job can read.
            Step::Expire(n) => {
                let gone = |s: &Shard| s.closed && self.read.contains(&s.id) && self.checkpoint.2.contains(&s.id);
                self.expired += self.shards[self.expired..].iter().take(*n).take_while(|s| gone(s)).count();
            }
            Step::Checkpoint => self.checkpoint = (self.tracker.clone(), self.reading.clone(), self.read.clone()),
            Step::Restore => {
                let (tracker, reading, read) = self.checkpoint.clone();
                self.tracker = restored(&tracker, reading);
                (self.reading, self.read) = (Vec::new(), read);
                self.list();
            }
        }
        self.assign()
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_shard_is_read_once_and_after_its_parents(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        world.assign()?;
        for step in &steps {
            world.step(step)?;
        }
        // The stream stands still: the job reads all that there is.
        for _ in 0..world.shards.len() + 1 {
            world.list();
            world.assign()?;
            while let Some(i) = world.reading.iter().position(|r| world.shards.iter().any(|s| s.id == r.shard.id && s.closed)) {
                let done = world.reading.remove(i);
                world.tracker.finish(&done.shard.id);
                world.read.push(done.shard.id);
                world.assign()?;
            }
        }
        let closed: BTreeSet<_> = world.shards.iter().filter(|s| s.closed).map(|s| s.id.clone()).collect();
        let read: BTreeSet<_> = world.read.iter().cloned().collect();
        prop_assert_eq!(read.len(), world.read.len());
        prop_assert_eq!(&read, &closed);
        let open: BTreeSet<_> = world.shards.iter().filter(|s| !s.closed).map(|s| s.id.clone()).collect();
        let reading: BTreeSet<_> = world.reading.iter().map(|s| s.shard.id.clone()).collect();
        prop_assert_eq!(reading, open);
        for (i, id) in world.read.iter().enumerate() {
            let shard = world.shards.iter().find(|s| s.id == *id).expect("there");
            for parent in &shard.parents {
                prop_assert!(world.read[..i].contains(parent), "{} before {}", id, parent);
            }
        }
    }
}
