//! `flat_map`: one record in, any number out, in slices where they are many.

use std::collections::VecDeque;

use hurtig_engine::{
    Data, Origin, Record, Result,
    operator::{Operator, OperatorFactory, Output, Progress},
    task::RuntimeContext,
};

use crate::stream::{DataStream, Fused, Head, Transformed};

/// Calls a function that returns an iterator on every record.
#[derive(Debug)]
pub struct FlatMap<F, I> {
    function: F,
    _out: std::marker::PhantomData<fn() -> I>,
}

impl<F, I> FlatMap<F, I> {
    /// Calls `function`.
    pub(crate) fn new(function: F) -> Self {
        FlatMap { function, _out: std::marker::PhantomData }
    }
}

impl<F: Clone, I> Clone for FlatMap<F, I> {
    fn clone(&self) -> Self {
        FlatMap { function: self.function.clone(), _out: self._out }
    }
}

/// The instance, with what is left of some records' iterators since the output was full. That is
/// more than one where the operator before it emits several records in one call.
pub struct FlatMapOperator<F, I: IntoIterator> {
    function: F,
    rest: VecDeque<Rest<I::IntoIter>>,
}

struct Rest<Items> {
    items: Items,
    timestamp: i64,
    origin: Origin,
}

impl<Items: Iterator> Rest<Items> {
    /// Emits until the output is full. `true`: nothing is left.
    #[inline]
    fn emit<O: Output<Items::Item>>(&mut self, out: &mut O) -> bool {
        for value in self.items.by_ref() {
            out.collect(Record { value, timestamp: self.timestamp, origin: self.origin });
            if out.is_full() {
                return false;
            }
        }
        true
    }
}

impl<T, I, F> OperatorFactory<T> for FlatMap<F, I>
where
    T: 'static,
    I: IntoIterator + 'static,
    I::IntoIter: 'static,
    F: FnMut(T) -> I + Clone + Send + 'static,
{
    type Out = I::Item;
    type Operator = FlatMapOperator<F, I>;

    fn create(&self, _ctx: &mut RuntimeContext<'_>) -> Result<Self::Operator> {
        Ok(FlatMapOperator { function: self.function.clone(), rest: VecDeque::new() })
    }
}

impl<T, I, F> Operator<T> for FlatMapOperator<F, I>
where
    I: IntoIterator + 'static,
    I::IntoIter: 'static,
    F: FnMut(T) -> I + 'static,
{
    type Out = I::Item;

    fn process<O: Output<I::Item>>(&mut self, record: Record<T>, out: &mut O) -> Result<()> {
        let Record { value, timestamp, origin } = record;
        let mut rest = Rest { items: (self.function)(value).into_iter(), timestamp, origin };
        if !self.rest.is_empty() || !rest.emit(out) {
            self.rest.push_back(rest);
        }
        Ok(())
    }

    #[inline]
    fn resume<O: Output<I::Item>>(&mut self, out: &mut O) -> Result<Progress> {
        while let Some(rest) = self.rest.front_mut() {
            if !rest.emit(out) {
                return Ok(Progress::More);
            }
            self.rest.pop_front();
        }
        Ok(Progress::Done)
    }

    // What the operator before this one has emitted in the same call goes before the event.

    fn watermark<O: Output<I::Item>>(&mut self, _watermark: i64, out: &mut O) -> Result<Progress> {
        self.resume(out)
    }

    fn processing_time<O: Output<I::Item>>(&mut self, _now: i64, out: &mut O) -> Result<Progress> {
        self.resume(out)
    }

    fn end_of_input<O: Output<I::Item>>(&mut self, out: &mut O) -> Result<Progress> {
        self.resume(out)
    }
}

impl<T: Data, H: Head, Op: OperatorFactory<H::Item, Out = T>> DataStream<T, Fused<H, Op>> {
    /// Turns every record into the items of the iterator that `function` returns.
    pub fn flat_map<I, F>(self, function: F) -> Transformed<I::Item, H, Op, FlatMap<F, I>>
    where
        I: IntoIterator + 'static,
        I::IntoIter: 'static,
        I::Item: Data,
        F: FnMut(T) -> I + Clone + Send + 'static,
    {
        self.transform("FlatMap", FlatMap::new(function))
    }
}

