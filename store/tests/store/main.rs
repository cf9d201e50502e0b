//! The store from outside.

mod model;
