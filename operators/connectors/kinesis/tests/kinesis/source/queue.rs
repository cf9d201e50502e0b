//! Bounded buffers.

use bytes::Bytes;
use hurtig_engine::task::pool::Waker;
use hurtig_kinesis::source::{
    queue::{Budget, End, Queue},
    unpack::StreamRecord,
};

fn records(n: usize, bytes: usize) -> Vec<StreamRecord> {
    let record = |i: usize| StreamRecord {
        sequence_number: i.to_string(),
        arrival: 0,
        partition_key: String::new(),
        data: vec![0; bytes].into(),
    };
    (0..n).map(record).collect()
}

fn drain(queue: &Queue) -> usize {
    std::iter::from_fn(|| queue.pop()).count()
}

#[test]
fn a_full_budget_stops_the_fetching_but_for_shards_that_have_nothing() {
    let budget = Budget::new(10_000);
    let (a, b) = (Queue::new(budget.clone()), Queue::new(budget.clone()));
    let waker = Waker::default();
    assert!(a.has_room());
    a.push(records(5, 1000), &waker);
    assert!(a.has_room(), "half of the budget is free");
    a.push(records(5, 1000), &waker);
    assert!(!a.has_room(), "{} bytes are held", budget.used());
    assert!(b.has_room(), "a shard without records never waits for others");
    b.push(records(1, 1000), &waker);
    assert!(!b.has_room());

    assert_eq!(drain(&a), 10);
    assert!(a.has_room() && b.has_room());
    drop(b);
    assert_eq!(budget.used(), 0, "what a dropped queue held is free");
}

#[test]
fn small_fetches_are_bounded_in_number() {
    let queue = Queue::new(Budget::new(usize::MAX));
    let waker = Waker::default();
    let fetches = (0..).take_while(|_| queue.has_room()).inspect(|_| queue.push(records(2, 1), &waker)).count();
    assert_eq!(fetches, 4);
    queue.pop();
    assert!(!queue.has_room(), "the first fetch is not used up");
    queue.pop();
    assert!(queue.has_room());
}

#[test]
fn the_end_comes_after_the_last_record() {
    let queue = Queue::new(Budget::new(1000));
    let waker = Waker::default();
    queue.push(records(1, 1), &waker);
    queue.end(End::Read, &waker);
    assert!(queue.take_end().is_none());
    assert!(queue.pop().is_some_and(|r| r.data == Bytes::from_static(&[0])));
    assert!(queue.is_ready());
    assert!(matches!(queue.take_end(), Some(End::Read)));
    assert!(!queue.is_ready());
}

#[test]
fn who_waits_for_room_is_woken_by_the_reader() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let queue = Queue::new(Budget::new(1000));
    queue.push(records(2, 1000), &Waker::default());
    let waiting = runtime.spawn({
        let queue = queue.clone();
        async move { queue.room().await }
    });
    queue.pop();
    assert!(!waiting.is_finished());
    queue.pop();
    runtime.block_on(waiting).expect("woken");
}

#[test]
fn many_shards_ask_for_less_each() {
    let budget = Budget::new(8 << 20);
    let queues: Vec<_> = (0..4).map(|_| Queue::new(budget.clone())).collect();
    assert_eq!(budget.target(), 1 << 20);
    let more: Vec<_> = (0..12).map(|_| Queue::new(budget.clone())).collect();
    assert_eq!(budget.target(), 256 << 10);
    drop((queues, more));
    assert_eq!(budget.target(), 1 << 20);
}
