//! Builds a [`JobGraph`] while a job's code runs.
//!
//! A vertex is opened when a chain begins, gets its operators' names as they are chained, and
//! is sealed when the chain ends: then all its types are known and its factory can be made.

use std::{any::TypeId, collections::HashMap, sync::Arc};

use super::{CommitterMeta, Edge, JobGraph, OperatorMeta, Port, ShipStrategy, SourceMeta, TaskFactory, Vertex};
use crate::{
    error::{Error, Result},
    record::Data,
    sink::Sink,
    source::{Erased, Source},
    task::{
        OutputTag,
        build::{SideFactory, side_factory},
    },
};

/// A graph in the making.
#[derive(Default)]
pub struct GraphBuilder {
    vertices: Vec<OpenVertex>,
    edges: Vec<Edge>,
    letters: Option<usize>,
    /// What was wrong first: said when the graph is finished, because streams have no errors.
    wrong: Option<String>,
}

struct OpenVertex {
    operators: Vec<OpenOperator>,
    parallelism: Option<usize>,
    keyed: bool,
    factory: Option<TaskFactory>,
    source: Option<SourceMeta>,
    committers: Vec<CommitterMeta>,
    sides: Vec<(Arc<str>, SideFactory, TypeId)>,
}

struct OpenOperator {
    name: String,
    uid: Option<String>,
}

impl GraphBuilder {
    /// Begins a chain.
    pub fn open_vertex(&mut self, keyed: bool) -> usize {
        self.vertices.push(OpenVertex {
            operators: Vec::new(),
            parallelism: None,
            keyed,
            factory: None,
            source: None,
            committers: Vec::new(),
            sides: Vec::new(),
        });
        self.vertices.len() - 1
    }

    /// Adds an operator to a chain and returns its index in it.
    pub fn add_operator(&mut self, vertex: usize, name: impl Into<String>) -> usize {
        let operators = &mut self.vertices[vertex].operators;
        operators.push(OpenOperator { name: name.into(), uid: None });
        operators.len() - 1
    }

    /// How many operators the chain has.
    pub fn operators(&self, vertex: usize) -> usize {
        self.vertices[vertex].operators.len()
    }

    /// Names an operator.
    pub fn set_name(&mut self, vertex: usize, operator: usize, name: impl Into<String>) {
        let name = name.into();
        match self.vertices[vertex].operators.get_mut(operator) {
            Some(o) => o.name = name,
            None => self.nothing_to_call("name", &name),
        }
    }

    /// Gives an operator its uid.
    pub fn set_uid(&mut self, vertex: usize, operator: usize, uid: impl Into<String>) {
        let uid = uid.into();
        match self.vertices[vertex].operators.get_mut(operator) {
            Some(o) => o.uid = Some(uid),
            None => self.nothing_to_call("uid", &uid),
        }
    }

    fn nothing_to_call(&mut self, what: &str, it: &str) {
        self.wrong.get_or_insert_with(|| {
            format!(
                "the {what} '{it}' is given to a stream that has no operator yet (it was just shared, united or taken \
                 from a side output): give it behind the operator that it is meant for"
            )
        });
    }

    /// Gives a whole vertex its own parallelism.
    pub fn set_parallelism(&mut self, vertex: usize, parallelism: usize) {
        self.vertices[vertex].parallelism = Some(parallelism);
    }

    /// A vertex's own parallelism, if it was given one.
    pub fn parallelism(&self, vertex: usize) -> Option<usize> {
        self.vertices[vertex].parallelism
    }

    /// Makes the vertex a source.
    pub fn set_source<S: Source>(&mut self, vertex: usize, source: Arc<S>) {
        self.vertices[vertex].source = Some(SourceMeta {
            uid: String::new(),
            boundedness: source.boundedness(),
            enumerator: Arc::new(move |ctx, restored| Ok(Box::new(Erased(source.enumerator(ctx, restored)?)))),
        });
    }

