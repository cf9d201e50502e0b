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
        self.transform("FlatMap", FlatMap { function, _out: std::marker::PhantomData })
    }
}
