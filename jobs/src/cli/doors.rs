//! What a job with an embedded store opens to others on 127.0.0.1: the operational view, and Timestream's protocol.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use hurtig_store::{Server, ServerOptions};
#[cfg(feature = "view")]
use hurtig_view::{View, ViewOptions};

use super::options::RestPort;
use crate::{embedded::EmbeddedStore, smart_meters::Options};

/// So many ports are tried, from the one that was asked for.
const PORTS: u16 = 100;

/// Opens what the options ask for, and returns what it is called and where it is.
///
/// # Errors
/// A store that cannot be opened; no port that is free. In one line.
pub fn open(
    store: &EmbeddedStore,
    options: &Options,
    rest: Option<&str>,
) -> Result<Vec<(&'static str, String)>, String> {
    let mut open = Vec::new();
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
    let mut failed = String::new();
    for listen in addresses(port) {
        let options = ViewOptions {
            listen,
            database: options.timestream_db_name.clone(),
            table: options.timestream_table_name.clone(),
            rest: rest.map(str::to_owned),
            ..ViewOptions::default()
        };
        match store.block_on(View::new(store.queries()?, store.clock(), options).bind())? {
            Ok(server) => {
                let url = server.url();
                store.spawn(async move {
                    if let Err(e) = server.serve(std::future::pending()).await {
                        tracing::warn!("the view has ended: {e}");
                    }
                })?;
                return Ok(url);
            }
            Err(e) => failed = e.to_string(),
        }
    }
    Err(format!("--view-port {port}: {failed}; give another one, or `off`"))
}

fn wire(store: &EmbeddedStore, port: u16) -> Result<String, String> {
    let mut failed = String::new();
    for listen in addresses(port) {
        let mut options = ServerOptions::new(listen);
        options.engine = Some(Arc::new(store.queries()?));
        match store.block_on(Server::bind(store.open()?, options))? {
            Ok(server) => {
                let url = server.url();
                store.spawn(async move {
                    if let Err(e) = server.serve(std::future::pending()).await {
                        tracing::warn!("the store is not served any more: {e}");
                    }
                })?;
                return Ok(url);
            }
            Err(e) => failed = e.to_string(),
        }
    }
    Err(format!("--store-port {port}: {failed}; give another one, or `off`"))
}

/// Port 0 takes a free one by itself.
fn addresses(port: u16) -> impl Iterator<Item = SocketAddr> {
    let ports = port..=if port == 0 { 0 } else { port.saturating_add(PORTS) };
    ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}
