//! What the answers of Timestream make of a batch. The transport here is no server: it gives the answers that a
//! server cannot be made to give when they are wanted (throttling, lost answers, a rejection that names no record).

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use backon::ExponentialBuilder;
use hurtig_async_sink::Counts;
use hurtig_timestream::{Failure, TimestreamRecord, Transport, delivery::deliver, queue::Item};
use proptest::prelude::*;

/// Stores what is good, and answers as its script has it first.
#[derive(Default)]
struct Scripted {
    /// Answers before all others, from the last.
    script: Mutex<Vec<Failure>>,
    /// Values that make a request invalid as a whole.
    invalid: BTreeSet<u64>,
    /// Values that are rejected by their index.
    rejected: BTreeSet<u64>,
    stored: Mutex<BTreeSet<u64>>,
}

impl Transport for Scripted {
    async fn write(&self, items: &[Item]) -> Result<(), Failure> {
        if let Some(failure) = self.script.lock().expect("a script").pop() {
            return Err(failure);
        }
        if items.iter().any(|item| self.invalid.contains(&item.value)) {
            return Err(Failure::Invalid("ValidationException: no".into()));
        }
        let bad = |item: &Item| self.rejected.contains(&item.value);
        self.stored.lock().expect("a store").extend(items.iter().filter(|i| !bad(i)).map(|i| i.value));
        let rejected: Vec<_> =
            items.iter().enumerate().filter(|(_, i)| bad(i)).map(|(at, i)| (at, format!("no {}", i.value))).collect();
        if rejected.is_empty() { Ok(()) } else { Err(Failure::Rejected(rejected)) }
    }
}

fn items(n: u64) -> Vec<Item> {
    let record = |n: u64| TimestreamRecord::single("kwh", n as f64, 1).dimension("meter", n.to_string());
    (0..n).map(|n| Item { value: n, identity: record(n).identity(), record: record(n) }).collect()
}

fn quick() -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(Duration::from_millis(1)).with_max_delay(Duration::from_millis(2))
}

fn run(transport: &Scripted, n: u64, counts: &Counts) -> Result<Vec<bool>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = runtime.block_on(deliver(transport, &items(n), quick(), counts))?;
    Ok(answer.iter().map(Option::is_none).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_bad_ones_are_refused(
        invalid in proptest::collection::btree_set(0_u64..100, 0..6),
        rejected in proptest::collection::btree_set(0_u64..100, 0..10),
        n in 1_u64..=100,
    ) {
        let transport = Scripted { invalid: invalid.clone(), rejected: rejected.clone(), ..Scripted::default() };
        let counts = Counts::default();
        let written = run(&transport, n, &counts).expect("delivered");
        for (value, written) in (0..n).zip(&written) {
            prop_assert_eq!(*written, !invalid.contains(&value) && !rejected.contains(&value), "{}", value);
        }
        let stored: Vec<_> = transport.stored.into_inner().expect("a store").into_iter().collect();
        let said: Vec<_> = (0..n).zip(&written).filter(|(_, w)| **w).map(|(n, _)| n).collect();
        prop_assert_eq!(stored, said);
        prop_assert_eq!(counts.rejected.get() as usize, written.iter().filter(|w| !**w).count());
    }
}

#[test]
fn what_passes_is_sent_again_and_what_does_not_is_not() {
    let passing = ["ThrottlingException", "InternalServerException", "InvalidEndpointException", "ServiceUnavailable"];
    let script: Vec<_> = passing.iter().map(|code| Failure::classify(Some(code), Some(400), (*code).into())).collect();
    let lost = Failure::classify(None, None, "connection reset".into());
    let unavailable = Failure::classify(None, Some(502), "bad gateway".into());
    let transport = Scripted { script: Mutex::new([script, vec![lost, unavailable]].concat()), ..Scripted::default() };
    let counts = Counts::default();
    assert_eq!(run(&transport, 3, &counts).expect("delivered"), [true; 3]);
    assert_eq!((counts.requests.get(), counts.retries.get(), counts.throttled.get()), (7, 6, 1));

    let denied = Failure::classify(Some("AccessDeniedException"), Some(400), "AccessDeniedException: no".into());
    let transport = Scripted { script: Mutex::new(vec![denied]), ..Scripted::default() };
    let said = run(&transport, 3, &Counts::default()).expect_err("the end");
    assert!(said.contains("allow timestream:WriteRecords") && !said.contains('\n'), "{said}");
}

#[test]
fn a_rejection_that_names_no_record_or_one_that_was_not_sent_is_looked_into() {
    for strange in [Vec::new(), vec![(7, "out of the request".to_owned())]] {
        let transport = Scripted {
            script: Mutex::new(vec![Failure::Rejected(strange)]),
            rejected: [2].into(),
            ..Scripted::default()
        };
        let counts = Counts::default();
        assert_eq!(run(&transport, 4, &counts).expect("delivered"), [true, true, false, true]);
        assert_eq!(counts.split.get(), 1);
    }
}
