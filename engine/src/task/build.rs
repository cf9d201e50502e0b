//! Makes tasks: from a chain's factory, its head and its exit.

use std::{marker::PhantomData, sync::Arc};

use hurtig_state::Key;

use super::{Task, TaskContext, chain_task::ChainTask, context::SideOutlet, source_task::SourceTask};
use crate::{
    error::Result,
    exchange::{EdgeSenders, ForwardOutlet, KeyedOutlet, NoOutlet, Outlet},
    graph::{Port, TaskSetup},
    operator::OperatorFactory,
    record::Data,
    source::Source,
    time::MIN_WATERMARK,
    watermark::{TimestampAssigner, WatermarkStrategy},
};

/// Decides where a chain's records go when it ends.
pub trait Exit<T>: Clone + Send + 'static {
    /// The outlet it makes.
    type Outlet: Outlet<T>;

    /// The outlet of one subtask over the channels of its main output.
    fn outlet(&self, edges: Vec<EdgeSenders>, max_parallelism: u16) -> Self::Outlet;
}

/// To the same subtask of every consumer.
#[derive(Debug, Clone, Copy, Default)]
pub struct ForwardExit;

impl<T: Data> Exit<T> for ForwardExit {
    type Outlet = ForwardOutlet<T>;

    fn outlet(&self, edges: Vec<EdgeSenders>, _max_parallelism: u16) -> Self::Outlet {
        ForwardOutlet::new(edges)
    }
}

/// To the owner of the key's group.
#[derive(Debug)]
pub struct KeyedExit<K, F> {
    key: F,
    _key: PhantomData<fn() -> K>,
}

impl<K, F> KeyedExit<K, F> {
    /// By the key that `key` selects.
    pub fn new(key: F) -> Self {
        KeyedExit { key, _key: PhantomData }
    }
}

impl<K, F: Clone> Clone for KeyedExit<K, F> {
    fn clone(&self) -> Self {
        Self::new(self.key.clone())
    }
}

impl<T: Data, K: Key, F: Fn(&T) -> K + Clone + Send + 'static> Exit<T> for KeyedExit<K, F> {
    type Outlet = KeyedOutlet<T, K, F>;

    fn outlet(&self, edges: Vec<EdgeSenders>, max_parallelism: u16) -> Self::Outlet {
        let senders = edges.into_iter().flat_map(|e| e.senders).collect();
        KeyedOutlet::new(EdgeSenders { senders }, self.key.clone(), max_parallelism)
    }
}

/// Nowhere: after a sink.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoExit;

impl<T: 'static> Exit<T> for NoExit {
    type Outlet = NoOutlet;

    fn outlet(&self, _edges: Vec<EdgeSenders>, _max_parallelism: u16) -> NoOutlet {
        NoOutlet
    }
}

/// Makes the outlet of a side output.
pub(crate) type SideFactory = Arc<dyn Fn(Vec<EdgeSenders>) -> Box<dyn SideOutlet> + Send + Sync>;

/// The factory of side outlets for records of type `T`.
pub(crate) fn side_factory<T: Data>() -> SideFactory {
    Arc::new(|edges| Box::new(ForwardOutlet::<T>::new(edges)))
}

/// A task that is fed by channels.
pub fn chain_task<In, F, X>(factory: &F, exit: &X, mut setup: TaskSetup<'_>) -> Result<Box<dyn Task>>
where
    In: Data,
    F: OperatorFactory<In>,
    X: Exit<F::Out>,
{
    let (outlet, ctx) = outputs(exit, &mut setup);
    Ok(Box::new(ChainTask::create(factory, setup, outlet, ctx)?))
}

/// A task that reads a source.
pub fn source_task<S, A, F, X>(
    source: &S,
    strategy: WatermarkStrategy<A>,
    factory: &F,
    exit: &X,
    mut setup: TaskSetup<'_>,
) -> Result<Box<dyn Task>>
where
    S: Source,
    A: TimestampAssigner<S::Item>,
    F: OperatorFactory<S::Item>,
    X: Exit<F::Out>,
{
    let (outlet, ctx) = outputs(exit, &mut setup);
    Ok(Box::new(SourceTask::<S, A, _, _>::create(source, strategy.into_parts(), factory, setup, outlet, ctx)?))
}

/// The outlets of all ports, and the context that holds the hidden ones.
fn outputs<T, X: Exit<T>>(exit: &X, setup: &mut TaskSetup<'_>) -> (X::Outlet, TaskContext) {
    let (mut main, mut letters, mut tagged) = (Vec::new(), Vec::new(), Vec::new());
    for (port, edge) in std::mem::take(&mut setup.outputs) {
        match port {
            Port::Main => main.push(edge),
            Port::DeadLetters => letters.push(edge),
            Port::Side(tag) => tagged.push((tag, edge)),
        }
    }
    let sides = setup.sides.iter().map(|(tag, make)| {
        let (mine, rest) = std::mem::take(&mut tagged).into_iter().partition(|(t, _)| t == tag);
        tagged = rest;
        let mine: Vec<(Arc<str>, EdgeSenders)> = mine;
        (tag.clone(), make(mine.into_iter().map(|(_, edge)| edge).collect()))
    });
    let sides = sides.collect();
    let watermark = setup.ctx.restored.values().filter_map(|r| r.watermark).min().unwrap_or(MIN_WATERMARK);
    let ctx = TaskContext::new(
        setup.ctx.vertex.clone(),
        sides,
        ForwardOutlet::new(letters),
        setup.ctx.splits.clone(),
        watermark,
    );
    (exit.outlet(main, setup.ctx.max_parallelism), ctx)
}
