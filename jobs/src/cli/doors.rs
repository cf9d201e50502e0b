//! What a job with an embedded store opens to others on 127.0.0.1: the operational view, and Timestream's protocol.

use std::{
    fmt::Display,
    future::{Future, pending},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

#[cfg(feature = "view")]
use hurtig_insights::Settings;
use hurtig_store::{Server, ServerOptions};
#[cfg(feature = "view")]
use hurtig_view::{View, ViewOptions};

use super::{options::RestPort, run::Opened};
#[cfg(feature = "view")]
use crate::smart_meters::Layout;
use crate::{embedded::EmbeddedStore, smart_meters::Options};

/// So many ports are tried, from the one that was asked for.
const PORTS: u16 = 100;

/// What the insights beside a job may hold in memory.
#[cfg(feature = "view")]
const INSIGHTS_MEMORY: usize = 256 << 20;

/// Opens what the options ask for, and returns what it is called and where it is.
///
/// # Errors
/// A store that cannot be opened; no port that is free. In one line.
pub fn open(store: &EmbeddedStore, options: &Options, rest: Option<&str>) -> Opened {
    let mut open = Vec::new();
    // Before any port: what fails here is not a port's fault.
    store.open()?;
    #[cfg(feature = "view")]
    if let RestPort(Some(port)) = options.view_port {
        open.push(("view", view(store, options, rest, port)?));
    }
    #[cfg(not(feature = "view"))]
    let _ = rest;
    if let RestPort(Some(port)) = options.store_port {
        open.push(("store", wire(store, port)?));
    }
    Ok(open)
}

#[cfg(feature = "view")]
fn view(store: &EmbeddedStore, options: &Options, rest: Option<&str>, port: u16) -> Result<String, String> {
    // The lake comes with the job's first checkpoint: until then the pages say so.
    let layout = Layout::of(options, store.dir().parent().unwrap_or(store.dir()));
    let beside =
        vec![super::view::beside(layout, Settings::default(), "UTC", INSIGHTS_MEMORY).map_err(|e| e.to_string())?];
    let options = ViewOptions {
        database: options.timestream_db_name.clone(),
        table: options.timestream_table_name.clone(),
        rest: rest.map(str::to_owned),
        ..ViewOptions::default()
    };
    let queries = store.queries()?;
    let server = first_free("--view-port", port, |listen| {
        let options = ViewOptions { listen, ..options.clone() };
        let view = View::with_pages(queries.clone(), store.clock(), options, beside.clone());
        store.block_on(view.bind())?.map_err(|e| e.to_string())
    })?;
    let url = server.url();
    serve(store, "the view", server.serve(pending()))?;
    Ok(url)
}

fn wire(store: &EmbeddedStore, port: u16) -> Result<String, String> {
    let (opened, queries) = (store.open()?, Arc::new(store.queries()?));
    let server = first_free("--store-port", port, |listen| {
        let mut options = ServerOptions::new(listen);
        options.engine = Some(queries.clone());
        store.block_on(Server::bind(opened.clone(), options))?.map_err(|e| e.to_string())
    })?;
    let url = server.url();
    serve(store, "the store's server", server.serve(pending()))?;
    Ok(url)
}

/// As long as the store is open.
fn serve<E: Display>(
    store: &EmbeddedStore,
    what: &'static str,
    serving: impl Future<Output = Result<(), E>> + Send + 'static,
) -> Result<(), String> {
    store.spawn(async move {
        if let Err(e) = serving.await {
            tracing::warn!("{what} has ended: {e}");
        }
    })
}

/// The port that was asked for, or the next one that is free; port 0 takes a free one by itself.
fn first_free<S>(option: &str, port: u16, bind: impl Fn(SocketAddr) -> Result<S, String>) -> Result<S, String> {
    let mut failed = String::new();
    for port in port..=if port == 0 { 0 } else { port.saturating_add(PORTS) } {
        match bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            Ok(server) => return Ok(server),
            Err(e) => failed = e,
        }
    }
    Err(format!("{option} {port}: {failed}; give another one, or `off`"))
}
