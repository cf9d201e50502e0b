//! The page's files: compiled in, so that a browser needs nothing but this process.

use std::{borrow::Cow, path::Path};

use crate::error::{Error, Result};

/// The page itself.
const INDEX: &str = "index.html";
/// Where it has links to other pages, if there are any.
const PAGES: &str = "<!-- pages -->";

/// A file's name and its text.
type File = (&'static str, &'static str);

/// Name and text of a file of the page's folder.
macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("../page/", $name)))),*] };
}

const FILES: [File; 21] = files![
    "index.html",
    "view.css",
    "charts.css",
    "favicon.svg",
    "theme.js",
    "main.js",
    "dom.js",
    "format.js",
    "poll.js",
    "scale.js",
    "plot.js",
    "columns.js",
    "lines.js",
    "histogram.js",
    "search.js",
    "fleet.js",
    "consumption.js",
    "lists.js",
    "meter.js",
    "lateness.js",
    "pipeline.js",
];

/// The page, with links to the pages beside it: titles and paths.
///
/// # Errors
/// As [`file`].
pub fn index(dir: Option<&Path>, pages: &[(&str, &str)]) -> Result<(&'static str, Cow<'static, str>)> {
    let (kind, text) = file(INDEX, dir)?;
    if pages.is_empty() {
        return Ok((kind, text));
    }
    let links: String = pages.iter().map(|(title, path)| format!("<a href=\"{path}\">{title}</a>")).collect();
    let here = "<a href=\"/\" aria-current=\"page\">Now</a>";
    let nav = format!("<nav class=\"pages\" aria-label=\"Pages\">{here}{links}</nav>");
    Ok((kind, text.replace(PAGES, &nav).into()))
}

/// What a file is and what is in it; read from `dir` when there is one.
///
/// # Errors
/// [`Error::NotFound`] for what is no file of the page's.
pub fn file(name: &str, dir: Option<&Path>) -> Result<(&'static str, Cow<'static, str>)> {
    // A name of the list only: nothing outside of the directory can be asked for.
    let found = FILES.iter().find(|(known, _)| *known == name);
    let (name, text) = *found.ok_or_else(|| Error::NotFound(format!("The page has no file '{name}'.")))?;
    let kind = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let Some(dir) = dir else { return Ok((kind, text.into())) };
    let path = dir.join(name);
    let read = std::fs::read_to_string(&path);
    Ok((kind, read.map_err(|source| Error::Io { at: path.display().to_string(), source })?.into()))
}
