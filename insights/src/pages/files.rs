//! The page's own files, compiled in; what it has of the view's it asks for at `/page/…`.

use std::borrow::Cow;

use crate::picture::palette;

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// What a file is and what is in it.
pub fn page_file(name: &str) -> Option<(&'static str, Cow<'static, str>)> {
    match name {
        "insights.css" => Some((CSS, include_str!("../../page/insights.css").into())),
        "pictures.css" => Some((CSS, palette::page_style().into())),
        "insights.js" => Some((JAVASCRIPT, include_str!("../../page/insights.js").into())),
        _ => None,
    }
}
