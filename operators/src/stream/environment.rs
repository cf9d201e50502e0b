//! The place where a job is put together.

use std::{cell::RefCell, path::PathBuf, rc::Rc, sync::Arc};

use hurtig_engine::{
    Error, Result,
    dead_letter::DeadLetter,
    graph::{GraphBuilder, JobGraph},
    runner::{JobConfig, JobHandle, JobResult, LocalRunner},
    sink::Sink,
    source::Source,
    watermark::{TimestampAssigner, WatermarkStrategy},
};
use hurtig_state::default_max_parallelism;

use super::{DataStream, Fused, SourceHead, head::EdgeHead};
use crate::connectors::dead_letters::dead_letters_to;
use hurtig_engine::operator::Identity;

/// Where a job's streams begin (Flink's `StreamExecutionEnvironment`).
#[derive(Clone)]
pub struct Environment {
    inner: Rc<Inner>,
}

struct Inner {
    name: String,
    settings: RefCell<Settings>,
    graph: RefCell<Option<GraphBuilder>>,
}

struct Settings {
    parallelism: usize,
    max_parallelism: Option<u16>,
    bounded: bool,
    data_dir: PathBuf,
    letters: bool,
}

impl Environment {
    /// An empty job called `name`: what its checkpoints belong to.
    pub fn new(name: impl Into<String>) -> Self {
        let data_dir = PathBuf::from("hurtig-data");
        let settings = Settings { parallelism: 1, max_parallelism: None, bounded: false, data_dir, letters: false };
        Environment {
            inner: Rc::new(Inner {
                name: name.into(),
                settings: RefCell::new(settings),
                graph: RefCell::new(Some(GraphBuilder::default())),
            }),
        }
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How many workers, and how many subtasks a vertex has unless it says otherwise.
    pub fn set_parallelism(&self, parallelism: usize) -> &Self {
        self.inner.settings.borrow_mut().parallelism = parallelism;
        self
    }

    /// How many workers.
    pub fn parallelism(&self) -> usize {
        self.inner.settings.borrow().parallelism
    }

    /// The number of key groups (default: Flink's rule, 128 up to parallelism 85). It can never
    /// be changed for state that exists.
    pub fn set_max_parallelism(&self, max_parallelism: u16) -> &Self {
        self.inner.settings.borrow_mut().max_parallelism = Some(max_parallelism);
        self
    }

    /// Whether the job is to come to an end by itself (`--bounded`). A source that could go on for
    /// ever is built accordingly.
    pub fn is_bounded(&self) -> bool {
        self.inner.settings.borrow().bounded
    }

    /// Says whether the job is to come to an end by itself.
    pub fn set_bounded(&self, bounded: bool) -> &Self {
        self.inner.settings.borrow_mut().bounded = bounded;
        self
    }

    /// Below which directory the job writes what it has no other place for (`--data-dir`).
    pub fn data_dir(&self) -> PathBuf {
        self.inner.settings.borrow().data_dir.clone()
    }

    /// Says below which directory the job writes.
    pub fn set_data_dir(&self, data_dir: impl Into<PathBuf>) -> &Self {
        self.inner.settings.borrow_mut().data_dir = data_dir.into();
        self
    }

    /// A stream of what `source` reads.
    pub fn from_source<S, A>(
        &self,
        source: S,
        strategy: WatermarkStrategy<A>,
        name: &str,
    ) -> DataStream<S::Item, Fused<SourceHead<S, A>, Identity>>
    where
        S: Source,
        A: TimestampAssigner<S::Item>,
    {
        let source = Arc::new(source);
        let vertex = self.with_graph(|g| {
            let vertex = g.open_vertex(false);
            g.add_operator(vertex, name);
            g.set_source(vertex, source.clone());
            vertex
        });
        DataStream::new(self.clone(), vertex, Fused::new(SourceHead::new(source, strategy), Identity))
    }

    /// The job's dead letters as a stream: what could not be read, came too late, or was refused
    /// by a sink, from every vertex. At most one reader; without one they are dropped, and the
    /// front door always gives one.
    pub fn dead_letters(&self) -> DataStream<DeadLetter> {
        let vertex = self.with_graph(|g| {
            let vertex = g.open_vertex(false);
            g.set_parallelism(vertex, 1);
            g.set_dead_letters(vertex);
            vertex
        });
        self.inner.settings.borrow_mut().letters = true;
        DataStream::new(self.clone(), vertex, Fused::new(EdgeHead::default(), Identity))
    }

    /// Sends the job's dead letters to `sink`.
    pub fn dead_letters_to<S: Sink<DeadLetter>>(&self, sink: S) {
        self.dead_letters().sink_to(sink).name("DeadLetters").uid("dead-letters");
    }

    /// Whether somebody reads the dead letters.
    pub fn has_dead_letters(&self) -> bool {
        self.inner.settings.borrow().letters
    }

    /// The finished graph. Takes it: an environment makes one job.
    pub fn graph(&self) -> Result<JobGraph> {
        let settings = self.inner.settings.borrow();
        let max = settings
            .max_parallelism
            .unwrap_or_else(|| default_max_parallelism(u16::try_from(settings.parallelism).unwrap_or(u16::MAX)));
        match self.inner.graph.borrow_mut().take() {
            Some(graph) => graph.build(&self.inner.name, settings.parallelism, max),
            None => Err(Error::Graph("the environment's graph was taken already".into())),
        }
    }

    /// Starts the job in this process and returns the handle by which it is watched and asked
    /// (Flink's `executeAsync`). Dead letters that nobody reads go below the data directory.
    pub fn execute_async(&self, config: JobConfig) -> Result<JobHandle> {
        if !self.has_dead_letters() {
            self.dead_letters_to(dead_letters_to(config.data_dir.join("dead-letters")));
        }
        LocalRunner::submit(self.graph()?, config)
    }

    /// Runs the job in this process to its end. A failed job is an error.
    pub fn execute(&self, config: JobConfig) -> Result<JobResult> {
        self.execute_async(config)?.wait()
    }

    pub(crate) fn with_graph<R>(&self, f: impl FnOnce(&mut GraphBuilder) -> R) -> R {
        let mut graph = self.inner.graph.borrow_mut();
        f(graph.get_or_insert_with(GraphBuilder::default))
    }
}
