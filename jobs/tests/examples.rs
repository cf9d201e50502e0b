//! What the book says of the examples is so.

const EXAMPLE: &str = include_str!("../examples/user_job.rs");
const BOOK: &str = include_str!("../../docs/getting-started.md");

#[test]
fn a_job_of_ones_own_takes_less_than_forty_lines() {
    assert!(EXAMPLE.lines().count() < 40);
}

#[test]
fn the_book_shows_the_example_as_it_is() {
    let shown = BOOK.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown, Some(EXAMPLE), "copy jobs/examples/user_job.rs to docs/getting-started.md");
}
