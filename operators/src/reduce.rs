//! `reduce` on a keyed stream: folds each record into what the key has so far, and emits that.

use hurtig_engine::{Data, Result, operator::Output};
use hurtig_state::{Key, ValueState, ValueStateDescriptor};

use crate::{
    collector::Collector,
    keyed_process::{KeyedContextOf, KeyedProcess, KeyedProcessFunction},
    stream::{KeyedStream, KeyedTransformed},
};

/// Keeps one value a key.
pub struct Reduce<T, R> {
    reduce: R,
    current: ValueState<T>,
}

impl<T, R: Clone> Clone for Reduce<T, R> {
    fn clone(&self) -> Self {
        Reduce { reduce: self.reduce.clone(), current: ValueState::default() }
    }
}

impl<K, T, R> KeyedProcessFunction<K, T> for Reduce<T, R>
where
    K: Key,
    T: Data,
    R: Fn(T, T) -> T + Clone + Send + 'static,
{
    type Out = T;

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, K>) -> Result<()> {
        self.current = ctx.state().value_state(ValueStateDescriptor::new("reduced"))?;
        Ok(())
    }

    fn process_element<O: Output<T>>(
        &mut self,
        value: T,
        ctx: &mut KeyedContextOf<'_, K>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        let reduced = match self.current.value(ctx)? {
            Some(current) => (self.reduce)(current.clone(), value),
            None => value,
        };
        self.current.update(ctx, reduced.clone())?;
        out.collect(reduced);
        Ok(())
    }
}

impl<K, T, F> KeyedStream<K, T, F>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    /// Combines every record with the key's last result by `reduce`, and emits the new one.
    pub fn reduce<R>(self, reduce: R) -> KeyedTransformed<T, T, KeyedProcess<K, F, Reduce<T, R>>>
    where
        R: Fn(T, T) -> T + Clone + Send + 'static,
    {
        self.process(Reduce { reduce, current: ValueState::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subtasks::{BACKENDS, Subtasks};

    #[test]
    fn each_record_gives_the_result_so_far_also_after_a_restore() {
        type Amount = (u32, i64);
        type Add = fn(Amount, Amount) -> Amount;
        let add: Add = |a, b| (a.0, a.1 + b.1);
        let key: fn(&Amount) -> u32 = |a| a.0;
        let factory = KeyedProcess::new(key, Reduce { reduce: add, current: ValueState::default() });
        for backend in BACKENDS {
            let dir = tempfile::tempdir().expect("dir");
            let mut one = Subtasks::start(&factory, key, 1, backend, &dir.path().join("one"), &[]);
            for (n, amount) in [(1, 5), (2, 7), (1, -2), (1, 10)].into_iter().enumerate() {
                one.push_at(amount, n as i64);
            }
            assert_eq!(one.take(), [(0, (1, 5)), (1, (2, 7)), (2, (1, 3)), (3, (1, 13))], "{backend:?}");
            let mut two = Subtasks::start(&factory, key, 2, backend, &dir.path().join("two"), &one.snapshot());
            for (n, amount) in [(2, 1), (1, 1), (3, 1)].into_iter().enumerate() {
                two.push_at(amount, n as i64);
            }
            assert_eq!(two.take(), [(0, (2, 8)), (1, (1, 14)), (2, (3, 1))], "{backend:?}");
        }
    }
}
