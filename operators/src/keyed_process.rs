//! `process` on a keyed stream: a user function with keyed state and timers.

use std::sync::Arc;

use hurtig_engine::{
    Data, Origin, Record, Result,
    operator::{Operator, OperatorFactory, Output, Progress},
    task::{RuntimeContext, SnapshotContext},
};
use hurtig_state::{Key, KeyedContext, KeyedStateBackend};

use crate::{
    announced::Announced,
    collector::Collector,
    stream::{KeyedStream, KeyedTransformed},
};

/// A function over records of one key at a time (Flink's `KeyedProcessFunction`).
///
/// State is declared in [`open`](Self::open) and read and written through the context:
///
/// ```
/// use hurtig_operators::prelude::*;
///
/// #[derive(Clone, Default)]
/// struct Count { seen: ValueState<u64> }
///
/// impl KeyedProcessFunction<u32, String> for Count {
///     type Out = (u32, u64);
///     fn open(&mut self, ctx: &mut KeyedContextOf<'_, u32>) -> Result<()> {
///         self.seen = ctx.state().value_state(ValueStateDescriptor::new("seen"))?;
///         Ok(())
///     }
///     fn process_element<O: Output<Self::Out>>(
///         &mut self, _value: String, ctx: &mut KeyedContextOf<'_, u32>, out: &mut Collector<'_, O>,
///     ) -> Result<()> {
///         let seen = self.seen.get_or_insert_with(ctx, || 0)?;
///         *seen += 1;
///         let seen = *seen;
///         out.collect((*ctx.current_key(), seen));
///         Ok(())
///     }
/// }
/// ```
pub trait KeyedProcessFunction<K: Key, In>: Clone + Send + 'static {
    /// What it emits.
    type Out: Data;

    /// Called once on every subtask, before the first record: declares the states.
    fn open(&mut self, _ctx: &mut KeyedContextOf<'_, K>) -> Result<()> {
        Ok(())
    }

    /// Works on one record of the current key.
    fn process_element<O: Output<Self::Out>>(
        &mut self,
        value: In,
        ctx: &mut KeyedContextOf<'_, K>,
        out: &mut Collector<'_, O>,
    ) -> Result<()>;

    /// A timer of the current key is due.
    fn on_timer<O: Output<Self::Out>>(
        &mut self,
        _timer: Timer,
        _ctx: &mut KeyedContextOf<'_, K>,
        _out: &mut Collector<'_, O>,
    ) -> Result<()> {
        Ok(())
    }
}

/// A timer that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Event time has come to this.
    EventTime(i64),
    /// Processing time has come to this.
    ProcessingTime(i64),
}

impl Timer {
    /// What it was registered for.
    pub fn timestamp(self) -> i64 {
        match self {
            Timer::EventTime(t) | Timer::ProcessingTime(t) => t,
        }
    }
}

/// The surroundings of a keyed function: the current key, its state, its timers.
pub struct KeyedContextOf<'a, K: Key> {
    backend: &'a mut KeyedStateBackend<K>,
    watermark: i64,
    now: i64,
}

impl<K: Key> KeyedContextOf<'_, K> {
    /// Where states are declared.
    pub fn state(&mut self) -> &mut KeyedStateBackend<K> {
        self.backend
    }

    /// The key of the record or timer.
    ///
    /// # Panics
    /// In [`KeyedProcessFunction::open`], where there is none.
    #[allow(clippy::expect_used, reason = "a misuse of the API, not a failure at run time")]
    pub fn current_key(&self) -> &K {
        self.backend.current_key().expect("there is no current key in open()")
    }

    /// The current watermark.
    pub fn current_watermark(&self) -> i64 {
        self.watermark
    }

    /// Processing time, from the injected clock.
    pub fn current_processing_time(&self) -> i64 {
        self.now
    }

    /// Calls `on_timer` when the watermark passes `timestamp`. One timer per key and time.
    pub fn register_event_time_timer(&mut self, timestamp: i64) -> Result<()> {
        Ok(self.backend.register_event_time_timer(timestamp)?)
    }

    /// Takes a registration back.
    pub fn delete_event_time_timer(&mut self, timestamp: i64) -> Result<()> {
        Ok(self.backend.delete_event_time_timer(timestamp)?)
    }

    /// Calls `on_timer` when processing time passes `timestamp`.
    pub fn register_processing_time_timer(&mut self, timestamp: i64) -> Result<()> {
        Ok(self.backend.register_processing_time_timer(timestamp)?)
    }

    /// Takes a registration back.
    pub fn delete_processing_time_timer(&mut self, timestamp: i64) -> Result<()> {
        Ok(self.backend.delete_processing_time_timer(timestamp)?)
    }
}

