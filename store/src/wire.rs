//! The wire: Timestream's JSON 1.0 protocol over HTTP, for writing and for querying, on one port.
//!
//! An SDK of AWS's that is given this server as its endpoint URL works unmodified: every operation is a `POST /` whose
//! `X-Amz-Target` names it (`Timestream_20181101.WriteRecords`), whose body is JSON, and whose errors have their type in
//! `__type`. [`Server`] listens; `service` finds the operation; each group of operations has a module.
//!
//! - On loopback anybody is served. Beyond it, and wherever [`AccessKeys`] are given, a request must be signed (SigV4).
//! - A query runs only as far as its pages are asked for: between two pages it is held back, and dropped when nobody comes
//!   for the next one. How queries are run is a [`QueryEngine`]'s.

mod account;
mod arn;
mod batch_load;
mod cursor;
mod databases;
mod engine;
mod fault;
mod ids;
mod keys;
mod listing;
mod measure;
mod open_queries;
mod partition_key;
mod query;
mod request;
mod scheduled;
mod server;
mod service;
mod signature;
mod tables;
mod tags;
mod tls;
mod write;

pub use self::{
    engine::{QueryEngine, RunningQuery},
    keys::AccessKeys,
    open_queries::QueryLimits,
    server::{Server, ServerOptions},
    tls::Tls,
};
