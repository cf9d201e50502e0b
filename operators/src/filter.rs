//! `filter`: keeps the records for which a function says so.

use hurtig_engine::{
    Data, Record, Result,
    operator::{Operator, OperatorFactory, Output},
    task::RuntimeContext,
};

use crate::stream::{DataStream, Fused, Head, Transformed};

/// Keeps or drops every record.
#[derive(Debug, Clone)]
pub struct Filter<F> {
    keep: F,
}

impl<T: 'static, F: FnMut(&T) -> bool + Clone + Send + 'static> OperatorFactory<T> for Filter<F> {
    type Out = T;
    type Operator = Self;

    fn create(&self, _ctx: &mut RuntimeContext<'_>) -> Result<Self> {
        Ok(self.clone())
    }
}

impl<T: 'static, F: FnMut(&T) -> bool + 'static> Operator<T> for Filter<F> {
    type Out = T;

    #[inline]
    fn process<O: Output<T>>(&mut self, record: Record<T>, out: &mut O) -> Result<()> {
        if (self.keep)(&record.value) {
            out.collect(record);
        }
        Ok(())
    }
}

impl<T: Data, H: Head, Op: OperatorFactory<H::Item, Out = T>> DataStream<T, Fused<H, Op>> {
    /// Keeps the records for which `keep` is true.
    pub fn filter<F>(self, keep: F) -> Transformed<T, H, Op, Filter<F>>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        self.transform("Filter", Filter { keep })
    }
}

#[cfg(test)]
mod tests {
    use hurtig_engine::{Origin, harness::OneInputHarness};

    use super::*;

    #[test]
    fn what_is_kept_is_as_it_was() {
        let mut harness = OneInputHarness::new(Filter { keep: |n: &u64| n.is_multiple_of(2) }).expect("started");
        let record = |n| Record { value: n, timestamp: n as i64, origin: Origin::new(1, n) };
        for n in 0..6 {
            harness.push_record(record(n)).expect("taken");
        }
        assert_eq!(harness.take(), [record(0), record(2), record(4)]);
    }
}
