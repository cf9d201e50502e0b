//! The operational view: one page that shows what the meters said seconds ago, served by this process.
//!
//! ```text
//! browser ── GET /api/fleet, /api/meter?id=… ──▶ guard ─▶ question ─▶ panel ─┬─▶ SQL over the store (Timestream's)
//!    ▲          (no SQL, no foreign page)                                  └─▶ the job's REST API
//!    └── index.html, CSS, JavaScript: compiled in, nothing from the network
//! ```
//!
//! ```no_run
//! use std::sync::Arc;
//! use hurtig_store::{Queries, Store, StoreOptions};
//! use hurtig_view::{View, ViewOptions};
//!
//! # async fn serve(clock: Arc<dyn hurtig_state::Clock>) -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open(StoreOptions::new("meters.store", clock.clone())).await?;
//! let view = View::new(Queries::new(&store, Default::default())?, clock, ViewOptions::default());
//! let server = view.bind().await?;
//! println!("{}", server.url());
//! server.serve(std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants:
//! - A browser sends no SQL: it asks a [`Question`] of the few there are, with parameters that are checked.
//! - Only requests by address or by a name that was allowed are answered, and none that another page makes: what a
//!   meter says is nobody else's.
//! - However many browsers look, a question is asked of the store once a second at most ([`ViewOptions::fresh_for`]).
//! - A job that cannot be reached takes only its own panels with it.

mod answers;
mod error;
mod exposition;
mod guard;
mod last_values;
mod moment;
mod options;
mod page;
mod panels;
mod question;
mod readings;
mod rest;
mod rows;
mod server;
mod sql;
mod view;

pub use self::{
    error::{Error, Result},
    options::{DEFAULT_PORT, ViewOptions},
    question::{Question, Span},
    server::{Beside, Server},
    view::View,
};
