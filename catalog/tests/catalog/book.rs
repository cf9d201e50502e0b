//! The statements of docs/catalog.md are read.

use hurtig_catalog::{Projection, Statement};

use crate::fixture::NOW_MS;

#[test]
fn the_books_statements_are_read() {
    let book = include_str!("../../../docs/catalog.md");
    let blocks: Vec<&str> =
        book.split("```sql\n").skip(1).map(|rest| rest.split("```").next().expect("an end")).collect();
    assert!(blocks.len() >= 5, "{blocks:?}");
    for block in &blocks {
        let read = Statement::parse(block);
        assert!(matches!(read, Ok(Some(_))), "{block}\n{read:?}");
    }
    let Ok(Some(Statement::CreateTable { table, notes, .. })) = Statement::parse(blocks[0]) else { panic!("a table") };
    assert!(notes.is_empty());
    let size = Projection::of(&table).expect("a projection").and_then(|projection| projection.size(NOW_MS));
    assert!(size == Some(794_592) && book.contains("794,592"));
}
