//! Where batches go.

use std::future::Future;

use crate::batch::Batch;

/// Of every item of a batch, in its order: `None` is written, else why it is not. An error is the end of the sink, in one line
/// that says what to do: nothing is known of the items.
pub type Answers<R> = Result<Vec<Option<R>>, String>;

/// Delivers batches: again what may pass, for as long as it takes.
pub trait Destination<B: Batch>: Send + Sync + 'static {
    /// Why an item is not written.
    type Refusal: Send + 'static;

    /// Delivers until every item has its answer.
    fn deliver(&self, batch: &B) -> impl Future<Output = Answers<Self::Refusal>> + Send;
}
