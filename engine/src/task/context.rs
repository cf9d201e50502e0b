//! What surrounds an operator while it works: time, side outputs, dead letters, counters.

use std::{any::Any, sync::Arc};

use crate::{
    dead_letter::DeadLetter,
    error::Error,
    exchange::{Control, ForwardOutlet, Outlet},
    record::{Data, Origin, Record},
    source::SplitNames,
    time::{MIN_WATERMARK, NO_TIMESTAMP},
};

/// A named stream beside the main one (Flink's `OutputTag`).
#[derive(Debug, Clone)]
pub struct OutputTag<T> {
    id: Arc<str>,
    _type: std::marker::PhantomData<fn() -> T>,
}

impl<T> OutputTag<T> {
    /// The tag called `id`.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        OutputTag { id: id.into(), _type: std::marker::PhantomData }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// A side output's outlet without its type.
pub(crate) trait SideOutlet: Any {
    fn as_any(&mut self) -> &mut dyn Any;
    fn control(&mut self, control: Control);
    fn flush(&mut self);
    fn drain(&mut self) -> bool;
}

impl<T: Data> SideOutlet for ForwardOutlet<T> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn control(&mut self, control: Control) {
        Outlet::control(self, control);
    }

    fn flush(&mut self) {
        Outlet::flush(self);
    }

    fn drain(&mut self) -> bool {
        Outlet::drain(self)
    }
}

/// A side output that is kept instead of sent: for harnesses.
struct KeptSide<T>(Vec<Record<T>>);

impl<T: Data> SideOutlet for KeptSide<T> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn control(&mut self, _control: Control) {}

    fn flush(&mut self) {}

    fn drain(&mut self) -> bool {
        true
    }
}

/// The surroundings of one task. Operators reach it by [`Output::ctx`](crate::operator::Output::ctx).
pub struct TaskContext {
    pub(crate) vertex: Arc<str>,
    pub(crate) watermark: i64,
    pub(crate) now: i64,
    /// The record that is being worked on.
    pub(crate) origin: Origin,
    pub(crate) timestamp: i64,
    pub(crate) counters: Counters,
    /// Set when the chain should return to its driver: a failure, a full side output, a sink
    /// that is not ready.
    pub(crate) stop: bool,
    pub(crate) failure: Option<Error>,
    sides: Vec<(Arc<str>, Box<dyn SideOutlet>)>,
    letters: ForwardOutlet<DeadLetter>,
    kept_letters: Option<Vec<DeadLetter>>,
    splits: SplitNames,
    /// Losses that were warned of: the tags that nobody reads, and the dead letters ("").
    warned: Vec<Arc<str>>,
}

/// What a task has counted since the job's beginning: in the checkpoint, with the books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records that came in (or were read, for a source).
    pub records_in: u64,
    /// Records that went out on the main output.
    pub records_out: u64,
    /// Records that became dead letters here.
    pub dead_lettered: u64,
    /// Records for side outputs that nobody reads.
    pub unread: u64,
}

impl TaskContext {
    pub(crate) fn new(
        vertex: Arc<str>,
        sides: Vec<(Arc<str>, Box<dyn SideOutlet>)>,
        letters: ForwardOutlet<DeadLetter>,
        splits: SplitNames,
        watermark: i64,
    ) -> Self {
        TaskContext {
            vertex,
            watermark,
            now: 0,
            origin: Origin::NONE,
            timestamp: NO_TIMESTAMP,
            counters: Counters::default(),
            stop: false,
            failure: None,
            sides,
            letters,
            kept_letters: None,
            splits,
            warned: Vec::new(),
        }
    }

    pub(crate) fn keep_letters(&mut self) {
        self.kept_letters.get_or_insert_default();
    }

