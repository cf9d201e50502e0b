//! The frame of a chart: where it is, its lines and its labels.

use super::{
    scale::Scale,
    svg::{Element, Picture},
};

/// About how wide a letter of 12 pixels is; rather too wide than too narrow.
pub const LETTER: f64 = 6.8;

/// A chart's place in its picture.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Its left edge, right of the labels.
    pub left: f64,
    /// Its right edge.
    pub right: f64,
    /// Its upper edge, below the head.
    pub top: f64,
    /// Its lower edge, above the labels.
    pub bottom: f64,
}

impl Frame {
    /// Room for the labels on the left.
    pub const LEFT: f64 = 64.0;
    /// Room for the head.
    pub const HEAD: f64 = 34.0;
    /// Room for the labels below.
    pub const FOOT: f64 = 30.0;

    /// The next one in a picture, over all of its width, with so high a chart.
    pub fn next(picture: &Picture, height: f64) -> Self {
        let top = picture.height() + Self::HEAD;
        Frame { left: Self::LEFT, right: Picture::WIDTH - 16.0, top, bottom: top + height }
    }

    /// How high it is with head and labels.
    pub fn whole_height(&self) -> f64 {
        self.bottom - self.top + Self::HEAD + Self::FOOT
    }

    /// How wide the chart is.
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    /// What the chart is of.
    pub fn head(&self, words: &str) -> Element {
        Element::text(self.left - Self::LEFT + 16.0, self.top - 14.0, words, "ink head")
    }

    /// Lines and labels of the values.
    pub fn values(&self, scale: &Scale, label: impl Fn(f64) -> String) -> Vec<Element> {
        let mut elements = Vec::new();
        for tick in scale.ticks() {
            let y = scale.at(*tick);
            let class = if *tick == 0.0 { "base" } else { "grid" };
            elements.push(Element::line((self.left, y), (self.right, y), class));
            elements.push(Element::text(self.left - 8.0, y + 4.0, label(*tick), "soft end"));
        }
        elements
    }

    /// Labels below, at their places. One that would touch the one before, or leave the picture, is left out.
    pub fn labels(&self, labels: impl IntoIterator<Item = (f64, String)>) -> Vec<Element> {
        let mut elements = Vec::new();
        let mut free = self.left - Self::LEFT;
        for (x, words) in labels {
            let half = width(&words) / 2.0;
            if x - half < free || x + half > Picture::WIDTH {
                continue;
            }
            free = x + half + LETTER;
            elements.push(Element::line((x, self.bottom), (x, self.bottom + 5.0), "base"));
            elements.push(Element::text(x, self.bottom + 19.0, words, "soft middle"));
        }
        elements
    }
}

/// About how wide words are.
pub fn width(words: &str) -> f64 {
    words.chars().count() as f64 * LETTER
}

/// Words that are no wider than that: of longer ones the middle goes, since names of one fleet begin alike.
pub fn shortened(words: &str, most: f64) -> String {
    let (letters, all) = ((most / LETTER).floor().max(3.0) as usize, words.chars().count());
    if all <= letters {
        return words.to_owned();
    }
    let end = (letters - 1) / 2;
    let begin = letters - 1 - end;
    words.chars().take(begin).chain(['…']).chain(words.chars().skip(all - end)).collect()
}
