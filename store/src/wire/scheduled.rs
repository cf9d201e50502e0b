//! Scheduled queries: they are not offered yet, and that is said.

use super::fault::Fault;

/// What all their operations answer.
pub fn refuse() -> Fault {
    Fault::validation("Scheduled queries are not offered by this server.")
}
