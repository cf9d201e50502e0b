//! Ends a source from outside, so that its job comes to a proper end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// A switch that a source looks at before every poll. Clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The source ends where it is.
    pub fn set(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether it should end.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}
