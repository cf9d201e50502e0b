//! The store from outside.

mod model;
mod queries;
mod read_only;