    pub(crate) fn take_letters(&mut self) -> Vec<DeadLetter> {
        self.kept_letters.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn keep_side<T: Data>(&mut self, tag: &OutputTag<T>) {
        self.sides.push((tag.id.clone(), Box::new(KeptSide::<T>(Vec::new()))));
    }

    pub(crate) fn take_side<T: Data>(&mut self, tag: &OutputTag<T>) -> Vec<Record<T>> {
        let kept = self.sides.iter_mut().filter(|(id, _)| **id == *tag.id);
        let mut kept = kept.filter_map(|(_, side)| side.as_any().downcast_mut::<KeptSide<T>>());
        kept.next().map(|k| std::mem::take(&mut k.0)).unwrap_or_default()
    }

    /// A context that leads nowhere: for harnesses.
    pub fn detached(vertex: &str) -> Self {
        let letters = ForwardOutlet::new(Vec::new());
        TaskContext::new(vertex.into(), Vec::new(), letters, SplitNames::default(), MIN_WATERMARK)
    }

    /// The current event-time watermark of this task.
    #[inline]
    pub fn current_watermark(&self) -> i64 {
        self.watermark
    }

    /// Processing time, from the injected clock, as of this slice of work.
    #[inline]
    pub fn current_processing_time(&self) -> i64 {
        self.now
    }

    /// Where the record that is being worked on came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Fails the job with `error` after this record.
    #[cold]
    pub fn fail(&mut self, error: Error) {
        self.stop = true;
        self.failure.get_or_insert(error);
    }

    /// Asks the chain to return to its driver, which goes on when the operators are ready. Until
    /// then outputs say that they are full. For an operator that cannot take more just now.
    #[inline]
    pub fn pause(&mut self) {
        self.stop = true;
    }

    /// Whether the chain was asked to return.
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.stop
    }

    /// Emits to a side output. A side output that nobody reads drops the record, as in Flink;
    /// it is counted, and the first one is warned of.
    pub fn output<T: Data>(&mut self, tag: &OutputTag<T>, record: Record<T>) {
        let Some((_, side)) = self.sides.iter_mut().find(|(id, _)| **id == *tag.id) else {
            self.counters.unread += 1;
            return self.warn_of_unread(&tag.id);
        };
        let side = side.as_any();
        if let Some(outlet) = side.downcast_mut::<ForwardOutlet<T>>() {
            outlet.push(record);
            self.stop |= outlet.is_full();
        } else if let Some(kept) = side.downcast_mut::<KeptSide<T>>() {
            kept.0.push(record);
        } else {
            let (id, mine) = (&tag.id, std::any::type_name::<T>());
            self.fail(Error::Graph(format!(
                "the side output '{id}' is read as another type than {mine}, which is emitted to it: use one OutputTag for both"
            )));
        }
    }

    #[cold]
    fn warn_of_unread(&mut self, id: &Arc<str>) {
        if !self.warned.contains(id) {
            self.warned.push(id.clone());
            tracing::warn!(
                "'{}': nobody reads the side output '{id}', so its records are dropped: read it with side_output(…)",
                self.vertex
            );
        }
    }

    /// Gives up on a record: it goes to the job's dead letters with its raw form and the reason.
    /// `time` is the record's own; a record in hand that has none is dated by its source.
    #[cold]
    pub fn dead_letter(&mut self, operator: &str, origin: Origin, time: i64, raw: Vec<u8>, reason: impl Into<String>) {
        self.counters.dead_lettered += 1;
        let (split, position) = match origin.is_none() {
            true => (String::new(), None),
            false => (self.splits.name(origin.split()), Some(origin.position())),
        };
        let time =
            if time == NO_TIMESTAMP && origin == self.origin && !origin.is_none() { self.timestamp } else { time };
        let letter = DeadLetter {
            time: Some(time).filter(|t| *t != NO_TIMESTAMP),
            split,
            position,
            operator: operator.to_owned(),
            reason: reason.into(),
            raw,
        };
        if let Some(kept) = &mut self.kept_letters {
            kept.push(letter);
            return;
        }
        if !self.letters.has_readers() {
            self.warn_of_lost_letters(&letter);
        }
        self.letters.push(Record { timestamp: time, value: letter, origin });
        self.stop |= self.letters.is_full();
    }

    fn warn_of_lost_letters(&mut self, letter: &DeadLetter) {
        let none: Arc<str> = "".into();
        if !self.warned.contains(&none) {
            self.warned.push(none);
            tracing::warn!(
                "'{}': a record could not be used and is lost, and so will others: {}. Keep them with env.dead_letters_to(…)",
                self.vertex,
                letter.reason
            );
        }
    }

    /// The names behind split numbers.
    pub fn splits(&self) -> &SplitNames {
        &self.splits
    }

    pub(crate) fn control(&mut self, control: Control) {
        for (_, side) in &mut self.sides {
            side.control(control);
        }
        Outlet::control(&mut self.letters, control);
    }

    pub(crate) fn flush(&mut self) {
        for (_, side) in &mut self.sides {
            side.flush();
        }
        Outlet::flush(&mut self.letters);
    }

    /// `true`: everything that waited on the side outputs and among the letters has gone.
    pub(crate) fn drain(&mut self) -> bool {
        let mut drained = Outlet::drain(&mut self.letters);
        for (_, side) in &mut self.sides {
            drained &= side.drain();
        }
        drained
    }
}
