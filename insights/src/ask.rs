//! Who runs the SQL: whoever has a table `readings`, wherever it is.

use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::error::{Error, Result};

/// Answers SQL over a table `readings` with the columns `meter_id`, `time` and `arrived` (timestamps in UTC; `arrived` may
/// be null), `measure`, `value`, `region`, and the numbers `year` and `month` of its partitions.
#[async_trait]
pub trait Ask: Send + Sync + 'static {
    /// All of the answer. Whoever drops this does not want it any more.
    ///
    /// # Errors
    /// [`Error::Query`], in one line.
    async fn ask(&self, sql: &str) -> Result<Vec<RecordBatch>>;
}

impl Error {
    /// The words of whoever runs the SQL.
    pub fn query(said: impl std::fmt::Display) -> Self {
        Error::Query(said.to_string())
    }
}
