//! What a job usually needs, in one line: `use hurtig::prelude::*;`.

pub use hurtig_operators::prelude::*;
