//! An enumerator that knows its splits and deals them out at once, round robin.

use hurtig_engine::{
    error::{Result, from_bytes, to_bytes},
    source::{Assignments, Split, SplitEnumerator},
};

const WHAT: &str = "the enumerator of a test source";

/// Deals out the splits that it has at the start, and after a restore those that are left.
pub struct AllAtOnce<S> {
    unassigned: Vec<S>,
}

impl<S: Split> AllAtOnce<S> {
    /// On a fresh start the splits are `all`.
    pub fn boxed(
        restored: Option<Vec<u8>>,
        all: impl FnOnce() -> Result<Vec<S>>,
    ) -> Result<Box<dyn SplitEnumerator<S>>> {
        let unassigned = match restored {
            Some(bytes) => from_bytes(WHAT, &bytes)?,
            None => all()?,
        };
        Ok(Box::new(AllAtOnce { unassigned }))
    }
}

impl<S: Split> SplitEnumerator<S> for AllAtOnce<S> {
    fn add_splits_back(&mut self, splits: Vec<S>) {
        self.unassigned.extend(splits);
    }

    fn poll(&mut self, ctx: &mut Assignments<S>) -> Result<()> {
        for (i, split) in self.unassigned.drain(..).enumerate() {
            ctx.assign(i % ctx.readers().max(1), split);
        }
        ctx.no_more_splits();
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        to_bytes(WHAT, &self.unassigned)
    }
}
