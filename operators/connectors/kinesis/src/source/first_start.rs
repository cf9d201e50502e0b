//! What a source keeps from its first start in this process.
//!
//! A job that fails before its first checkpoint starts again in the same process, with nothing
//! restored: "now" is still when it first started, and what it registered is still its own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::shard::Shard;

/// The time of a source's first start and what it found then. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct FirstStart {
    seen: Arc<OnceLock<(i64, BTreeSet<String>)>>,
    registered: Arc<Mutex<Option<String>>>,
}

impl FirstStart {
    /// The time of the first start in milliseconds since the epoch, which is `now` if this is it,
    /// and which shards were closed already then.
    pub fn at(&self, now: i64, shards: &[Shard]) -> (i64, &BTreeSet<String>) {
        let closed = || shards.iter().filter(|s| s.closed).map(|s| s.id.clone()).collect();
        let (at, closed) = self.seen.get_or_init(|| (now, closed()));
        (*at, closed)
    }

    /// This consumer of enhanced fan-out was registered by us.
    pub(super) fn register(&self, consumer_arn: &str) {
        *self.registered.lock().unwrap_or_else(PoisonError::into_inner) = Some(consumer_arn.to_owned());
    }

    /// The consumer that was registered by us.
    pub(super) fn registered(&self) -> Option<String> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
