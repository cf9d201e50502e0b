//! What the colours mean, in a line or two.

use super::{
    axes::width,
    svg::{Element, Picture},
};

/// How an entry is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// By a square.
    Area,
    /// By a piece of the line.
    Line,
    /// By a ring.
    Ring,
    /// By a triangle that points up.
    Up,
    /// By one that points down.
    Down,
}

/// How high a row is.
const ROW: f64 = 22.0;
const LEFT: f64 = 16.0;

/// Adds entries: their mark, class and words.
pub fn add(picture: &mut Picture, entries: &[(Mark, &str, String)]) {
    let (mut x, mut y) = (LEFT, picture.height() + 16.0);
    let mut elements = Vec::new();
    for (mark, class, words) in entries {
        let long = 24.0 + width(words) + 18.0;
        if x > LEFT && x + long > Picture::WIDTH {
            (x, y) = (LEFT, y + ROW);
        }
        elements.push(match mark {
            Mark::Area => Element::rect(x, y - 9.0, 12.0, 12.0, class),
            Mark::Line => Element::polyline(&[(x, y - 4.0), (x + 20.0, y - 4.0)], class),
            Mark::Ring => Element::circle(x + 6.0, y - 4.0, 5.0, &format!("hollow {class}")),
            Mark::Up => Element::triangle(x + 6.0, y - 3.0, 5.0, true, class),
            Mark::Down => Element::triangle(x + 6.0, y - 5.0, 5.0, false, class),
        });
        elements.push(Element::text(x + 26.0, y, words.clone(), "ink"));
        x += long;
    }
    let height = y + 10.0 - picture.height();
    picture.add(height, elements);
}
