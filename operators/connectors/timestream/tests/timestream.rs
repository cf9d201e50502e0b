//! The crate's tests without AWS.

#[path = "timestream/delivery.rs"]
mod delivery;
#[path = "timestream/queue.rs"]
mod queue;
#[path = "timestream/records.rs"]
mod records;
