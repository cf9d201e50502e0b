//! `flat_map`: one record in, any number out, in slices where they are many.

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

/// The instance: with what is left of the last record's iterator when the output was full.
pub struct FlatMapOperator<F, I: IntoIterator> {
    function: F,
    rest: Option<(I::IntoIter, i64, Origin)>,
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
        Ok(FlatMapOperator { function: self.function.clone(), rest: None })
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
        debug_assert!(self.rest.is_none(), "resume comes before the next record");
        let mut items = (self.function)(value).into_iter();
        while let Some(value) = items.next() {
            out.collect(Record { value, timestamp, origin });
            if out.is_full() {
                self.rest = Some((items, timestamp, origin));
                break;
            }
        }
        Ok(())
    }

    fn resume<O: Output<I::Item>>(&mut self, out: &mut O) -> Result<Progress> {
        let Some((mut items, timestamp, origin)) = self.rest.take() else { return Ok(Progress::Done) };
        while let Some(value) = items.next() {
            out.collect(Record { value, timestamp, origin });
            if out.is_full() {
                self.rest = Some((items, timestamp, origin));
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
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
