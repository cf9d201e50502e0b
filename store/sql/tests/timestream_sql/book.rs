//! The queries of docs/store-sql.md.

use crate::{devops, fixture::*};

#[tokio::test]
async fn every_query_of_the_book_runs() {
    let book = include_str!("../../../../docs/store-sql.md");
    let engine = engine(devops::memory());
    let queries: Vec<&str> = book.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(queries.len() > 8);
    for query in queries {
        match query.trim().split_once("-- → ") {
            Some((sql, expected)) => assert_eq!(value(&engine, sql).await, expected, "{sql}"),
            None => assert!(!table(&engine, query).await.is_empty(), "{query}"),
        }
    }
}
