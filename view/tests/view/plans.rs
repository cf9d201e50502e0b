//! What the panels' statements read: those of last values no file, those of times only what is of that time.

use arrow::util::pretty::pretty_format_batches;
use hurtig_store::Queries;
use hurtig_view::{Question, Span};

use crate::support::{Stored, fleet, options, run};

#[test]
fn last_values_read_no_file() {
    run(async {
        let stored = Stored::with(&fleet()).await;
        stored.store.flush().await.expect("flushed");
        let view = stored.view(options());
        let queries = Queries::new(&stored.store, Default::default()).expect("queries");
        let files = async |question: &Question| {
            let mut counts = Vec::new();
            for (_, sql) in view.statements(question).await.expect("statements") {
                let prepared = queries.prepare(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
                let plan = prepared.physical_plan().await.expect(&sql).expect("a plan");
                let text = datafusion_text(plan.as_ref());
                counts.push(text.matches("DataSourceExec").count());
            }
            counts
        };
        for question in [Question::Voltage, Question::Silent, Question::Meters { find: "m".into() }] {
            assert_eq!(files(&question).await, [0], "{question:?}");
        }
        // The two sums of energy are of readings.
        assert_eq!(files(&Question::Fleet).await, [0, 2]);
        assert_eq!(files(&Question::Consumption(Span::Hour)).await, [1]);
        assert_eq!(files(&Question::Meter { id: "m-1".into(), until: None }).await, [0, 1]);
        // A meter that there is not has nothing to read.
        assert_eq!(files(&Question::Meter { id: "m-9".into(), until: None }).await, [0, 0]);
        assert_eq!(files(&Question::Lateness).await, [0; 0]);
    });
}

fn datafusion_text(plan: &dyn datafusion::physical_plan::ExecutionPlan) -> String {
    datafusion::physical_plan::displayable(plan).indent(false).to_string()
}

#[test]
fn the_statements_are_what_is_run() {
    run(async {
        let stored = Stored::with(&fleet()).await;
        let queries = Queries::new(&stored.store, Default::default()).expect("queries");
        let found = Question::Meters { find: "3".into() };
        let statements = stored.view(options()).statements(&found).await.expect("statements");
        let result = queries.execute(&statements[0].1).await.expect("a query").collect().await.expect("rows");
        let text = pretty_format_batches(&result).expect("a table").to_string();
        assert!(text.contains("m-3") && !text.contains("m-1"), "{text}");
    });
}
