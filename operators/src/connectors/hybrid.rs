//! One source after the other: history from files, then the stream from the right place (Flink's
//! `HybridSource`).
//!
//! The first source is read to its end, all of it, and only then is the next one made: with a
//! [`SwitchContext`] that says where the first one ended. Event time does not move in between, and a
//! restore at any moment goes on with the source, and the place, at which the checkpoint was.
//!
//! # Without gap or repetition
//!
//! What is at the boundary is whose? A *switch point* `T` is a half-open boundary on a position that
//! both sources' records have, an event time as a rule: what is before `T` is the first source's, what
//! is at `T` or after it is the next one's. With [`position_of`](HybridSourceBuilder::position_of) the
//! source sees to it itself, whatever the two hold beyond that: the first one's records at `T` and
//! after it are passed over, and the next one's before it. So the next source may begin anywhere at or
//! before `T` (a stream's retrieval by *arrival* time, which is never before the event's, as long as
//! clocks are right), and each record comes once if each side is whole on its side of `T`.
//!
//! `T` is given beforehand ([`switch_at`](HybridSourceBuilder::switch_at)), or it is just behind the
//! greatest position that the first source had. The second is exact only if the history is whole up to
//! and with that position: of several records at the same millisecond, all or none must be in it.
//! Without positions nothing is passed over, and the next source begins where it is told to.
//!
//! ```
//! use hurtig_operators::connectors::{
//!     files::{FileSource, LineFormat, JsonLines},
//!     hybrid::{HybridSource, SwitchContext},
//! };
//!
//! let history = FileSource::new("history").json_lines::<(i64, f64)>();
//! // Any source of the same items: a stream, or files that came later.
//! let source = HybridSource::builder(history)
//!     .switch_at(1_704_067_200_000)
//!     .position_of(|(time, _): &(i64, f64)| *time)
//!     .add_source(|switch: &SwitchContext| {
//!         assert_eq!(switch.at, Some(1_704_067_200_000));
//!         Ok(FileSource::new("later").json_lines::<(i64, f64)>())
//!     });
//! # let _ = source;
//! ```

mod enumerator;
mod output;
mod reader;
mod split;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::SeqCst},
};

use hurtig_engine::{
    error::{Error, Result},
    source::{Boundedness, EnumeratorContext, ReaderContext, Source, SplitEnumerator},
};
use serde::{Deserialize, Serialize};

pub use self::{enumerator::HybridEnumerator, reader::HybridReader, split::HybridSplit};

/// Where the first source ended: what the next one is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SwitchContext {
    /// The switch point: what is at it or after it is the next source's. `None`: no point was given,
    /// and none could be derived, as there are no positions or the first source had no record.
    pub at: Option<i64>,
    /// The greatest position that the first source's records had, where positions are known.
    pub newest: Option<i64>,
}

/// Makes the next source.
type MakeNext<B> = Box<dyn Fn(&SwitchContext) -> Result<B> + Send + Sync>;
/// A record's position.
type PositionOf<T> = Box<dyn Fn(&T) -> i64 + Send + Sync>;

/// No position.
const NONE: i64 = i64::MIN;

/// What is decided beforehand, and what the readers of this attempt have seen.
struct Plan<T, B> {
    next: MakeNext<B>,
    at: Option<i64>,
    position: Option<PositionOf<T>>,
    /// The greatest position of finished splits in this attempt: the enumerator of a job and its
    /// readers are in one process. What a checkpoint needs of it is in the readers' splits.
    newest: AtomicI64,
}

impl<T, B> Plan<T, B> {
    fn switch(&self, restored: Option<i64>) -> SwitchContext {
        let newest = restored.unwrap_or(NONE).max(self.newest.load(SeqCst));
        let newest = (newest != NONE).then_some(newest);
        SwitchContext { at: self.at.or(newest.map(|n| n.saturating_add(1))), newest }
    }
}

/// Two sources, one after the other: see the [module](self). [`then`](Self::then) adds a
/// third one, and so on.
pub struct HybridSource<A, B, T> {
    first: A,
    plan: Arc<Plan<T, B>>,
    boundedness: Boundedness,
}

/// How one source is followed by another.
pub struct HybridSourceBuilder<A: Source> {
    first: A,
    at: Option<i64>,
    position: Option<PositionOf<A::Item>>,
}

impl HybridSource<(), (), ()> {
    /// Begins with `first`, which must come to an end.
    pub fn builder<A: Source>(first: A) -> HybridSourceBuilder<A> {
        HybridSourceBuilder { first, at: None, position: None }
    }
}

impl<A: Source> HybridSourceBuilder<A> {
    /// Fixes the switch point.
    #[must_use]
    pub fn switch_at(mut self, at: i64) -> Self {
        self.at = Some(at);
        self
    }

    /// What of a record is compared with the switch point. With it each source's records on the other's
    /// side are passed over; and where no switch point is fixed, it is derived from the first source's.
    #[must_use]
    pub fn position_of(mut self, position: impl Fn(&A::Item) -> i64 + Send + Sync + 'static) -> Self {
        self.position = Some(Box::new(position));
        self
    }

    /// Goes on with what `next` makes. It is called for the enumerator and for each reader, perhaps again
    /// after a restore, and must make the same source of the same context.
    pub fn add_source<B, F>(self, next: F) -> HybridSource<A, B, A::Item>
    where
        B: Source<Item = A::Item>,
        F: Fn(&SwitchContext) -> Result<B> + Send + Sync + 'static,
    {
        let plan = Plan { next: Box::new(next), at: self.at, position: self.position, newest: AtomicI64::new(NONE) };
        HybridSource { first: self.first, plan: Arc::new(plan), boundedness: Boundedness::ContinuousUnbounded }
    }
}

impl<A: Source, B: Source<Item = A::Item>> HybridSource<A, B, A::Item> {
    /// Says that the last source comes to an end too.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.boundedness = Boundedness::Bounded;
        self
    }

    /// Has all of this followed by one more source. This one must be [`bounded`](Self::bounded).
    pub fn then(self) -> HybridSourceBuilder<Self> {
        HybridSource::builder(self)
    }
}

impl<A: Source, B: Source<Item = A::Item>> Source for HybridSource<A, B, A::Item> {
    type Item = A::Item;
    type Split = HybridSplit<A::Split, B::Split>;
    type Reader = HybridReader<A, B>;

    fn enumerator(
        &self,
        ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<Self::Split>>> {
        if self.first.boundedness() != Boundedness::Bounded {
            let reason = "the first source never ends, so that the next one would never be read".to_owned();
            return Err(Error::Config(format!("source {}: {reason}; put it last", ctx.uid)));
        }
        self.plan.newest.store(NONE, SeqCst);
        Ok(Box::new(HybridEnumerator::<A, B>::new(&self.first, self.plan.clone(), ctx, restored)?))
    }

    fn reader(&self, ctx: ReaderContext) -> Result<HybridReader<A, B>> {
        Ok(HybridReader::new(self.first.reader(ctx.clone())?, self.plan.clone(), ctx))
    }

    fn boundedness(&self) -> Boundedness {
        self.boundedness
    }
}
