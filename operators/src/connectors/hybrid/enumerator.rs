//! Knows which source it is at, and switches when the first one has been read, all of it.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use hurtig_engine::{
    error::{Error, Result, from_bytes, to_bytes},
    source::{Assignments, EnumeratorContext, Source, Split, SplitEnumerator},
};
use serde::{Deserialize, Serialize};

use super::{HybridSplit, NONE, Plan, SwitchContext, split::own_id};

const WHAT: &str = "the hybrid source's enumerator";

/// What a checkpoint has of it.
#[derive(Serialize, Deserialize)]
enum State {
    /// At the first source: its enumerator, and the greatest position of splits that were finished
    /// before the job was restored.
    First { enumerator: Vec<u8>, newest: Option<i64> },
    /// The first source has been read, and the next one has no enumerator yet.
    Switching(SwitchContext),
    /// At the next source.
    Next { enumerator: Vec<u8>, switch: SwitchContext },
}

type Boxed<S> = Box<dyn SplitEnumerator<S>>;

/// Where what is made in the background is put.
type Slot<S> = Arc<Mutex<Option<Result<Boxed<S>>>>>;

enum Phase<A, B> {
    First {
        enumerator: Boxed<A>,
        /// With readers, by their own ids.
        assigned: HashSet<String>,
        newest: i64,
    },
    Switching {
        switch: SwitchContext,
        made: Slot<B>,
    },
    Next {
        enumerator: Boxed<B>,
        switch: SwitchContext,
    },
}

/// The enumerator of a [`HybridSource`](super::HybridSource).
pub struct HybridEnumerator<A: Source, B: Source<Item = A::Item>> {
    plan: Arc<Plan<A::Item, B>>,
    ctx: EnumeratorContext,
    phase: Phase<A::Split, B::Split>,
}

impl<A: Source, B: Source<Item = A::Item>> HybridEnumerator<A, B> {
    pub(super) fn new(
        first: &A,
        plan: Arc<Plan<A::Item, B>>,
        ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Self> {
        let state = restored.map(|bytes| from_bytes::<State>(WHAT, &bytes)).transpose()?;
        // Here waiting is allowed, so that what is wrong with the next source is said before it runs.
        let next = |switch: &SwitchContext, state| (plan.next)(switch)?.enumerator(ctx.clone(), state);
        let phase = match state {
            None => {
                let enumerator = first.enumerator(ctx.clone(), None)?;
                Phase::First { enumerator, assigned: HashSet::new(), newest: NONE }
            }
            Some(State::First { enumerator, newest }) => {
                let enumerator = first.enumerator(ctx.clone(), Some(enumerator))?;
                Phase::First { enumerator, assigned: HashSet::new(), newest: newest.unwrap_or(NONE) }
            }
            Some(State::Switching(switch)) => Phase::Next { enumerator: next(&switch, None)?, switch },
            Some(State::Next { enumerator, switch }) => {
                Phase::Next { enumerator: next(&switch, Some(enumerator))?, switch }
            }
        };
        Ok(HybridEnumerator { plan, ctx, phase })
    }

    /// Makes the next source's enumerator where waiting is allowed.
    fn begin_switch(&mut self, switch: SwitchContext) {
        let made = Slot::default();
        let (slot, plan, ctx) = (made.clone(), self.plan.clone(), self.ctx.clone());
        self.ctx.runtime.spawn_blocking(move || {
            let waker = ctx.waker.clone();
            let uid = ctx.uid.clone();
            let make = AssertUnwindSafe(|| (plan.next)(&switch)?.enumerator(ctx, None));
            let result = catch_unwind(make).unwrap_or_else(|panic| {
                let words = panic.downcast_ref::<String>().map(String::as_str);
                let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
                Err(Error::source(uid, format!("the next source cannot be made: {words}")))
            });
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            waker.wake();
        });
        self.phase = Phase::Switching { switch, made };
    }
}

impl<A: Source, B: Source<Item = A::Item>> SplitEnumerator<HybridSplit<A::Split, B::Split>> for HybridEnumerator<A, B> {
    fn add_splits_back(&mut self, splits: Vec<HybridSplit<A::Split, B::Split>>) {
        let (mut firsts, mut nexts) = (Vec::new(), Vec::new());
        for split in splits {
            match split {
                HybridSplit::First { split, newest } => firsts.push((split, newest)),
                HybridSplit::Read { newest: read } => {
                    if let Phase::First { newest, .. } = &mut self.phase {
                        *newest = (*newest).max(read);
                    }
                }
                HybridSplit::Next { split, .. } => nexts.push(split),
            }
        }
        match &mut self.phase {
            Phase::First { enumerator, newest, .. } => {
                // How far an unfinished split came is counted from here: it will be read on, and finished.
                *newest = firsts.iter().filter_map(|(_, newest)| *newest).fold(*newest, i64::max);
                enumerator.add_splits_back(firsts.into_iter().map(|(split, _)| split).collect());
            }
            Phase::Next { enumerator, .. } => enumerator.add_splits_back(nexts),
            // A restore is never in between: the next source's enumerator has been made.
            Phase::Switching { .. } => {}
        }
    }

    fn poll(&mut self, ctx: &mut Assignments<HybridSplit<A::Split, B::Split>>) -> Result<()> {
        if let Phase::First { enumerator, assigned, newest } = &mut self.phase {
            let mut inner = Assignments::new(ctx.readers());
            enumerator.poll(&mut inner)?;
            let (given, unassigned, no_more) = inner.into_parts();
            for (reader, split) in given {
                assigned.insert(split.id());
                ctx.assign(reader, HybridSplit::First { split, newest: None });
            }
            if !(no_more && unassigned == 0 && assigned.is_empty()) {
                ctx.unassigned(unassigned);
                return Ok(());
            }
            let switch = self.plan.switch((*newest != NONE).then_some(*newest));
            self.begin_switch(switch);
        }
        if let Phase::Switching { switch, made } = &mut self.phase {
            let made = made.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(made) = made else {
                // Event time waits for what comes.
                ctx.unassigned(1);
                return Ok(());
            };
            self.phase = Phase::Next { enumerator: made?, switch: *switch };
        }
        if let Phase::Next { enumerator, switch } = &mut self.phase {
            let mut inner = Assignments::new(ctx.readers());
            enumerator.poll(&mut inner)?;
            let (given, unassigned, no_more) = inner.into_parts();
            for (reader, split) in given {
                ctx.assign(reader, HybridSplit::Next { split, switch: *switch });
            }
            ctx.unassigned(unassigned);
            if no_more {
                ctx.no_more_splits();
            }
        }
        Ok(())
    }

    fn split_finished(&mut self, id: &str) {
        match (own_id(id), &mut self.phase) {
            (Ok(id), Phase::First { enumerator, assigned, .. }) => {
                assigned.remove(id);
                enumerator.split_finished(id);
            }
            (Err(id), Phase::Next { enumerator, .. }) => enumerator.split_finished(id),
            _ => {}
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let state = match &self.phase {
            Phase::First { enumerator, newest, .. } => {
                State::First { enumerator: enumerator.snapshot()?, newest: (*newest != NONE).then_some(*newest) }
            }
            Phase::Switching { switch, .. } => State::Switching(*switch),
            Phase::Next { enumerator, switch } => State::Next { enumerator: enumerator.snapshot()?, switch: *switch },
        };
        to_bytes(WHAT, &state)
    }
}
