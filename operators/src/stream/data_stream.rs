//! A stream of records, and the chain that makes it.

use std::{
    marker::PhantomData,
    sync::{Arc, Mutex},
};

use hurtig_engine::{
    Data,
    graph::{Port, ShipStrategy},
    operator::{Identity, Named, OperatorFactory, Then},
    sink::Sink,
    task::{
        OutputTag,
        build::{Exit, ForwardExit, KeyedExit, NoExit},
    },
};
use hurtig_state::Key;

use super::{EdgeHead, Environment, Fused, Head, KeyedStream, head::Unchained};
use crate::sink_operator::SinkFactory;

/// A stream of `T`. `C` is the chain so far; operators add to it, and it ends at an exchange, at
/// a sink, or where the stream is [`shared`](DataStream::shared).
pub struct DataStream<T, C = Unchained<T>> {
    pub(crate) env: Environment,
    /// The vertex that this chain belongs to.
    pub(crate) vertex: usize,
    /// What this stream reads when its chain is empty: (vertex, port) of its upstreams.
    pub(crate) upstreams: Vec<(usize, Port)>,
    pub(crate) chain: C,
    _type: PhantomData<fn() -> T>,
}

/// What `transform` makes of a stream.
pub type Transformed<U, H, Op, Next> = DataStream<U, Fused<H, Then<Op, Named<Next>>>>;

impl<T, C> DataStream<T, C> {
    pub(crate) fn new(env: Environment, vertex: usize, chain: C) -> Self {
        DataStream { env, vertex, upstreams: Vec::new(), chain, _type: PhantomData }
    }

    fn last_operator(&self) -> usize {
        self.env.with_graph(|g| g.operators(self.vertex).saturating_sub(1))
    }

    /// Names the last operator.
    pub fn name(self, name: impl Into<String>) -> Self {
        let last = self.last_operator();
        self.env.with_graph(|g| g.set_name(self.vertex, last, name));
        self
    }

    /// Gives the last operator its uid: what its state is matched by when the job has changed.
    pub fn uid(self, uid: impl Into<String>) -> Self {
        let last = self.last_operator();
        self.env.with_graph(|g| g.set_uid(self.vertex, last, uid));
        self
    }

    /// Gives this chain its own parallelism.
    pub fn set_parallelism(self, parallelism: usize) -> Self {
        self.env.with_graph(|g| g.set_parallelism(self.vertex, parallelism));
        self
    }
}

impl<T, H, Op> DataStream<T, Fused<H, Op>>
where
    T: Data,
    H: Head,
    Op: OperatorFactory<H::Item, Out = T>,
{
    /// Adds any operator: the door for operators that are not here yet.
    pub fn transform<U, F>(self, name: &str, factory: F) -> Transformed<U, H, Op, F>
    where
        U: Data,
        F: OperatorFactory<T, Out = U>,
    {
        let index = self.env.with_graph(|g| g.add_operator(self.vertex, name));
        DataStream {
            env: self.env,
            vertex: self.vertex,
            upstreams: self.upstreams,
            chain: self.chain.then(factory, index),
            _type: PhantomData,
        }
    }

    /// The records that the last operator emits under `tag`.
    pub fn side_output<U: Data>(&self, tag: &OutputTag<U>) -> DataStream<U> {
        let port = self.env.with_graph(|g| g.add_side_output(self.vertex, tag));
        DataStream::reading(&self.env, vec![(self.vertex, port)])
    }

    /// Ends the chain here, so that several can read the stream. (In Flink every stream can be
    /// read twice; here a chain is one type, and where it forks it has to end.)
    pub fn shared(self) -> DataStream<T> {
        let (env, vertex) = (self.env.clone(), self.vertex);
        self.seal(ForwardExit);
        DataStream::reading(&env, vec![(vertex, Port::Main)])
    }

    /// Groups by key: all records of a key meet at the same subtask.
    pub fn key_by<K, F>(self, key: F) -> KeyedStream<K, T, F>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + Send + 'static,
    {
        let (env, from) = (self.env.clone(), self.vertex);
        self.named_if_empty("KeyBy").seal(KeyedExit::new(key.clone()));
        KeyedStream::new(env, from, key)
    }

    /// Ends the stream in `sink`.
    pub fn sink_to<S: Sink<T>>(self, sink: S) -> DataStreamSink {
        let sink = Arc::new(sink);
        let (env, vertex) = (self.env.clone(), self.vertex);
        let stream = self.transform::<(), _>("Sink", SinkFactory::new(sink.clone()));
        let operator = stream.last_operator();
        env.with_graph(|g| g.add_sink::<T, S>(vertex, operator, sink));
        stream.seal(NoExit);
        DataStreamSink { env, vertex, operator }
    }

    /// A chain without any operator has no name; its vertex needs one.
    fn named_if_empty(self, name: &str) -> Self {
        self.env.with_graph(|g| {
            if g.operators(self.vertex) == 0 {
                g.add_operator(self.vertex, name);
            }
        });
        self
    }

    /// Ends the chain: its types go behind the vertex's factory.
    pub(crate) fn seal<X: Exit<T>>(self, exit: X) {
        let this = self.named_if_empty("Forward");
        // A prototype need not be Sync: every subtask gets its own copy, one at a time.
        let prototype = Mutex::new((this.chain.head, this.chain.op, exit));
        let (vertex, upstreams) = (this.vertex, this.upstreams);
        this.env.with_graph(|g| {
            for (from, port) in upstreams {
                g.connect(from, vertex, port, ShipStrategy::Forward);
            }
            g.seal(
                vertex,
                Arc::new(move |setup| {
                    let (head, op, exit) = &*prototype.lock().unwrap_or_else(|e| e.into_inner());
                    head.task(op, exit, setup)
                }),
            );
        });
    }
}

impl<T: Data> DataStream<T> {
    /// A stream that reads `upstreams` and begins a chain of its own.
    pub(crate) fn reading(env: &Environment, upstreams: Vec<(usize, Port)>) -> Self {
        let vertex = env.with_graph(|g| g.open_vertex(false));
        let mut stream = DataStream::new(env.clone(), vertex, Fused::new(EdgeHead::default(), Identity));
        stream.upstreams = upstreams;
        stream
    }
}

/// Another reader of the same stream.
impl<T: Data> Clone for DataStream<T> {
    fn clone(&self) -> Self {
        DataStream::reading(&self.env, self.upstreams.clone())
    }
}

/// The end of a stream.
pub struct DataStreamSink {
    env: Environment,
    vertex: usize,
    operator: usize,
}

impl DataStreamSink {
    /// Names the sink: what its books are printed under.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.env.with_graph(|g| g.set_name(self.vertex, self.operator, name));
        self
    }

    /// Gives the sink its uid.
    pub fn uid(self, uid: impl Into<String>) -> Self {
        self.env.with_graph(|g| g.set_uid(self.vertex, self.operator, uid));
        self
    }

    /// Gives the sink's chain its own parallelism.
    pub fn set_parallelism(self, parallelism: usize) -> Self {
        self.env.with_graph(|g| g.set_parallelism(self.vertex, parallelism));
        self
    }
}
