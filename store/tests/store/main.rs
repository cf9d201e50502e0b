//! The store from outside.

mod encoder;
mod model;
mod queries;
mod read_only;
mod unload;
