//! A keyed stream cut into windows.

use std::time::Duration;

use hurtig_engine::{Data, task::OutputTag, time::millis};
use hurtig_state::{AggregateFunction, Key};

use super::{TimeWindow, TumblingEventTimeWindows, WindowAggregate};
use crate::stream::{KeyedStream, KeyedTransformed};

/// What [`KeyedStream::window`] gives.
pub struct WindowedStream<K, T, F> {
    stream: KeyedStream<K, T, F>,
    assigner: TumblingEventTimeWindows,
    lateness: i64,
    late: Option<OutputTag<T>>,
}

impl<K, T, F> KeyedStream<K, T, F>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    /// Cuts the stream into windows.
    pub fn window(self, assigner: TumblingEventTimeWindows) -> WindowedStream<K, T, F> {
        WindowedStream { stream: self, assigner, lateness: 0, late: None }
    }
}

impl<K, T, F> WindowedStream<K, T, F>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    /// Keeps windows for so long after they have fired; a late record in that time fires its
    /// window again with the new result.
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = millis(lateness);
        self
    }

    /// Sends records that are too late to a side output. Without it they become dead letters.
    pub fn side_output_late_data(mut self, tag: &OutputTag<T>) -> Self {
        self.late = Some(OutputTag::new(tag.id()));
        self
    }

    /// Folds each window's records into an accumulator as they come, and makes a record of its
    /// result when the window fires.
    pub fn aggregate<A, U, W>(self, aggregate: A, result: W) -> KeyedTransformed<T, U, WindowAggregate<K, T, F, A, W>>
    where
        A: AggregateFunction<In = T> + Clone + Send,
        U: Data,
        W: Fn(&K, TimeWindow, A::Out) -> U + Clone + Send + 'static,
    {
        let factory = WindowAggregate {
            key: self.stream.key.clone(),
            assigner: self.assigner,
            lateness: self.lateness,
            late: self.late,
            aggregate,
            result,
            _key: std::marker::PhantomData,
        };
        self.stream.transform("Window", factory)
    }
}
