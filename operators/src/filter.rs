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
