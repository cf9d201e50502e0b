//! What the book says of the examples is so.

#[allow(dead_code, reason = "its main is the example's own")]
#[path = "../examples/submit.rs"]
mod submit;

#[test]
fn a_job_that_is_run_from_code_is_saved_cancelled_and_taken_up_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (before, after) = submit::run(dir.path()).expect("it runs");
    assert!(before >= 1_000 && after >= before, "the counters go on: {before}, {after}");
    assert_eq!(dir.path().join("saved").read_dir().expect("savepoints").count(), 1);
}

const EXAMPLE: &str = include_str!("../examples/user_job.rs");
const BOOK: &str = include_str!("../../docs/getting-started.md");
const README: &str = include_str!("../../README.md");

#[test]
fn a_job_of_ones_own_takes_less_than_forty_lines() {
    assert!(EXAMPLE.lines().count() < 40);
}

#[test]
fn the_book_shows_the_example_as_it_is() {
    let shown = BOOK.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown, Some(EXAMPLE), "copy jobs/examples/user_job.rs to docs/getting-started.md");
}

#[test]
fn the_readme_shows_a_part_of_it() {
    let shown = README.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    assert!(shown.is_some_and(|s| EXAMPLE.ends_with(s)), "copy the example's main to README.md");
}