    /// Registers a sink's committer.
    pub fn add_sink<T: 'static, S: Sink<T>>(&mut self, vertex: usize, operator: usize, sink: Arc<S>) {
        self.vertices[vertex]
            .committers
            .push(CommitterMeta { operator, make: Arc::new(move |ctx| sink.committer(ctx)) });
    }

    /// Gives the vertex a side output.
    pub fn add_side_output<T: Data>(&mut self, vertex: usize, tag: &OutputTag<T>) -> Port {
        let id: Arc<str> = tag.id().into();
        let sides = &mut self.vertices[vertex].sides;
        match sides.iter().find(|(t, ..)| *t == id) {
            None => sides.push((id.clone(), side_factory::<T>(), TypeId::of::<T>())),
            Some((.., of)) if *of == TypeId::of::<T>() => {}
            Some(_) => {
                self.wrong.get_or_insert_with(|| {
                    format!("the side output '{id}' is read as two types, one of them {}", std::any::type_name::<T>())
                });
            }
        }
        Port::Side(id)
    }

    /// Connects two vertices.
    pub fn connect(&mut self, from: usize, to: usize, port: Port, ship: ShipStrategy) {
        self.edges.push(Edge { from, to, port, ship });
    }

    /// Ends a chain: from here on its types are behind the factory.
    pub fn seal(&mut self, vertex: usize, factory: TaskFactory) {
        self.vertices[vertex].factory = Some(factory);
    }

    /// Makes `vertex` the one that takes the dead letters of all others.
    pub fn set_dead_letters(&mut self, vertex: usize) {
        self.letters = Some(vertex);
    }

    /// The finished graph.
    pub fn build(mut self, name: &str, parallelism: usize, max_parallelism: u16) -> Result<JobGraph> {
        if let Some(wrong) = self.wrong.take() {
            return Err(Error::Graph(wrong));
        }
        self.drop_unused();
        if parallelism == 0 || parallelism > usize::from(max_parallelism) {
            return Err(Error::Graph(format!(
                "parallelism {parallelism} is not between 1 and the max parallelism {max_parallelism}"
            )));
        }
        for v in &self.vertices {
            if let Some(own) = v.parallelism.filter(|p| *p == 0 || *p > usize::from(max_parallelism)) {
                let name = v.operators.first().map_or("", |o| &o.name);
                return Err(Error::Graph(format!(
                    "'{name}' has a parallelism of its own, {own}, which is not between 1 and the max parallelism \
                     {max_parallelism}"
                )));
            }
        }
        if !self.vertices.iter().any(|v| v.source.is_some()) {
            return Err(Error::Graph("there is no source: begin with env.from_source(…)".into()));
        }
        if let Some(letters) = self.letters {
            for from in (0..self.vertices.len()).filter(|v| *v != letters) {
                let ship = ShipStrategy::Rebalance;
                self.edges.push(Edge { from, to: letters, port: Port::DeadLetters, ship });
            }
        }
        let mut uids = Uids::default();
        let mut vertices = Vec::new();
        for v in self.vertices {
            let mut operators = Vec::new();
            for o in v.operators {
                operators.push(uids.resolve(o)?);
            }
            let name = operators.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(" -> ");
            let Some(factory) = v.factory else {
                return Err(Error::Graph(format!(
                    "nobody reads the stream behind '{name}': end it with sink_to(…) (DiscardingSink, if its records are not wanted)"
                )));
            };
            let mut source = v.source;
            if let (Some(s), Some(first)) = (&mut source, operators.first()) {
                s.uid.clone_from(&first.uid);
            }
            vertices.push(Vertex {
                operators,
                parallelism: v.parallelism.unwrap_or(parallelism),
                keyed: v.keyed,
                factory,
                source,
                committers: v.committers,
                sides: v.sides.into_iter().map(|(tag, make, _)| (tag, make)).collect(),
            });
        }
        for e in &mut self.edges {
            if e.ship == ShipStrategy::Forward && vertices[e.from].parallelism != vertices[e.to].parallelism {
                e.ship = ShipStrategy::Rebalance;
            }
        }
        Ok(sorted(JobGraph { name: name.to_owned(), max_parallelism, vertices, edges: self.edges }))
    }
}

impl GraphBuilder {
    /// A stream that was made (a clone, one half of a union) and never used left an empty vertex
    /// without edges behind.
    fn drop_unused(&mut self) {
        let mut place = Vec::new();
        let mut kept = 0;
        for v in &self.vertices {
            let used = v.factory.is_some() || v.source.is_some() || !v.operators.is_empty();
            place.push(used.then_some(kept));
            kept += usize::from(used);
        }
        let mut index = 0;
        self.vertices.retain(|_| {
            index += 1;
            place[index - 1].is_some()
        });
        self.edges.retain_mut(|e| {
            let (Some(from), Some(to)) = (place[e.from], place[e.to]) else { return false };
            (e.from, e.to) = (from, to);
            true
        });
        self.letters = self.letters.and_then(|v| place[v]);
    }
}

/// Uids are stable: given by the user, or made of the name (and a number, if that is not unique).
#[derive(Default)]
struct Uids {
    seen: HashMap<String, usize>,
}

impl Uids {
    fn resolve(&mut self, o: OpenOperator) -> Result<OperatorMeta> {
        if let Some(uid) = o.uid {
            if self.seen.insert(uid.clone(), 1).is_some() {
                return Err(Error::Graph(format!("two operators have the uid '{uid}': give each its own")));
            }
            return Ok(OperatorMeta { name: o.name, uid });
        }
        let base: String = o.name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let base = base.to_lowercase();
        let mut n = self.seen.get(&base).copied().unwrap_or(0);
        let uid = loop {
            n += 1;
            let uid = if n == 1 { base.clone() } else { format!("{base}-{n}") };
            if n == 1 || !self.seen.contains_key(&uid) {
                break uid;
            }
        };
        self.seen.insert(base, n);
        if n > 1 {
            self.seen.insert(uid.clone(), 1);
        }
        Ok(OperatorMeta { name: o.name, uid })
    }
}

/// The same graph with upstream vertices before downstream ones. Builder chains can only look
/// back, so only vertices that are opened early and fed late (dead letters) are out of order.
fn sorted(graph: JobGraph) -> JobGraph {
    let n = graph.vertices.len();
    let mut depth = vec![0usize; n];
    for _ in 0..n {
        for e in &graph.edges {
            depth[e.to] = depth[e.to].max(depth[e.from] + 1);
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&v| (depth[v], v));
    let mut place = vec![0; n];
    for (new, &old) in order.iter().enumerate() {
        place[old] = new;
    }
    let vertices = order.iter().map(|&old| graph.vertices[old].clone()).collect();
    let edges = graph.edges.into_iter().map(|e| Edge { from: place[e.from], to: place[e.to], ..e });
    JobGraph { vertices, edges: edges.collect(), ..graph }
}
