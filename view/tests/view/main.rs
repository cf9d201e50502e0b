//! The view over a store of known readings, asked as a browser asks it.

mod beside;
mod book;
mod guard;
mod job;
mod last_values;
mod panels;
mod plans;
mod support;
