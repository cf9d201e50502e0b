//! The window operator: incremental aggregates, fired by the watermark.
//!
//! State is laid out by window first: a *pane* holds one accumulator a key. When the watermark
//! passes a window's end its pane is walked once, in slices, and dropped; there is no timer a
//! key. A record costs one look-up in its pane.

use std::sync::Arc;

use hurtig_engine::{
    Data, Origin, Record, Result,
    operator::{Operator, OperatorFactory, Output, Progress},
    task::{OutputTag, RuntimeContext, SnapshotContext},
    time::{MIN_WATERMARK, NO_TIMESTAMP},
};
use hurtig_state::{AggregateFunction, Key, KeyedStateBackend, PaneCursor, PaneState};

use crate::announced::Announced;

use super::assigner::{TimeWindow, TumblingEventTimeWindows};

/// Makes [`WindowOperator`]s.
pub struct WindowAggregate<K, T, F, A, W> {
    pub(super) key: F,
    pub(super) assigner: TumblingEventTimeWindows,
    pub(super) lateness: i64,
    pub(super) late: Option<OutputTag<T>>,
    pub(super) aggregate: A,
    pub(super) result: W,
    pub(super) _key: std::marker::PhantomData<fn() -> K>,
}

impl<K, T, F: Clone, A: Clone, W: Clone> Clone for WindowAggregate<K, T, F, A, W> {
    fn clone(&self) -> Self {
        WindowAggregate {
            key: self.key.clone(),
            assigner: self.assigner,
            lateness: self.lateness,
            late: self.late.as_ref().map(|t| OutputTag::new(t.id())),
            aggregate: self.aggregate.clone(),
            result: self.result.clone(),
            _key: self._key,
        }
    }
}

/// Keeps one accumulator per key and window.
pub struct WindowOperator<K: Key, T, F, A: AggregateFunction, W> {
    settings: WindowAggregate<K, T, F, A, W>,
    backend: KeyedStateBackend<K>,
    panes: PaneState<A::Acc>,
    announced: Announced<K>,
    /// All windows that end at or before this watermark have fired.
    fired: i64,
    /// How far the pane that is being fired has been walked.
    firing: Option<(i64, PaneCursor)>,
    name: Arc<str>,
}

/// How many results are made before the output is looked at.
const SLICE: usize = 256;

impl<K, T, U, F, A, W> OperatorFactory<T> for WindowAggregate<K, T, F, A, W>
where
    K: Key,
    T: Data,
    U: Data,
    F: Fn(&T) -> K + Clone + Send + 'static,
    A: AggregateFunction<In = T> + Clone + Send,
    W: Fn(&K, TimeWindow, A::Out) -> U + Clone + Send + 'static,
{
    type Out = U;
    type Operator = WindowOperator<K, T, F, A, W>;

    fn create(&self, ctx: &mut RuntimeContext<'_>) -> Result<Self::Operator> {
        let mut restored = ctx.restored();
        let mut backend = ctx.keyed_backend(&mut restored)?;
        let panes = backend.pane_state("window-contents", 1)?;
        Ok(WindowOperator {
            settings: self.clone(),
            backend,
            panes,
            announced: Announced::default(),
            fired: restored.watermark.unwrap_or(MIN_WATERMARK),
            firing: None,
            name: ctx.name().into(),
        })
    }
}

