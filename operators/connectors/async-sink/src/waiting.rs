//! Values whose items are under way: a value is written when all its items are, and its books are kept once.

use std::collections::VecDeque;

use hurtig_engine::record::Record;

/// The values that wait for their answers, by the number they were given.
#[derive(Debug)]
pub(crate) struct Waiting<T, R> {
    /// The number of the first in `values`.
    first: u64,
    values: VecDeque<Option<Value<T, R>>>,
    open: usize,
}

#[derive(Debug)]
struct Value<T, R> {
    record: Record<T>,
    left: usize,
    refusals: Vec<R>,
}

/// A value of whose items each has its answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled<T, R> {
    /// As it came.
    pub record: Record<T>,
    /// Of those of its items that are not written.
    pub refusals: Vec<R>,
}

impl<T, R> Default for Waiting<T, R> {
    fn default() -> Self {
        Waiting { first: 0, values: VecDeque::new(), open: 0 }
    }
}

impl<T, R> Waiting<T, R> {
    /// Takes a value with `left` items under way (one at least), and what is refused of it already.
    pub fn push(&mut self, record: Record<T>, left: usize, refusals: Vec<R>) -> u64 {
        self.values.push_back(Some(Value { record, left, refusals }));
        self.open += 1;
        self.first + self.values.len() as u64 - 1
    }

    /// One of its items has its answer. The value, when that was the last.
    pub fn answered(&mut self, number: u64, refusal: Option<R>) -> Option<Settled<T, R>> {
        let slot = self.values.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)?;
        let value = slot.as_mut()?;
        value.refusals.extend(refusal);
        value.left = value.left.saturating_sub(1);
        if value.left > 0 {
            return None;
        }
        let settled = slot.take().map(|value| Settled { record: value.record, refusals: value.refusals });
        self.open -= 1;
        while self.values.pop_front_if(|value| value.is_none()).is_some() {
            self.first += 1;
        }
        settled
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.open
    }
}
