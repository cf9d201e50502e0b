//! Checkpoints in a real S3 server, which `scripts/servers.sh` starts: killed, restored, exact.

use hurtig_tests::{
    chaos::written::{Written, books},
    program::{command, run_well},
};

use crate::{
    running::Running,
    support::{directory, words},
};

/// `HURTIG_TEST_S3`, a bucket with a prefix; without it there is no server.
pub fn location() -> Option<String> {
    let s3 = std::env::var("HURTIG_TEST_S3").ok();
    if s3.is_none() {
        eprintln!("left out: HURTIG_TEST_S3 is not set (make test sets it)");
    }
    s3.map(|s3| format!("{s3}/{}", std::process::id()))
}

#[test]
fn a_job_with_its_checkpoints_in_s3_survives_kill_9() {
    let Some(s3) = location() else { return };
    let dir = directory();
    let line = |data: &str, more: &str| {
        let data = dir.path().join(data);
        words(&format!(
            "run smart-meters --meters 200 --readings-per-meter 100 --bounded --json --rest-port off \
             --checkpoint-interval 200ms --data-dir {} {more}",
            data.display()
        ))
    };
    let undisturbed = run_well(line("undisturbed", "")).expect("it ends");
    let undisturbed = (undisturbed, Written::below(&dir.path().join("undisturbed")).expect("what it wrote"));

    let stored = || {
        let said = run_well(words(&format!(
            "checkpoints smart-meters --json --data-dir {} --checkpoint-dir {s3}",
            dir.path().join("killed").display()
        )));
        said.is_ok_and(|said| said.events().count() > 0)
    };
    let in_s3 = format!("--checkpoint-dir {s3}");
    let mut first = Running::start(&mut command(line("killed", &format!("{in_s3} --rate 4000"))).expect("hurtig"));
    first.until("a checkpoint in S3", stored);
    drop(first); // kills it

    let again = run_well(line("killed", &format!("{in_s3} --from latest --parallelism 1"))).expect("it goes on");
    let restored = again.event("restored").expect("where it began");
    assert!(restored["from"]["path"].as_str().is_some_and(|path| path.starts_with(&s3)), "{restored}");
    let written = Written::below(&dir.path().join("killed")).expect("what it wrote");
    assert_eq!(written.difference(&undisturbed.1), None);
    let finished = again.event("finished").expect("a summary");
    written.agrees_with(&books(&finished).expect("books")).expect("books that agree");
    assert!(!dir.path().join("killed/checkpoints").exists(), "nothing of it lies in the data directory");
}