impl<K, T, U, F, A, W> Operator<T> for WindowOperator<K, T, F, A, W>
where
    K: Key,
    T: Data,
    U: Data,
    F: Fn(&T) -> K + 'static,
    A: AggregateFunction<In = T>,
    W: Fn(&K, TimeWindow, A::Out) -> U + 'static,
{
    type Out = U;

    #[inline]
    fn announce(&mut self, records: &[Record<T>]) {
        let WindowOperator { settings, backend, panes, announced, .. } = self;
        announced.replace(records.iter().map(|record| {
            let key = (settings.key)(&record.value);
            let window = settings.assigner.assign(record.timestamp);
            let hash = panes.announce(backend, window.start, &key);
            (key, hash)
        }));
    }

    #[inline]
    fn process<O: Output<U>>(&mut self, record: Record<T>, out: &mut O) -> Result<()> {
        let announced = self.announced.next();
        let Record { value, timestamp, origin } = record;
        if timestamp == NO_TIMESTAMP {
            return self.no_timestamp(&Record { value, timestamp, origin }, out);
        }
        let settings = &self.settings;
        let window = settings.assigner.assign(timestamp);
        let watermark = out.ctx().current_watermark();
        if window.max_timestamp() <= watermark && window.max_timestamp().saturating_add(settings.lateness) <= watermark
        {
            return self.late(Record { value, timestamp, origin }, watermark, out);
        }
        let (aggregate, panes, backend) = (&settings.aggregate, self.panes, &mut self.backend);
        let init = || aggregate.create_accumulator();
        let (key, hash) = announced.map_or_else(|| ((settings.key)(&value), None), |(key, hash)| (key, Some(hash)));
        let accumulator = match hash {
            Some(hash) => panes.announced_entry(backend, window.start, (&key, hash), init)?,
            None => panes.entry(backend, window.start, &key, init)?,
        };
        aggregate.add(accumulator, value);
        if window.max_timestamp() <= watermark {
            // Late, but allowed: the window has fired and fires again with the new result.
            let result = (settings.result)(&key, window, aggregate.get_result(accumulator));
            out.collect(Record { value: result, timestamp: window.max_timestamp(), origin: Origin::NONE });
        }
        Ok(())
    }

    fn watermark<O: Output<U>>(&mut self, watermark: i64, out: &mut O) -> Result<Progress> {
        let assigner = self.settings.assigner;
        for start in self.panes.windows(&mut self.backend)? {
            let window = assigner.starting_at(start);
            if window.max_timestamp() > watermark {
                break;
            }
            if window.max_timestamp() > self.fired && (self.fire(window, out)? == Progress::More || out.is_full()) {
                return Ok(Progress::More);
            }
            if window.max_timestamp().saturating_add(self.settings.lateness) <= watermark {
                self.panes.purge(&mut self.backend, start)?;
            }
        }
        self.fired = self.fired.max(watermark);
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, snapshot: &mut SnapshotContext<'_>) -> Result<()> {
        snapshot.put_keyed(&mut self.backend)
    }
}

impl<K, T, F, A, W> WindowOperator<K, T, F, A, W>
where
    K: Key,
    T: Data,
    A: AggregateFunction<In = T>,
{
    /// Emits the results of one window, in slices.
    fn fire<U, O>(&mut self, window: TimeWindow, out: &mut O) -> Result<Progress>
    where
        O: Output<U>,
        W: Fn(&K, TimeWindow, A::Out) -> U,
    {
        let mut cursor = match self.firing.take() {
            Some((start, cursor)) if start == window.start => cursor,
            _ => PaneCursor::default(),
        };
        let (aggregate, result) = (&self.settings.aggregate, &self.settings.result);
        let timestamp = window.max_timestamp();
        loop {
            let done = self.panes.fire(&mut self.backend, window.start, &mut cursor, SLICE, |key, accumulator| {
                let value = result(key, window, aggregate.get_result(accumulator));
                out.collect(Record { value, timestamp, origin: Origin::NONE });
            })?;
            if done {
                // Fired before the watermark is through: a call after `More` must not fire it again.
                self.fired = timestamp;
                return Ok(Progress::Done);
            }
            if out.is_full() {
                self.firing = Some((window.start, cursor));
                return Ok(Progress::More);
            }
        }
    }

    #[cold]
    fn late<U, O: Output<U>>(&mut self, record: Record<T>, watermark: i64, out: &mut O) -> Result<()> {
        if let Some(tag) = &self.settings.late {
            out.ctx().output(tag, record);
            return Ok(());
        }
        let reason = format!("late: its window ended before the watermark {watermark}");
        self.give_up(&record, reason, out);
        Ok(())
    }

    #[cold]
    fn no_timestamp<U, O: Output<U>>(&mut self, record: &Record<T>, out: &mut O) -> Result<()> {
        let reason = "it has no timestamp, so it belongs to no event-time window: give its source a WatermarkStrategy \
                      with a timestamp assigner";
        self.give_up(record, reason.to_owned(), out);
        Ok(())
    }

    fn give_up<U, O: Output<U>>(&self, record: &Record<T>, reason: String, out: &mut O) {
        let raw = serde_json::to_vec(&record.value).unwrap_or_else(|e| format!("<no JSON: {e}>").into_bytes());
        out.ctx().dead_letter(&self.name, record.origin, record.timestamp, raw, reason);
    }
}
