//! `Query`, `CancelQuery`, `PrepareQuery`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    fault::Fault,
    open_queries::{Asked, OpenQueries},
    request::{Text, in_range, length, parse, required},
};

/// Characters of a query.
const QUERY: usize = 262_144;
/// Rows of a page.
const ROWS: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    query_string: Option<String>,
    client_token: Option<String>,
    next_token: Option<String>,
    max_rows: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CancelQuery<'a> {
    #[serde(borrow)]
    query_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrepareQuery {
    query_string: Option<String>,
    #[serde(default)]
    validate_only: bool,
}

/// `Query`
pub async fn query(queries: &OpenQueries, principal: Option<String>, body: &[u8]) -> Result<Bytes, Fault> {
    let request: Query = parse(body)?;
    let sql = query_string(request.query_string)?;
    if let Some(token) = &request.client_token {
        length(token, "clientToken", 32, 128)?;
    }
    // Without MaxRows only a page's bytes are bounded.
    let max_rows = in_range(request.max_rows, "maxRows", 1, ROWS, usize::MAX - 1)?;
    let asked = Asked { principal, sql, client_token: request.client_token, next_token: request.next_token, max_rows };
    queries.answer(asked).await
}

/// `CancelQuery`
pub fn cancel_query(queries: &OpenQueries, principal: Option<&str>, body: &[u8]) -> Result<Value, Fault> {
    let request: CancelQuery<'_> = parse(body)?;
    let id = required(request.query_id, "queryId")?;
    length(&id, "queryId", 1, 64)?;
    Ok(json!({ "CancellationMessage": queries.cancel(principal, &id)? }))
}

/// `PrepareQuery`: the columns of a query's result. The one parameter that there is, is a scheduled query's.
pub async fn prepare_query(queries: &OpenQueries, body: &[u8]) -> Result<Value, Fault> {
    let request: PrepareQuery = parse(body)?;
    let sql = query_string(request.query_string)?;
    let (columns, parameters) = match queries.engine().prepare(&sql).await {
        Err(_) if sql.to_ascii_lowercase().contains("@scheduled_runtime") => {
            let columns = queries.engine().prepare_scheduled(&sql, queries.now_ms()).await?;
            (columns, json!([{ "Name": "scheduled_runtime", "Type": { "ScalarType": "TIMESTAMP" } }]))
        }
        columns => (columns?, json!([])),
    };
    // With ValidateOnly Timestream says only whether it is right.
    let columns = if request.validate_only { Vec::new() } else { columns };
    Ok(json!({ "QueryString": sql, "Columns": columns, "Parameters": parameters }))
}

/// The text of a query.
pub fn query_string(text: Option<String>) -> Result<String, Fault> {
    let text = required(text, "queryString")?;
    length(&text, "queryString", 1, QUERY)?;
    Ok(text)
}