impl<K: Key> KeyedContext<K> for KeyedContextOf<'_, K> {
    #[inline]
    fn backend(&mut self) -> &mut KeyedStateBackend<K> {
        self.backend
    }
}

/// Makes [`KeyedProcessOperator`]s.
pub struct KeyedProcess<K, F, P> {
    key: F,
    function: P,
    _key: std::marker::PhantomData<fn() -> K>,
}

impl<K, F, P> KeyedProcess<K, F, P> {
    /// `function` over records whose key `key` finds.
    pub(crate) fn new(key: F, function: P) -> Self {
        KeyedProcess { key, function, _key: std::marker::PhantomData }
    }
}

impl<K, F: Clone, P: Clone> Clone for KeyedProcess<K, F, P> {
    fn clone(&self) -> Self {
        KeyedProcess { key: self.key.clone(), function: self.function.clone(), _key: self._key }
    }
}

/// Runs a [`KeyedProcessFunction`].
pub struct KeyedProcessOperator<K: Key, F, P> {
    key: F,
    function: P,
    backend: KeyedStateBackend<K>,
    announced: Announced<K>,
    name: Arc<str>,
}

impl<K, In, F, P> OperatorFactory<In> for KeyedProcess<K, F, P>
where
    K: Key,
    In: 'static,
    F: Fn(&In) -> K + Clone + Send + 'static,
    P: KeyedProcessFunction<K, In>,
{
    type Out = P::Out;
    type Operator = KeyedProcessOperator<K, F, P>;

    fn create(&self, ctx: &mut RuntimeContext<'_>) -> Result<Self::Operator> {
        let mut restored = ctx.restored();
        let mut backend = ctx.keyed_backend(&mut restored)?;
        let mut function = self.function.clone();
        let watermark = restored.watermark.unwrap_or(hurtig_engine::time::MIN_WATERMARK);
        let now = ctx.clock().now_ms();
        function.open(&mut KeyedContextOf { backend: &mut backend, watermark, now })?;
        Ok(KeyedProcessOperator {
            key: self.key.clone(),
            function,
            backend,
            announced: Announced::default(),
            name: ctx.name().into(),
        })
    }
}

