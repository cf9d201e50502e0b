//! How a chain begins, and the chain itself as a type.

use std::{marker::PhantomData, sync::Arc};

use hurtig_engine::{
    Data, Result,
    graph::TaskSetup,
    operator::{Identity, Named, OperatorFactory, Then},
    source::Source,
    task::{
        Task,
        build::{Exit, chain_task, source_task},
    },
    watermark::{TimestampAssigner, WatermarkStrategy},
};

/// How a chain begins.
pub trait Head: Send + 'static {
    /// What it gives to the first operator.
    type Item: Data;

    /// Makes the task of one subtask.
    fn task<U, F, X>(&self, factory: &F, exit: &X, setup: TaskSetup<'_>) -> Result<Box<dyn Task>>
    where
        F: OperatorFactory<Self::Item, Out = U>,
        X: Exit<U>;
}

/// The chain is fed by other chains.
#[derive(Debug)]
pub struct EdgeHead<T>(PhantomData<fn() -> T>);

impl<T> Default for EdgeHead<T> {
    fn default() -> Self {
        EdgeHead(PhantomData)
    }
}

impl<T: Data> Head for EdgeHead<T> {
    type Item = T;

    fn task<U, F, X>(&self, factory: &F, exit: &X, setup: TaskSetup<'_>) -> Result<Box<dyn Task>>
    where
        F: OperatorFactory<T, Out = U>,
        X: Exit<U>,
    {
        chain_task(factory, exit, setup)
    }
}

/// The chain reads a source.
pub struct SourceHead<S, A> {
    source: Arc<S>,
    strategy: WatermarkStrategy<A>,
}

impl<S, A> SourceHead<S, A> {
    pub(crate) fn new(source: Arc<S>, strategy: WatermarkStrategy<A>) -> Self {
        SourceHead { source, strategy }
    }
}

impl<S: Source, A: TimestampAssigner<S::Item>> Head for SourceHead<S, A> {
    type Item = S::Item;

    fn task<U, F, X>(&self, factory: &F, exit: &X, setup: TaskSetup<'_>) -> Result<Box<dyn Task>>
    where
        F: OperatorFactory<S::Item, Out = U>,
        X: Exit<U>,
    {
        source_task(&*self.source, self.strategy.clone(), factory, exit, setup)
    }
}

/// A chain in the making: its head, and its operators fused into one.
pub struct Fused<H, Op> {
    pub(crate) head: H,
    pub(crate) op: Op,
}

impl<H, Op> Fused<H, Op> {
    pub(crate) fn new(head: H, op: Op) -> Self {
        Fused { head, op }
    }

    /// The same chain with `next` behind it, as operator number `index` of its vertex.
    pub(crate) fn then<Next>(self, next: Next, index: usize) -> Fused<H, Then<Op, Named<Next>>> {
        Fused { head: self.head, op: Then::new(self.op, Named::new(next, index)) }
    }
}

/// The chain of a stream that nothing has been done to yet.
pub type Unchained<T> = Fused<EdgeHead<T>, Identity>;
