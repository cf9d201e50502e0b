//! Columns, one beside the other, of parts that stand on each other.

use super::{
    axes::Frame,
    scale::Scale,
    svg::{Element, Picture},
};

/// A column: its label, its parts (class and value) from below, and what it says when the pointer rests on it.
#[derive(Debug, Clone)]
pub struct Column {
    /// What stands below it; empty for nothing.
    pub label: String,
    /// Classes and values.
    pub parts: Vec<(String, f64)>,
    /// All of it, in words.
    pub tip: String,
}

/// Adds a chart of columns, so high, with the labels of its values made by `value`.
pub fn add(picture: &mut Picture, head: &str, height: f64, columns: &[Column], value: impl Fn(f64) -> String) {
    let frame = Frame::next(picture, height);
    let sum = |column: &Column| column.parts.iter().map(|(_, v)| v.max(0.0)).sum::<f64>();
    let scale = Scale::from_zero(columns.iter().map(sum), (frame.bottom, frame.top), 5);
    let mut elements = vec![frame.head(head)];
    elements.extend(frame.values(&scale, value));
    let step = frame.width() / columns.len().max(1) as f64;
    let gap = if step > 6.0 { step * 0.22 } else { step * 0.08 };
    let wide = (step - gap).min(64.0);
    let x = |at: usize| frame.left + at as f64 * step;
    for (at, column) in columns.iter().enumerate() {
        let mut foot = 0.0;
        let mut drawn = Vec::new();
        for (class, value) in &column.parts {
            if *value <= 0.0 {
                continue;
            }
            let (below, above) = (scale.at(foot), scale.at(foot + value));
            drawn.push(Element::rect(x(at) + gap / 2.0, above, wide, below - above, class));
            foot += value;
        }
        if !drawn.is_empty() {
            elements.push(Element::group(drawn).tip(&column.tip));
        }
    }
    let named = columns.iter().enumerate().filter(|(_, column)| !column.label.is_empty());
    let centre = |at: usize| x(at) + gap / 2.0 + wide / 2.0;
    elements.extend(frame.labels(named.map(|(at, column)| (centre(at), column.label.clone()))));
    picture.add(frame.whole_height(), elements);
}
