//! A flush that fails in the middle loses nothing that a checkpoint holds.

mod common;

use common::{Cluster, kinds};

#[test]
fn a_failed_flush_is_an_error_and_the_last_snapshot_still_good() {
    for kind in kinds() {
        let scenario = fail::FailScenario::setup();
        let mut c = Cluster::new(kind, 1, 128, 1 << 20).expect("opens");
        let (b, s) = c.at("a");
        s.value.update(b, "good".to_owned()).expect("updates");
        let parts = c.snapshot().expect("a snapshot");
        let (b, s) = c.at("a");
        s.value.update(b, "bad".to_owned()).expect("updates");
        fail::cfg("state-flush", "return").expect("a failpoint");
        let error = c.snapshot().expect_err("the flush fails").to_string();
        assert!(error.contains("state-flush"), "{error}");
        scenario.teardown();
        let mut config = c.config(1, 0);
        config.dir = c.dir("again");
        let mut b = hurtig_state::KeyedStateBackend::<String>::open(config, parts).expect("opens");
        let s = common::States::register(&mut b).expect("registers");
        b.set_current_key("a".to_owned());
        assert_eq!(s.value.value(&mut b).expect("reads").map(String::as_str), Some("good"));
    }
}
