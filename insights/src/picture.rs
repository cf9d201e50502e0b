//! Pictures: drawn once, as SVG, for the page and for files alike.
//!
//! What is drawn has classes and no colours; the colours are in [`palette`], for light and for dark. On a page they are
//! those of its style sheet, and follow its reader's choice; a file carries its own and follows the system.

pub mod axes;
pub mod calendar;
pub mod columns;
pub mod legend;
pub mod lines;
pub mod palette;
pub mod scale;
pub mod svg;

pub use self::svg::{Element, Picture};
