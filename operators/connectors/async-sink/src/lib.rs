//! What sinks share that send requests to a service, as Flink's `AsyncSinkBase` has it (FLIP-171): values become items, items
//! go in batches, a batch is delivered by a task on the job's runtime, and a value is written when all its items are.
//!
//! ```text
//!  worker's thread                                    the job's runtime
//!  SinkWriter ─▶ AsyncWriter.push ─▶ BatchQueue ─▶ driver ─▶ Destination.deliver, several at a time
//!       ▲                                               │
//!       └── AsyncWriter.collect ◀── answers ◀───────────┘ wakes the worker
//! ```
//!
//! A sink brings a [`BatchQueue`], which knows what may go together and when, and a [`Destination`], which delivers a batch
//! until every item has its answer. [`AsyncWriter`] is the half that the sink's writer holds: it bounds what is
//! buffered, flushes after a time, and gives back each value with its refusals, so that its books are kept once. Nothing is
//! dropped on the way: a batch is delivered or the sink fails, and then the job goes on from its checkpoint.

mod batch;
mod destination;
mod driver;
mod metrics;
mod seed;
mod shared;
mod waiting;
mod writer;

pub use self::{
    batch::{Batch, BatchQueue},
    destination::{Answers, Destination},
    metrics::{Counts, SinkMetrics},
    seed::seed,
    waiting::Settled,
    writer::{AsyncWriter, dead_letter_as_json},
};
