//! When nothing goes out any more: whoever cancels a job waits for the commit that is under way.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing may be acknowledged of what was sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches how many messages are in flight.
pub(super) struct Standstill {
    least: usize,
    until: Instant,
}

impl Standstill {
    /// Begins with nothing known.
    pub fn watch() -> Self {
        Standstill { least: usize::MAX, until: Instant::now() + PATIENCE }
    }

    /// Whether there have not been fewer for too long.
    pub fn is_there(&mut self, in_flight: usize) -> bool {
        let now = Instant::now();
        if in_flight < self.least {
            *self = Standstill { least: in_flight, until: now + PATIENCE };
        }
        now >= self.until
    }
}
