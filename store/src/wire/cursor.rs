//! A query's result, page by page.
//!
//! Rows are made of batches only as far as the next page needs them, and batches are asked for only then: a client that
//! does not come for its next page holds the query back, and what is kept meanwhile is about a page.

use std::{collections::VecDeque, sync::atomic::Ordering::Relaxed, time::Duration};

use arrow::array::RecordBatch;
use futures::{StreamExt, stream::BoxStream};
use hurtig_timestream_sql::{column_info::ColumnInfo, datum};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    engine::RunningQuery,
    fault::{Fault, Kind},
};

/// Bytes of a page's rows at most; a row that is longer has a page of its own.
const PAGE_BYTES: usize = 1_000_000;
/// Rows that are made at a time.
const ROWS: usize = 128;

/// A result that is being read.
pub struct Cursor {
    /// As long as it is there, it counts as an open query. It goes first: whoever sees the result go finds room.
    _permit: OwnedSemaphorePermit,
    columns: Vec<ColumnInfo>,
    batches: BoxStream<'static, hurtig_timestream_sql::Result<RecordBatch>>,
    ended: bool,
    /// What of a batch has not become rows yet.
    batch: Option<RecordBatch>,
    /// Rows that wait for a page, and their bytes.
    rows: VecDeque<Box<RawValue>>,
    bytes: usize,
    counted: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
    /// Bytes of the result so far.
    seen: u64,
}

/// A page.
pub struct Page {
    pub rows: Vec<Box<RawValue>>,
    /// There is nothing behind it.
    pub is_last: bool,
}

impl Cursor {
    /// Of a query that has begun.
    pub fn new(query: RunningQuery, permit: OwnedSemaphorePermit) -> Self {
        Cursor {
            columns: query.columns,
            batches: query.batches,
            ended: false,
            batch: None,
            rows: VecDeque::new(),
            bytes: 0,
            counted: query.bytes_scanned,
            seen: 0,
            _permit: permit,
        }
    }

    /// The result's columns.
    pub fn columns(&self) -> &[ColumnInfo] {
        &self.columns
    }

    /// Bytes that were read so far.
    pub fn bytes_scanned(&self) -> u64 {
        self.counted.as_ref().map_or(self.seen, |counted| counted.load(Relaxed))
    }

    /// The next page, of at most so many rows. When that takes longer than `wait`, it has what there is by then.
    ///
    /// Whoever gives it up on the way loses nothing: the next call goes on.
    pub async fn page(&mut self, most: usize, wait: Duration) -> Result<Page, Fault> {
        let late = tokio::time::sleep(wait);
        tokio::pin!(late);
        while self.rows.len() <= most && self.bytes <= PAGE_BYTES {
            if self.make_rows()? {
                continue;
            }
            if self.ended {
                break;
            }
            let next = tokio::select! {
                biased;
                next = self.batches.next() => next,
                () = &mut late => break,
            };
            match next {
                None => self.ended = true,
                Some(batch) => {
                    let batch = batch?;
                    self.seen += u64::try_from(batch.get_array_memory_size()).unwrap_or_default();
                    self.batch = Some(batch);
                }
            }
        }
        Ok(self.take_page(most))
    }

    /// Makes rows of what is left of a batch, if anything is.
    fn make_rows(&mut self) -> Result<bool, Fault> {
        let Some(batch) = self.batch.take() else { return Ok(false) };
        let some = batch.num_rows().min(ROWS);
        for row in datum::rows(&batch.slice(0, some))? {
            let row = to_raw_value(&row).map_err(|e| Fault::new(Kind::InternalServer, e.to_string()))?;
            self.bytes += row.get().len();
            self.rows.push_back(row);
        }
        if some < batch.num_rows() {
            self.batch = Some(batch.slice(some, batch.num_rows() - some));
        }
        Ok(true)
    }

    fn take_page(&mut self, most: usize) -> Page {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = self.rows.front() {
            let with_it = bytes + row.get().len();
            if rows.len() >= most || (with_it > PAGE_BYTES && !rows.is_empty()) {
                break;
            }
            bytes = with_it;
            rows.extend(self.rows.pop_front());
        }
        self.bytes -= bytes;
        Page { rows, is_last: self.ended && self.batch.is_none() && self.rows.is_empty() }
    }
}
