//! The untyped job graph: vertices (chains), edges between them, uids, parallelism.
//!
//! Builder chains make it ([`GraphBuilder`]), the runner runs it, `--explain` prints it
//! ([`plan`]). All types are behind each vertex's [`TaskFactory`].

pub mod builder;
pub mod plan;

use std::{path::PathBuf, sync::Arc};

pub use builder::GraphBuilder;

use crate::{
    error::Result,
    exchange::{EdgeSenders, Receiver},
    sink::{Committer, CommitterContext},
    source::{Boundedness, EnumeratorContext, ErasedEnumerator},
    task::{Events, RuntimeContext, Task, TaskMetrics, build::SideFactory},
};

/// A job, ready to run.
#[derive(Clone)]
pub struct JobGraph {
    /// The job's name: what its checkpoints belong to.
    pub name: String,
    /// The number of key groups, and the most subtasks a keyed vertex can ever have.
    pub max_parallelism: u16,
    /// Upstream before downstream.
    pub vertices: Vec<Vertex>,
    /// Which vertex feeds which.
    pub edges: Vec<Edge>,
}

/// One chain of fused operators.
#[derive(Clone)]
pub struct Vertex {
    /// The operators, in order.
    pub operators: Vec<OperatorMeta>,
    /// How many subtasks.
    pub parallelism: usize,
    /// Whether state is kept by key.
    pub keyed: bool,
    pub(crate) factory: TaskFactory,
    pub(crate) source: Option<SourceMeta>,
    pub(crate) committers: Vec<CommitterMeta>,
    pub(crate) sides: Vec<(Arc<str>, SideFactory)>,
}

/// One operator's name and uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorMeta {
    /// What people read.
    pub name: String,
    /// What its state is matched by.
    pub uid: String,
}

/// Which vertex feeds which, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Index of the upstream vertex.
    pub from: usize,
    /// Index of the downstream vertex.
    pub to: usize,
    /// Which of the upstream vertex's outputs.
    pub port: Port,
    /// How records are dealt out.
    pub ship: ShipStrategy,
}

/// An output of a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// The main one.
    Main,
    /// A side output, by its tag.
    Side(Arc<str>),
    /// The hidden one for dead letters.
    DeadLetters,
}

/// How records are dealt out among subtasks (Flink's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShipStrategy {
    /// Subtask to subtask of the same index.
    Forward,
    /// By key group.
    Hash,
    /// In turn.
    Rebalance,
}

impl std::fmt::Display for ShipStrategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ShipStrategy::Forward => "FORWARD",
            ShipStrategy::Hash => "HASH",
            ShipStrategy::Rebalance => "REBALANCE",
        })
    }
}

/// Makes one subtask.
pub type TaskFactory = Arc<dyn Fn(TaskSetup<'_>) -> Result<Box<dyn Task>> + Send + Sync>;

/// What a subtask is made from.
pub struct TaskSetup<'a> {
    /// Its operators' surroundings.
    pub ctx: RuntimeContext<'a>,
    /// The vertex's index.
    pub vertex: usize,
    /// Input channels.
    pub inputs: Vec<Receiver>,
    /// Output channels by port.
    pub outputs: Vec<(Port, EdgeSenders)>,
    pub(crate) sides: &'a [(Arc<str>, SideFactory)],
    /// Where events go.
    pub events: Events,
    /// Where figures go.
    pub metrics: Arc<TaskMetrics>,
    /// Below it, a directory for each checkpoint's local files.
    pub snapshots: PathBuf,
}

/// What the coordinator needs of a source.
#[derive(Clone)]
pub(crate) struct SourceMeta {
    pub uid: String,
    pub boundedness: Boundedness,
    pub enumerator: EnumeratorFactory,
}

pub(crate) type EnumeratorFactory =
    Arc<dyn Fn(EnumeratorContext, Option<Vec<u8>>) -> Result<Box<dyn ErasedEnumerator>> + Send + Sync>;

/// What the coordinator needs of a sink.
#[derive(Clone)]
pub(crate) struct CommitterMeta {
    /// Index of the sink among the vertex's operators.
    pub operator: usize,
    pub make: CommitterFactory,
}

pub(crate) type CommitterFactory = Arc<dyn Fn(CommitterContext) -> Result<Option<Box<dyn Committer>>> + Send + Sync>;

impl Vertex {
    /// `a -> b -> c`, as Flink names a chain.
    pub fn name(&self) -> String {
        self.operators.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(" -> ")
    }

    /// The uid of the chain's first operator.
    pub fn uid(&self) -> &str {
        self.operators.first().map_or("", |o| &o.uid)
    }

    /// Whether it reads a source.
    pub fn is_source(&self) -> bool {
        self.source.is_some()
    }

    /// Whether it writes a sink.
    pub fn is_sink(&self) -> bool {
        !self.committers.is_empty()
    }
}

impl JobGraph {
    /// Every operator's uid.
    pub fn uids(&self) -> Vec<&str> {
        self.vertices.iter().flat_map(|v| v.operators.iter().map(|o| o.uid.as_str())).collect()
    }

    /// Whether every source comes to an end by itself.
    pub fn is_bounded(&self) -> bool {
        let mut sources = self.vertices.iter().filter_map(|v| v.source.as_ref());
        sources.all(|s| s.boundedness == Boundedness::Bounded)
    }

    /// The edges into vertex `to`.
    pub fn inputs(&self, to: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |e| e.to == to)
    }
}
