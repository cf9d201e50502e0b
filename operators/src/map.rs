//! `map`: one record in, one record out.

use hurtig_engine::{
    Data, Record, Result,
    operator::{Operator, OperatorFactory, Output},
    task::RuntimeContext,
};

use crate::stream::{DataStream, Fused, Head, Transformed};

/// Calls a function on every record.
#[derive(Debug)]
pub struct Map<F, U> {
    function: F,
    _out: std::marker::PhantomData<fn() -> U>,
}

impl<F: Clone, U> Clone for Map<F, U> {
    fn clone(&self) -> Self {
        Map { function: self.function.clone(), _out: self._out }
    }
}

impl<T, U, F> OperatorFactory<T> for Map<F, U>
where
    T: 'static,
    U: 'static,
    F: FnMut(T) -> U + Clone + Send + 'static,
{
    type Out = U;
    type Operator = Self;

    fn create(&self, _ctx: &mut RuntimeContext<'_>) -> Result<Self> {
        Ok(self.clone())
    }
}

impl<T, U: 'static, F: FnMut(T) -> U + 'static> Operator<T> for Map<F, U> {
    type Out = U;

    #[inline]
    fn process<O: Output<U>>(&mut self, record: Record<T>, out: &mut O) -> Result<()> {
        let Record { value, timestamp, origin } = record;
        out.collect(Record { value: (self.function)(value), timestamp, origin });
        Ok(())
    }
}

impl<T: Data, H: Head, Op: OperatorFactory<H::Item, Out = T>> DataStream<T, Fused<H, Op>> {
    /// Turns every record into another by `function`.
    pub fn map<U, F>(self, function: F) -> Transformed<U, H, Op, Map<F, U>>
    where
        U: Data,
        F: FnMut(T) -> U + Clone + Send + 'static,
    {
        self.transform("Map", Map { function, _out: std::marker::PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use hurtig_engine::{Origin, harness::OneInputHarness};

    use super::*;

    #[test]
    fn a_value_changes_and_keeps_its_time_and_place() {
        let mut calls = 0;
        let function = move |n: u64| {
            calls += 1;
            format!("{calls}: {n}")
        };
        let mut harness = OneInputHarness::new(Map { function, _out: std::marker::PhantomData }).expect("started");
        harness.push_record(Record { value: 7, timestamp: 70, origin: Origin::new(1, 2) }).expect("taken");
        harness.push(8).expect("taken");
        harness.end_of_input().expect("ended");
        let first = Record { value: "1: 7".to_owned(), timestamp: 70, origin: Origin::new(1, 2) };
        assert_eq!(harness.take(), [first, Record::new("2: 8".to_owned())]);
    }
}
