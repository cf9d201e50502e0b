//! What a job graph looks like: as text for people, as JSON in Flink's plan shape for pages.
//!
//! ```text
//! job smart-meters: 3 vertices, max parallelism 128
//!
//! [1] Source: readings -> payload  (parallelism 2, source)
//!     ├─ Source: readings  uid readings
//!     └─ payload           uid payload
//!        ├─ HASH ──▶ [2] tumble
//!        └─ REBALANCE, dead letters ──▶ [3] dead letters
//! ```
//!
//! Ids are Flink's too: the 128-bit murmur hash of the uid, so a page that knows a Flink job by
//! its vertices' ids knows the same job here.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Edge, JobGraph, Port, Vertex};

impl JobGraph {
    /// The graph as a small drawing: vertices, operators with their uids, parallelism, edges.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.draw(&mut text);
        text
    }

    /// The graph in the shape of Flink's `plan` object. Its `jid` is derived from the job's name;
    /// for a running job the REST API puts the real one there.
    pub fn plan_json(&self) -> Value {
        self.plan_of(&stable_id(&self.name))
    }

    /// [`plan_json`](Self::plan_json) of the running job `jid`.
    pub(crate) fn plan_of(&self, jid: &str) -> Value {
        // Flink lists the last vertex first.
        let nodes: Vec<Value> = (0..self.vertices.len()).rev().map(|v| self.node(v)).collect();
        json!({ "jid": jid, "name": self.name, "type": "STREAMING", "nodes": nodes })
    }

    fn node(&self, v: usize) -> Value {
        let vertex = &self.vertices[v];
        let mut node = json!({
            "id": vertex.id(),
            "operator": "",
            "parallelism": vertex.parallelism,
            "operator_strategy": "",
            "description": vertex.description(),
            "optimizer_properties": {},
        });
        let inputs: Vec<Value> = self
            .inputs(v)
            .enumerate()
            .map(|(num, edge)| {
                json!({
                    "id": self.vertices[edge.from].id(),
                    "num": num,
                    "exchange": "pipelined_bounded",
                    "ship_strategy": edge.ship.to_string(),
                })
            })
            .collect();
        // As with Flink, a source has no `inputs` at all.
        if !inputs.is_empty() {
            node["inputs"] = Value::Array(inputs);
        }
        node
    }

    fn draw(&self, out: &mut String) -> std::fmt::Result {
        let n = self.vertices.len();
        writeln!(
            out,
            "job {}: {n} {}, max parallelism {}",
            self.name,
            if n == 1 { "vertex" } else { "vertices" },
            self.max_parallelism
        )?;
        for (v, vertex) in self.vertices.iter().enumerate() {
            writeln!(out)?;
            writeln!(out, "[{}] {}  ({})", v + 1, vertex.title(), traits(vertex))?;
            let width = vertex.operators.iter().enumerate().map(|(o, _)| vertex.operator_title(o).chars().count());
            let width = width.max().unwrap_or(0);
            let last = vertex.operators.len().saturating_sub(1);
            for (o, operator) in vertex.operators.iter().enumerate() {
                let branch = if o == last { "└─" } else { "├─" };
                let title = vertex.operator_title(o);
                writeln!(out, "    {branch} {title:width$}  uid {}", operator.uid)?;
            }
            let edges: Vec<&Edge> = self.edges.iter().filter(|e| e.from == v).collect();
            for (e, edge) in edges.iter().enumerate() {
                let branch = if e + 1 == edges.len() { "└─" } else { "├─" };
                let port = match &edge.port {
                    Port::Main => String::new(),
                    Port::Side(tag) => format!(", side output '{tag}'"),
                    Port::DeadLetters => ", dead letters".to_owned(),
                };
                let to = self.vertices[edge.to].title();
                writeln!(out, "       {branch} {}{port} ──▶ [{}] {to}", edge.ship, edge.to + 1)?;
            }
        }
        Ok(())
    }
}

impl Vertex {
    /// 32 hex digits that stay the same as long as the uid does.
    pub fn id(&self) -> String {
        stable_id(self.uid())
    }

    /// The name as Flink's pages show it: a source begins with `Source: `.
    pub fn title(&self) -> String {
        let titles: Vec<String> = (0..self.operators.len()).map(|o| self.operator_title(o)).collect();
        titles.join(" -> ")
    }

    /// An operator's name as Flink's pages show it.
    fn operator_title(&self, operator: usize) -> String {
        let Some(meta) = self.operators.get(operator) else { return String::new() };
        if operator == 0 && self.is_source() && !meta.name.starts_with("Source: ") {
            return format!("Source: {}", meta.name);
        }
        meta.name.clone()
    }

    /// `first<br/>+- second<br/>   +- third<br/>`: how Flink describes a chain.
    fn description(&self) -> String {
        let mut text = String::new();
        for o in 0..self.operators.len() {
            if o > 0 {
                text.push_str(&"   ".repeat(o - 1));
                text.push_str("+- ");
            }
            text.push_str(&escaped(&self.operator_title(o)));
            text.push_str("<br/>");
        }
        text
    }
}

