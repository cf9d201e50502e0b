//! The topology, drawn from left to right: a column a level, each box as high as the meters below it.

use super::step;
use crate::{
    numbers::{counted, hours, percent},
    picture::{
        Picture,
        axes::{shortened, width},
        svg::Element,
    },
};

/// A meter, or all that are below something.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// From the region down.
    pub path: Vec<String>,
    /// Latitude and longitude.
    pub position: Option<(f64, f64)>,
    /// How many meters.
    pub meters: u64,
    /// How many outages.
    pub outages: u64,
    /// How long they were out, added up.
    pub out_hours: f64,
    /// How long they were looked at, added up.
    pub seen_hours: f64,
    /// How many have not come back.
    pub silent: u64,
}

impl Node {
    /// Both together, at the place of the first.
    pub fn and(mut self, other: &Node) -> Node {
        self.meters += other.meters;
        self.outages += other.outages;
        self.out_hours += other.out_hours;
        self.seen_hours += other.seen_hours;
        self.silent += other.silent;
        self
    }

    /// The share of the time that they were out.
    pub fn share(&self) -> f64 {
        if self.seen_hours > 0.0 { self.out_hours / self.seen_hours } else { 0.0 }
    }

    /// The step of the legend.
    pub fn step(&self) -> usize {
        step(self.share())
    }

    /// All that is to be said.
    pub fn words(&self) -> String {
        let silent = match self.silent {
            0 => String::new(),
            1 if self.meters == 1 => ", silent at the end".into(),
            n => format!(", {n} silent at the end"),
        };
        let meters =
            if self.meters == 1 { String::new() } else { format!("{}, ", counted(self.meters, "meter", "meters")) };
        format!("{}: {meters}{}{silent}", self.path.join(" / "), self.figures())
    }

    fn short(&self) -> String {
        match self.outages {
            0 => "no outages".into(),
            n => format!("{} ({})", counted(n, "outage", "outages"), percent(self.share())),
        }
    }

    fn figures(&self) -> String {
        match self.outages {
            0 => self.short(),
            n => format!("{}, {} ({})", counted(n, "outage", "outages"), hours(self.out_hours), percent(self.share())),
        }
    }
}

/// Boxes are not drawn smaller than that, and not higher than the other.
const ROW: (f64, f64) = (2.0, 24.0);
/// A box with room for its name and its figures below it.
const TWO_LINES: f64 = 34.0;
/// What a column of boxes is about as high as.
const HIGH: f64 = 560.0;
const LEFT: f64 = 16.0;
/// So many times as wide as the others is the last column.
const LAST: f64 = 1.8;

/// What is drawn of the topology.
pub struct Grid {
    /// The levels' names, from the region down.
    names: Vec<String>,
    /// The levels' nodes, each in the order of its paths.
    levels: Vec<Vec<Node>>,
    /// How many boxes the first level that is too fine would have.
    too_fine: Option<(String, usize)>,
}

impl Grid {
    /// Of meters that are sorted by their paths; `below` are the levels between region and meter.
    pub fn new(below: &[String], meters: &[Node]) -> Self {
        let names = std::iter::once("region").chain(below.iter().map(String::as_str)).chain(["meter"]);
        let names: Vec<String> = names.map(str::to_owned).collect();
        let mut levels = Vec::new();
        let mut too_fine = None;
        let most = (HIGH / ROW.0) as usize;
        for (depth, name) in names.iter().enumerate() {
            let nodes = rolled_up(meters, depth + 1);
            if nodes.len() > most && depth > 0 {
                too_fine = Some((name.clone(), nodes.len()));
                break;
            }
            levels.push(nodes);
        }
        Grid { names, levels, too_fine }
    }

    /// What is too fine to be drawn, if anything is.
    pub fn dropped(&self) -> Option<String> {
        let (name, n) = self.too_fine.as_ref()?;
        Some(format!(
            "The picture ends above the level '{name}', which has {}; the table has every meter.",
            crate::numbers::count(*n as u64)
        ))
    }

    /// Adds the picture.
    pub fn add(&self, picture: &mut Picture) {
        let Some(leaves) = self.levels.last() else { return };
        let row = (HIGH / leaves.len().max(1) as f64).clamp(ROW.0, ROW.1);
        let top = picture.height() + 28.0;
        // The last level has the longest names.
        let narrow = (Picture::WIDTH - 2.0 * LEFT) / (self.levels.len() as f64 + LAST - 1.0);
        let mut elements = Vec::new();
        for (depth, nodes) in self.levels.iter().enumerate() {
            let x = LEFT + depth as f64 * narrow;
            let wide = if depth + 1 == self.levels.len() { narrow * LAST } else { narrow };
            elements.push(Element::text(x, top - 10.0, self.names[depth].clone(), "ink head"));
            let mut y = top;
            for node in nodes {
                let below = leaves.iter().filter(|leaf| leaf.path.starts_with(&node.path)).count();
                let high = below as f64 * row;
                elements.push(drawn(node, (x, y), (wide, high)));
                y += high;
            }
        }
        picture.add(28.0 + leaves.len() as f64 * row + 12.0, elements);
    }
}

fn drawn(node: &Node, (x, y): (f64, f64), (wide, high): (f64, f64)) -> Element {
    let step = node.step();
    let gap = if high > 6.0 { 2.0 } else { 0.4 };
    let mut parts = vec![Element::rect(x, y, wide - 3.0, high - gap, &format!("h{step}"))];
    let (name, figures) = (node.path.last().map_or("", String::as_str), node.short());
    let (room, middle) = (wide - 26.0, y + (high - gap) / 2.0);
    let mut write = |foot: f64, words: &str| {
        parts.push(Element::text(x + 7.0, foot, shortened(words, room), &format!("t{step}")));
    };
    let both = format!("{name}: {figures}");
    if high >= TWO_LINES && width(&both) > room {
        write(middle - 4.0, name);
        write(middle + 12.0, &figures);
    } else if high >= 15.0 {
        write(middle + 4.0, if width(&both) <= room { &both } else { name });
    }
    if node.silent > 0 {
        let radius = ((high - gap) / 2.0 - 1.0).clamp(0.8, 5.0);
        parts.push(Element::circle(x + wide - 12.0, y + (high - gap) / 2.0, radius, &format!("hollow o{step}")));
    }
    Element::group(parts).tip(node.words())
}

/// Nodes of the first `depth` names of the paths.
fn rolled_up(meters: &[Node], depth: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for meter in meters {
        match nodes.last_mut() {
            Some(last) if last.path[..] == meter.path[..depth.min(meter.path.len())] => {
                *last = std::mem::take(last).and(meter);
            }
            _ => nodes.push(Node { path: meter.path[..depth.min(meter.path.len())].to_vec(), ..meter.clone() }),
        }
    }
    nodes
}
