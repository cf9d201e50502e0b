//! Values whose lines are under way: a value is written when all its lines are, and its books are kept once.

use std::collections::VecDeque;

use hurtig_engine::record::Record;

/// The values that wait for their answers, by the number they were given.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    /// The number of the first in `values`.
    first: u64,
    values: VecDeque<Option<Value<T>>>,
    open: usize,
}

#[derive(Debug)]
struct Value<T> {
    record: Record<T>,
    left: usize,
    reasons: Vec<String>,
}

/// A value of whose lines each has its answer.
#[derive(Debug)]
pub(crate) struct Settled<T> {
    /// As it came.
    pub record: Record<T>,
    /// Why those of its lines are not written that are not.
    pub reasons: Vec<String>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting { first: 0, values: VecDeque::new(), open: 0 }
    }
}

impl<T> Waiting<T> {
    /// Takes a value with `left` lines under way (one at least), and what is refused of it already.
    pub fn push(&mut self, record: Record<T>, left: usize, reasons: Vec<String>) -> u64 {
        self.values.push_back(Some(Value { record, left, reasons }));
        self.open += 1;
        self.first + self.values.len() as u64 - 1
    }

    /// One of its lines has its answer. The value, when that was the last.
    pub fn answered(&mut self, number: u64, reason: Option<String>) -> Option<Settled<T>> {
        let slot = self.values.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)?;
        let value = slot.as_mut()?;
        value.reasons.extend(reason);
        value.left = value.left.saturating_sub(1);
        if value.left > 0 {
            return None;
        }
        let settled = slot.take().map(|value| Settled { record: value.record, reasons: value.reasons });
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

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }
}