impl<K, In, F, P> Operator<In> for KeyedProcessOperator<K, F, P>
where
    K: Key,
    F: Fn(&In) -> K + 'static,
    P: KeyedProcessFunction<K, In>,
{
    type Out = P::Out;

    #[inline]
    fn announce(&mut self, records: &[Record<In>]) {
        let (key, backend) = (&self.key, &self.backend);
        self.announced.replace(records.iter().map(|record| {
            let key = key(&record.value);
            let hash = backend.announce(&key);
            (key, hash)
        }));
    }

    #[inline]
    fn process<O: Output<P::Out>>(&mut self, record: Record<In>, out: &mut O) -> Result<()> {
        match self.announced.next() {
            Some((key, hash)) => self.backend.set_announced_key(key, hash),
            None => self.backend.set_current_key((self.key)(&record.value)),
        }
        let (watermark, now) = (out.ctx().current_watermark(), out.ctx().current_processing_time());
        let mut ctx = KeyedContextOf { backend: &mut self.backend, watermark, now };
        let mut out = Collector::new(out, record.timestamp, record.origin, &self.name);
        self.function.process_element(record.value, &mut ctx, &mut out)
    }

    fn watermark<O: Output<P::Out>>(&mut self, watermark: i64, out: &mut O) -> Result<Progress> {
        while let Some((timestamp, _)) = self.backend.pop_event_time_timer(watermark)? {
            self.fire(Timer::EventTime(timestamp), watermark, out)?;
            if out.is_full() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }

    fn processing_time<O: Output<P::Out>>(&mut self, now: i64, out: &mut O) -> Result<Progress> {
        while let Some((timestamp, _)) = self.backend.pop_processing_time_timer(now)? {
            let watermark = out.ctx().current_watermark();
            self.fire(Timer::ProcessingTime(timestamp), watermark, out)?;
            if out.is_full() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }

    fn next_processing_time(&mut self) -> Result<Option<i64>> {
        Ok(self.backend.next_processing_time_timer()?)
    }

    fn snapshot(&mut self, snapshot: &mut SnapshotContext<'_>) -> Result<()> {
        snapshot.put_keyed(&mut self.backend)
    }
}

impl<K: Key, F, P> KeyedProcessOperator<K, F, P> {
    /// Calls the function for a timer whose key is the current one.
    fn fire<In, O>(&mut self, timer: Timer, watermark: i64, out: &mut O) -> Result<()>
    where
        P: KeyedProcessFunction<K, In>,
        O: Output<P::Out>,
    {
        let now = out.ctx().current_processing_time();
        let mut ctx = KeyedContextOf { backend: &mut self.backend, watermark, now };
        let mut out = Collector::new(out, timer.timestamp(), Origin::NONE, &self.name);
        self.function.on_timer(timer, &mut ctx, &mut out)
    }
}

impl<K, T, F> KeyedStream<K, T, F>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    /// Runs a [`KeyedProcessFunction`] over the stream.
    pub fn process<P>(self, function: P) -> KeyedTransformed<T, P::Out, KeyedProcess<K, F, P>>
    where
        P: KeyedProcessFunction<K, T>,
    {
        let key = self.key.clone();
        self.transform("KeyedProcess", KeyedProcess::new(key, function))
    }
}

#[cfg(test)]
mod tests {
    use hurtig_state::{ValueState, ValueStateDescriptor};

    use super::*;
    use crate::subtasks::{BACKENDS, Subtasks};

    /// Counts a key's records; says the count when the event time that the last one asked for has
    /// come, and again when so much processing time has.
    #[derive(Clone, Default)]
    struct Countdown {
        count: ValueState<u64>,
    }

    /// What the value of a record asks for.
    type Wish = (u32, i64);

    impl KeyedProcessFunction<u32, Wish> for Countdown {
        type Out = (u32, u64, bool);

        fn open(&mut self, ctx: &mut KeyedContextOf<'_, u32>) -> Result<()> {
            self.count = ctx.state().value_state(ValueStateDescriptor::new("count"))?;
            Ok(())
        }

        fn process_element<O: Output<Self::Out>>(
            &mut self,
            (_, at): Wish,
            ctx: &mut KeyedContextOf<'_, u32>,
            _out: &mut Collector<'_, O>,
        ) -> Result<()> {
            *self.count.get_or_insert_with(ctx, || 0)? += 1;
            if at < 0 {
                ctx.delete_event_time_timer(-at)?;
                return ctx.delete_processing_time_timer(-at * 10);
            }
            // Twice is once.
            ctx.register_event_time_timer(at)?;
            ctx.register_event_time_timer(at)?;
            ctx.register_processing_time_timer(at * 10)
        }

        fn on_timer<O: Output<Self::Out>>(
            &mut self,
            timer: Timer,
            ctx: &mut KeyedContextOf<'_, u32>,
            out: &mut Collector<'_, O>,
        ) -> Result<()> {
            let count = self.count.value(ctx)?.copied().unwrap_or(0);
            let event_time = matches!(timer, Timer::EventTime(_));
            assert!(!event_time || ctx.current_watermark() >= timer.timestamp());
            assert!(event_time || ctx.current_processing_time() >= timer.timestamp());
            out.collect((*ctx.current_key(), count, event_time));
            Ok(())
        }
    }

    type Factory = KeyedProcess<u32, fn(&Wish) -> u32, Countdown>;

    fn factory() -> Factory {
        KeyedProcess::new(|(key, _)| *key, Countdown::default())
    }

    #[test]
    fn timers_of_both_kinds_fire_once_and_also_after_a_restore_at_another_parallelism() {
        let key = |(key, _): &Wish| *key;
        for backend in BACKENDS {
            let dir = tempfile::tempdir().expect("dir");
            let at = |p: &str| dir.path().join(p);
            let mut two = Subtasks::start(&factory(), key, 2, backend, &at("two"), &[]);
            for k in 0..30 {
                two.push_at((k, 100 + i64::from(k)), 0);
            }
            two.push_at((3, -103), 0);
            two.watermark(109);
            let fired = |keys: std::ops::Range<u32>, event_time, factor| -> Vec<(i64, (u32, u64, bool))> {
                let keys = keys.filter(|k| *k != 3);
                keys.map(|k| ((100 + i64::from(k)) * factor, (k, 1, event_time))).collect()
            };
            assert_eq!(two.take(), fired(0..10, true, 1), "{backend:?}");
            two.watermark(109);
            two.processing_time(1_049);
            assert_eq!(two.take(), fired(0..5, false, 10), "{backend:?}");

            let mut three = Subtasks::start(&factory(), key, 3, backend, &at("three"), &two.snapshot());
            three.processing_time(1_099);
            assert_eq!(three.take(), fired(5..10, false, 10), "{backend:?}");
            three.watermark(119);
            assert_eq!(three.take(), fired(10..20, true, 1), "{backend:?}");

            let mut one = Subtasks::start(&factory(), key, 1, backend, &at("one"), &three.snapshot());
            one.push_at((29, 200), 0);
            one.watermark(i64::MAX);
            let mut rest = fired(20..29, true, 1);
            rest.extend([(129, (29, 2, true)), (200, (29, 2, true))]);
            assert_eq!(one.take(), rest, "{backend:?}");
        }
    }
}