#[cfg(test)]
mod tests {
    use hurtig_engine::{harness::OneInputHarness, operator::Then};

    use super::*;

    #[test]
    fn everything_comes_out_in_order_however_small_the_output_is() {
        let expected: Vec<_> = (0..20_u64)
            .flat_map(|n| {
                (0..n % 7).map(move |i| Record { value: n * 10 + i, timestamp: n as i64, origin: Origin::new(3, n) })
            })
            .collect();
        for capacity in (1..10).chain([usize::MAX]) {
            let harness = OneInputHarness::new(FlatMap::new(|n: u64| (0..n % 7).map(move |i| n * 10 + i)));
            let mut harness = harness.expect("started").output_capacity(capacity);
            for n in 0..20 {
                let record = Record { value: n, timestamp: n as i64, origin: Origin::new(3, n) };
                harness.push_record(record).expect("taken");
            }
            assert_eq!(harness.take(), expected, "capacity {capacity}");
        }
    }

    /// Emits three records for every record and for every event, whatever the output says, as a
    /// user's function does.
    #[derive(Clone, Default)]
    struct Burst {
        watermark: i64,
        now: i64,
        ended: bool,
    }

    impl OperatorFactory<u64> for Burst {
        type Out = u64;
        type Operator = Burst;

        fn create(&self, _ctx: &mut RuntimeContext<'_>) -> Result<Burst> {
            Ok(self.clone())
        }
    }

    impl Burst {
        fn emit<O: Output<u64>>(from: u64, out: &mut O) {
            (from..from + 3).for_each(|n| out.collect(Record::at(n, from as i64)));
        }
    }

    impl Operator<u64> for Burst {
        type Out = u64;

        fn process<O: Output<u64>>(&mut self, record: Record<u64>, out: &mut O) -> Result<()> {
            Burst::emit(record.value, out);
            Ok(())
        }

        fn watermark<O: Output<u64>>(&mut self, watermark: i64, out: &mut O) -> Result<Progress> {
            if std::mem::replace(&mut self.watermark, watermark) != watermark {
                Burst::emit(100, out);
            }
            Ok(Progress::Done)
        }

        fn processing_time<O: Output<u64>>(&mut self, now: i64, out: &mut O) -> Result<Progress> {
            if std::mem::replace(&mut self.now, now) != now {
                Burst::emit(200, out);
            }
            Ok(Progress::Done)
        }

        fn end_of_input<O: Output<u64>>(&mut self, out: &mut O) -> Result<Progress> {
            if !std::mem::replace(&mut self.ended, true) {
                Burst::emit(300, out);
            }
            Ok(Progress::Done)
        }
    }

    /// What an operator before it emits in one call waits here, and is out before the event is
    /// handed on: that the harness calls again is what the task does.
    #[test]
    fn an_upstream_that_emits_several_in_one_call_loses_none_and_overtakes_none() {
        let doubled = |from: u64| -> Vec<(u64, i64)> {
            (from..from + 3).flat_map(|n| [(n, from as i64), (n + 1000, from as i64)]).collect()
        };
        for capacity in (1..8).chain([usize::MAX]) {
            let chain = Then::new(Burst::default(), FlatMap::new(|n| [n, n + 1000]));
            let mut harness = OneInputHarness::new(chain).expect("started").output_capacity(capacity);
            let out = |harness: &mut OneInputHarness<u64, _>| -> Vec<(u64, i64)> {
                harness.take().into_iter().map(|r: Record<u64>| (r.value, r.timestamp)).collect()
            };
            harness.push(0).expect("taken");
            harness.push(10).expect("taken");
            assert_eq!(out(&mut harness), [doubled(0), doubled(10)].concat(), "capacity {capacity}");
            harness.watermark(5).expect("event time");
            assert_eq!(out(&mut harness), doubled(100), "capacity {capacity}");
            harness.processing_time(5).expect("processing time");
            assert_eq!(out(&mut harness), doubled(200), "capacity {capacity}");
            harness.end_of_input().expect("ended");
            assert_eq!(out(&mut harness), [doubled(100), doubled(300)].concat(), "capacity {capacity}");
        }
    }
}