/// 32 hex digits for a uid, the same as Flink gives it: murmur3 with 128 bits and seed 0.
pub fn stable_id(uid: &str) -> String {
    let [low, high] = murmur3_128(uid.as_bytes());
    low.to_le_bytes().iter().chain(&high.to_le_bytes()).fold(String::with_capacity(32), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

fn traits(vertex: &Vertex) -> String {
    let mut traits = vec![format!("parallelism {}", vertex.parallelism)];
    for (has, name) in [(vertex.is_source(), "source"), (vertex.keyed, "keyed"), (vertex.is_sink(), "sink")] {
        if has {
            traits.push(name.to_owned());
        }
    }
    traits.join(", ")
}

/// The description is HTML.
fn escaped(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// MurmurHash3 x64 128 with seed 0, as Guava's, which Flink hashes uids with.
fn murmur3_128(bytes: &[u8]) -> [u64; 2] {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (0u64, 0u64);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        h1 ^= mix1(little_endian(&block[..8]));
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2(little_endian(&block[8..]));
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let tail = blocks.remainder();
    let (first, second) = tail.split_at(tail.len().min(8));
    h2 ^= mix2(little_endian(second));
    h1 ^= mix1(little_endian(first));
    let len = bytes.len() as u64;
    h1 ^= len;
    h2 ^= len;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    [h1, h2.wrapping_add(h1)]
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn finish(mut k: u64) -> u64 {
    k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        error::Error,
        graph::{OperatorMeta, ShipStrategy, SourceMeta},
        source::Boundedness,
    };

    /// gen -> parse ─ hash ─▶ count ─▶ tenth -> sink, and dead letters. It can be shown, not run.
    pub(crate) fn sample() -> JobGraph {
        let mut source = vertex(2, &[("gen", "gen"), ("parse <json>", "parse")]);
        source.source = Some(SourceMeta {
            uid: "gen".into(),
            boundedness: Boundedness::Bounded,
            enumerator: Arc::new(|_, _| Err(Error::Graph("only shown".into()))),
        });
        let mut count = vertex(2, &[("count", "count")]);
        count.keyed = true;
        let sink = vertex(1, &[("tenth", "tenth"), ("sink", "sink")]);
        let letters = vertex(1, &[("dead letters", "dead-letters")]);
        let edge = |from, to, port, ship| Edge { from, to, port, ship };
        let dead = |from| edge(from, 3, Port::DeadLetters, ShipStrategy::Rebalance);
        JobGraph {
            name: "demo-counts".into(),
            max_parallelism: 128,
            vertices: vec![source, count, sink, letters],
            edges: vec![
                edge(0, 1, Port::Main, ShipStrategy::Hash),
                edge(1, 2, Port::Main, ShipStrategy::Rebalance),
                edge(1, 2, Port::Side("late".into()), ShipStrategy::Rebalance),
                dead(0),
                dead(1),
                dead(2),
            ],
        }
    }

    fn vertex(parallelism: usize, operators: &[(&str, &str)]) -> Vertex {
        let meta = |(name, uid): &(&str, &str)| OperatorMeta { name: (*name).into(), uid: (*uid).into() };
        Vertex {
            operators: operators.iter().map(meta).collect(),
            parallelism,
            keyed: false,
            factory: Arc::new(|_| Err(Error::Graph("only shown".into()))),
            source: None,
            committers: Vec::new(),
            sides: Vec::new(),
        }
    }

    #[test]
    fn ids_are_flinks() {
        // From the recorded responses of Flink 2.3 for a job with these uids.
        for (uid, id) in [
            ("gen", "6bf01baa9d2ca23a3ef7ce311722523d"),
            ("parse", "a0bcbe636c3291fd3f45c25deb2b0823"),
            ("count", "b71731f1c0df9c3076c4a455334d0ad6"),
            ("tenth", "1822d0a4c95f73313815f71adaeb25eb"),
        ] {
            assert_eq!(stable_id(uid), id, "{uid}");
        }
        // Longer than a block and a half: against another implementation.
        assert_eq!(stable_id("MapToTimestreamPayload-2"), "86065bfe7dd020cbc91854ca3632c914");
    }

    #[test]
    fn the_plan_has_flinks_shape() {
        let plan = sample().plan_json();
        assert_eq!((plan["name"].as_str(), plan["type"].as_str()), (Some("demo-counts"), Some("STREAMING")));
        let nodes = plan["nodes"].as_array().cloned().unwrap_or_default();
        assert_eq!(nodes.len(), 4);
        let count = nodes.iter().find(|n| n["id"] == "b71731f1c0df9c3076c4a455334d0ad6").cloned().unwrap_or_default();
        assert_eq!(
            count["inputs"],
            json!([{"id": "6bf01baa9d2ca23a3ef7ce311722523d", "num": 0, "exchange": "pipelined_bounded", "ship_strategy": "HASH"}])
        );
        let source = nodes.iter().find(|n| n["id"] == "6bf01baa9d2ca23a3ef7ce311722523d").cloned().unwrap_or_default();
        assert_eq!(source["description"], "Source: gen<br/>+- parse &lt;json&gt;<br/>");
        assert!(source.get("inputs").is_none(), "{source}");
        // Upstream comes after downstream, as Flink lists them.
        assert_eq!(nodes.last(), Some(&source));
    }

    #[test]
    fn explain_names_everything() {
        let text = sample().explain();
        let expected = "\
job demo-counts: 4 vertices, max parallelism 128

[1] Source: gen -> parse <json>  (parallelism 2, source)
    ├─ Source: gen   uid gen
    └─ parse <json>  uid parse
       ├─ HASH ──▶ [2] count
       └─ REBALANCE, dead letters ──▶ [4] dead letters

[2] count  (parallelism 2, keyed)
    └─ count  uid count
       ├─ REBALANCE ──▶ [3] tenth -> sink
       ├─ REBALANCE, side output 'late' ──▶ [3] tenth -> sink
       └─ REBALANCE, dead letters ──▶ [4] dead letters

[3] tenth -> sink  (parallelism 1)
    ├─ tenth  uid tenth
    └─ sink   uid sink
       └─ REBALANCE, dead letters ──▶ [4] dead letters

[4] dead letters  (parallelism 1)
    └─ dead letters  uid dead-letters
";
        assert_eq!(text, expected);
    }
}
