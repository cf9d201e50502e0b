//! SVG: elements, and the picture that they make.

use std::borrow::Cow;

use quick_xml::{
    Writer,
    events::{BytesEnd, BytesStart, BytesText, Event},
};

use super::palette;
use crate::error::{Error, Result};

/// An element with its attributes and what is in it.
#[derive(Debug, Clone)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Node>,
}

#[derive(Debug, Clone)]
enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    fn new(name: &'static str) -> Self {
        Element { name, attributes: Vec::new(), children: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    fn at(self, name: &'static str, value: f64) -> Self {
        let value = pixels(value);
        self.with(name, value)
    }

    /// What belongs together.
    pub fn group(children: Vec<Element>) -> Self {
        let mut group = Element::new("g");
        group.children = children.into_iter().map(Node::Element).collect();
        group
    }

    /// A rectangle.
    pub fn rect(x: f64, y: f64, width: f64, height: f64, class: &str) -> Self {
        let rect = Element::new("rect").at("x", x).at("y", y).at("width", width.max(0.0)).at("height", height.max(0.0));
        rect.with("class", class)
    }

    /// A straight line.
    pub fn line(from: (f64, f64), to: (f64, f64), class: &str) -> Self {
        let line = Element::new("line").at("x1", from.0).at("y1", from.1).at("x2", to.0).at("y2", to.1);
        line.with("class", class)
    }

    /// A line through points.
    pub fn polyline(points: &[(f64, f64)], class: &str) -> Self {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", pixels(*x), pixels(*y))).collect();
        Element::new("polyline").with("points", points.join(" ")).with("class", format!("line {class}"))
    }

    /// A circle.
    pub fn circle(x: f64, y: f64, radius: f64, class: &str) -> Self {
        Element::new("circle").at("cx", x).at("cy", y).at("r", radius).with("class", class)
    }

    /// A triangle around a point, up or down.
    pub fn triangle(x: f64, y: f64, size: f64, up: bool, class: &str) -> Self {
        let (tip, foot) = if up { (y - size, y + size * 0.7) } else { (y + size, y - size * 0.7) };
        let corners = [(x, tip), (x + size, foot), (x - size, foot)];
        let path: Vec<String> = corners.iter().map(|(x, y)| format!("{} {}", pixels(*x), pixels(*y))).collect();
        Element::new("path").with("d", format!("M{}Z", path.join("L"))).with("class", class)
    }

    /// Text whose foot is at a point; the class says what it is, and whether it begins, ends (`end`) or lies (`middle`) there.
    pub fn text(x: f64, y: f64, words: impl Into<String>, class: &str) -> Self {
        let mut text = Element::new("text").at("x", x).at("y", y).with("class", class);
        text.children.push(Node::Text(words.into()));
        text
    }

    /// What is shown when the pointer rests on it.
    #[must_use]
    pub fn tip(mut self, words: impl Into<String>) -> Self {
        let mut title = Element::new("title");
        title.children.push(Node::Text(words.into()));
        self.children.insert(0, Node::Element(title));
        self
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let mut start = BytesStart::new(self.name);
        for (name, value) in &self.attributes {
            start.push_attribute((*name, allowed(value).as_ref()));
        }
        if self.children.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(writer)?,
                Node::Text(text) => writer.write_event(Event::Text(BytesText::new(&allowed(text))))?,
            }
        }
        writer.write_event(Event::End(BytesEnd::new(self.name)))
    }
}

/// XML has no control characters, escaped or not; a meter's name may.
fn allowed(text: &str) -> Cow<'_, str> {
    let is_allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    match text.chars().all(is_allowed) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.chars().map(|c| if is_allowed(c) { c } else { '\u{fffd}' }).collect()),
    }
}

/// A tenth of a pixel is enough.
fn pixels(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // No `-0`, and nothing that is no number.
    if rounded == 0.0 || !rounded.is_finite() { "0".into() } else { rounded.to_string() }
}

/// A picture, before it is text.
#[derive(Debug, Clone)]
pub struct Picture {
    /// For what its parts are called by.
    id: String,
    title: String,
    description: String,
    width: f64,
    height: f64,
    elements: Vec<Element>,
}

impl Picture {
    /// How wide pictures are.
    pub const WIDTH: f64 = 960.0;

    /// An empty one; `id` is its own on its page.
    pub fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Picture {
            id: id.into(),
            title: title.into(),
            description: String::new(),
            width: Self::WIDTH,
            height: 0.0,
            elements: Vec::new(),
        }
    }

    /// What somebody hears who does not see it.
    pub fn describe(&mut self, words: impl Into<String>) {
        self.description = words.into();
    }

    /// What it shows, in words.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// How high it is so far: where the next part begins.
    pub fn height(&self) -> f64 {
        self.height
    }

    /// Adds a part of this height below.
    pub fn add(&mut self, height: f64, elements: impl IntoIterator<Item = Element>) {
        self.height += height;
        self.elements.extend(elements);
    }

    /// To be put into a page that has [`palette::page_style`].
    ///
    /// # Errors
    /// None in practice: memory can be written.
    pub fn inline(&self) -> Result<String> {
        self.write(None)
    }

    /// A file by itself.
    ///
    /// # Errors
    /// As [`Picture::inline`].
    pub fn standalone(&self) -> Result<String> {
        self.write(Some(palette::file_style()))
    }

    fn write(&self, style: Option<String>) -> Result<String> {
        let (title, description) = (format!("{}-title", self.id), format!("{}-description", self.id));
        let mut svg = Element::new("svg")
            .with("xmlns", "http://www.w3.org/2000/svg")
            .with("class", "picture")
            .with("viewBox", format!("0 0 {} {}", pixels(self.width), pixels(self.height)))
            .with("role", "img")
            .with("aria-labelledby", format!("{title} {description}"));
        let named = |name: &'static str, id: String, words: &str| {
            let mut element = Element::new(name).with("id", id);
            element.children.push(Node::Text(words.to_owned()));
            Node::Element(element)
        };
        svg.children.push(named("title", title, &self.title));
        svg.children.push(named("desc", description, &self.description));
        if let Some(style) = style {
            svg.attributes.push(("width", pixels(self.width)));
            svg.attributes.push(("height", pixels(self.height)));
            let mut element = Element::new("style");
            element.children.push(Node::Text(style));
            svg.children.push(Node::Element(element));
            svg.children.push(Node::Element(Element::rect(0.0, 0.0, self.width, self.height, "face")));
        }
        svg.children.extend(self.elements.iter().cloned().map(Node::Element));
        let mut writer = Writer::new(Vec::new());
        svg.write(&mut writer).map_err(Error::Picture)?;
        String::from_utf8(writer.into_inner()).map_err(|e| Error::Picture(std::io::Error::other(e)))
    }
}
