//! The store from outside.

mod model;
mod queries;
