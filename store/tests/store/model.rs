//! The store against a map.
