//! Jobs that read and write a real Kafka broker: what goes in comes out once, whatever happens in between.

mod committing;
mod fencing;
mod hybrid;
mod jobs;
mod outages;
mod reading;
mod secured;
pub mod topics;
mod writing;

use std::sync::{Mutex, MutexGuard};

/// Failpoints are the whole process's, and a broker takes half a gigabyte: one test at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|e| e.into_inner())
}
