//! Names that no two requests or queries have: of the server's start and a running number.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Gives names.
#[derive(Debug)]
pub struct Ids {
    /// Milliseconds since 1970: another run of the server gives other names.
    start: i64,
    next: AtomicU64,
}

impl Ids {
    /// Of a server that starts now.
    pub fn new(now_ms: i64) -> Self {
        Ids { start: now_ms, next: AtomicU64::new(0) }
    }

    /// The next one: letters and digits only.
    pub fn next(&self) -> String {
        format!("{:012X}{:012X}", self.start, self.next.fetch_add(1, Relaxed))
    }
}
