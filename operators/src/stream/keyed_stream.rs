//! A stream grouped by key.

use hurtig_engine::{
    Data,
    graph::{Port, ShipStrategy},
    operator::{Identity, Named, OperatorFactory, Then},
};
use hurtig_state::Key;

use super::{DataStream, EdgeHead, Environment, Fused};

/// Records of one key meet at one subtask, in the order in which their subtask sent them.
pub struct KeyedStream<K, T, F> {
    env: Environment,
    from: usize,
    pub(crate) key: F,
    _types: std::marker::PhantomData<fn() -> (K, T)>,
}

/// What an operator makes of a keyed stream: the beginning of a new chain.
pub type KeyedTransformed<T, U, Next> = DataStream<U, Fused<EdgeHead<T>, Then<Identity, Named<Next>>>>;

impl<K, T, F> KeyedStream<K, T, F>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    pub(crate) fn new(env: Environment, from: usize, key: F) -> Self {
        KeyedStream { env, from, key, _types: std::marker::PhantomData }
    }

    /// Adds any operator that works by key.
    pub fn transform<U, Next>(self, name: &str, factory: Next) -> KeyedTransformed<T, U, Next>
    where
        U: Data,
        Next: OperatorFactory<T, Out = U>,
    {
        let vertex = self.env.with_graph(|g| {
            let vertex = g.open_vertex(true);
            if let Some(p) = g.parallelism(self.from) {
                g.set_parallelism(vertex, p);
            }
            g.connect(self.from, vertex, Port::Main, ShipStrategy::Hash);
            vertex
        });
        let stream: DataStream<T> = DataStream::new(self.env, vertex, Fused::new(EdgeHead::default(), Identity));
        stream.transform(name, factory)
    }
}
