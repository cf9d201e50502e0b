//! Lines over the hours of a day.

use super::{axes::Frame, scale::Scale, svg::Element};

/// A line: its class, its name, and a value an hour; no number is a hole.
#[derive(Debug, Clone)]
pub struct Line {
    /// `l0` …
    pub class: &'static str,
    /// What it is called.
    pub name: String,
    /// Hour by hour.
    pub values: [f64; 24],
}

/// A chart of lines in a frame, on a scale that others share.
pub fn draw(frame: Frame, head: &str, lines: &[Line], scale: &Scale, value: impl Fn(f64) -> String) -> Vec<Element> {
    let mut elements = vec![frame.head(head)];
    elements.extend(frame.values(scale, &value));
    let hours = Scale::new((0.0, 24.0), (frame.left, frame.right), 9);
    for line in lines {
        let points = line.values.iter().enumerate().map(|(hour, v)| (hours.at(hour as f64 + 0.5), scale.at(*v), *v));
        let points: Vec<_> = points.collect();
        // A hole ends a piece of the line.
        for piece in points.split(|(.., v)| !v.is_finite()) {
            match piece {
                [] => {}
                [(x, y, _)] => elements.push(Element::circle(*x, *y, 2.0, &line.class.replace('l', "s"))),
                piece => {
                    let piece: Vec<_> = piece.iter().map(|(x, y, _)| (*x, *y)).collect();
                    elements.push(Element::polyline(&piece, line.class));
                }
            }
        }
        let known = points.iter().enumerate().filter(|(_, (.., v))| v.is_finite());
        elements.extend(known.map(|(hour, (x, y, v))| {
            let words = format!("{}, {hour:02}:00 to {:02}:00: {}", line.name, hour + 1, value(*v));
            Element::circle(*x, *y, 5.0, "touch").tip(words)
        }));
    }
    elements.extend(frame.labels((0..=24).step_by(3).map(|hour| (hours.at(f64::from(hour)), format!("{hour:02}")))));
    elements
}
