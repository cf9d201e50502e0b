//! Meters where they are, when a topology says where: drawn by latitude and longitude, on no map, since there is no network.

use super::grid::Node;
use crate::picture::{Picture, svg::Element};

const HIGH: f64 = 300.0;
const MARGIN: f64 = 30.0;
/// More dots than that hide each other.
const MOST: usize = 2_000;

/// Adds it, if anybody's place is known.
pub fn add(picture: &mut Picture, meters: &[Node]) {
    let mut located: Vec<(&Node, f64, f64)> = meters
        .iter()
        .filter_map(|node| node.position.map(|(latitude, longitude)| (node, latitude, longitude)))
        .collect();
    if located.is_empty() {
        return;
    }
    // The worst on top; of too many, the worst only.
    located.sort_by(|a, b| a.0.share().total_cmp(&b.0.share()));
    let hidden = located.len().saturating_sub(MOST);
    located.drain(..hidden);
    let range = |value: fn(&(&Node, f64, f64)) -> f64| {
        let values = || located.iter().map(value);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((south, north), (west, east)) = (range(|m| m.1), range(|m| m.2));
    // A degree of longitude is shorter the further one is from the equator.
    let shorter = ((south + north) / 2.0).to_radians().cos().max(0.01);
    let (high, wide) = ((north - south).max(1e-4), ((east - west) * shorter).max(1e-4));
    let room = (Picture::WIDTH - 2.0 * MARGIN, HIGH - 2.0 * MARGIN);
    let scale = (room.0 / wide).min(room.1 / high);
    let top = picture.height() + 28.0;
    let left = (Picture::WIDTH - (east - west) * shorter * scale) / 2.0;
    let middle = top + (HIGH + (north - south) * scale) / 2.0;
    let mut elements = vec![
        Element::text(16.0, top - 10.0, "where they are", "ink head"),
        Element::rect(16.0, top, Picture::WIDTH - 32.0, HIGH, "missing"),
    ];
    for (node, latitude, longitude) in &located {
        let (x, y) = (left + (longitude - west) * shorter * scale, middle - (latitude - south) * scale);
        let mut parts =
            vec![Element::circle(x, y, 6.0, &format!("h{}", node.step())), Element::circle(x, y, 6.0, "hollow frame")];
        if node.silent > 0 {
            parts.push(Element::circle(x, y, 9.0, "hollow ring"));
        }
        elements.push(Element::group(parts).tip(node.words()));
    }
    picture.add(28.0 + HIGH + 12.0, elements);
}
