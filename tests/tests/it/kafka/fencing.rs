//! Two runs with one transactional id: the older one ends and says why, the newer one is not disturbed.

use hurtig_engine::{
    runner::{JobState, RestartStrategy, Restore},
    time::ms,
};
use hurtig_tests::servers::{Kafka, Server, left_out};

use super::{
    alone,
    jobs::{must_be_exact, settings, start, until_out},
    topics,
};
use crate::support::{directory, until_running};

#[test]
fn the_older_of_two_runs_ends_and_does_not_take_over_again() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("in", 2).expect("a topic");
    kafka.create_topic("out", 3).expect("a topic");
    let dir = directory();
    // They do not know of each other: nothing but the transactional id is the same.
    let mut config = settings(&dir.path().join("older"), Restore::Fresh);
    config.restart = RestartStrategy::FixedDelay { delay: ms(100), attempts: 5 };
    let older = start(&kafka, 2, config);
    topics::produce(&kafka, "in", 0..5_000, |n| (n % 2) as i32);
    until_out(&kafka, &older, 5_000);
    let savepoint = older.savepoint(Some(dir.path().join("savepoints").display().to_string())).expect("a savepoint");

    let newer = start(&kafka, 1, settings(&dir.path().join("newer"), Restore::Path(savepoint)));
    // What the older one can still publish is what it reads until then, and the savepoint does not know of it.
    until_running(&newer);
    topics::produce(&kafka, "in", 5_000..10_000, |n| (n % 2) as i32);
    let failed = older.wait().expect_err("it has been fenced").to_string();
    assert_eq!(older.state(), JobState::Failed);
    assert!(failed.contains("'hurtig/counts/out' has taken over") && !failed.contains('\n'), "{failed}");
    let exceptions = older.status().exceptions;
    assert!(exceptions.iter().all(|e| e.message.contains("has taken over")), "{exceptions:?}");

    // It has tried again as often as it may, and has never come in the newer one's way.
    topics::produce(&kafka, "in", 10_000..15_000, |n| (n % 2) as i32);
    until_out(&kafka, &newer, 15_000);
    assert_eq!(newer.status().restarts, 0, "{:?}", newer.status().exceptions);
    newer.stop(None, false).expect("a savepoint");
    assert_eq!(newer.wait().expect("it ends").state, JobState::Finished);
    must_be_exact(&kafka, 15_000);
}
