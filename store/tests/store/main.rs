//! The store from outside.

mod encoder;
mod foreign;
mod model;
mod open_queries;
mod queries;
mod read_only;
mod scheduled;
mod served;
mod unload;
