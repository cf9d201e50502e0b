//! `docs/view.md` has the statements that are run.

use hurtig_view::{Question, Span};

use crate::support::{Stored, fleet, options, run};

#[test]
fn the_page_of_the_book_has_every_statement() {
    run(async {
        let stored = Stored::with(&fleet()).await;
        let view = stored.view(options());
        let book = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/view.md")).expect("the page");
        let mut missing = String::new();
        for question in [
            Question::Fleet,
            Question::Consumption(Span::Hour),
            Question::Voltage,
            Question::Silent,
            Question::Meter { id: "m-1".into(), until: None },
            Question::Meters { find: "m-".into() },
        ] {
            for (name, sql) in view.statements(&question).await.expect("statements") {
                let block = format!("```sql\n-- {name}\n{sql}\n```\n");
                if !book.contains(&block) {
                    missing += &block;
                }
            }
        }
        assert!(missing.is_empty(), "docs/view.md does not have:\n{missing}");
    });
}
