//! The server: it listens, it answers until it is told to end, and it ends what it has begun.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, serve::ListenerExt};
use tokio::{net::TcpListener, sync::watch};

use super::{
    arn::Arns,
    engine::QueryEngine,
    ids::Ids,
    keys::AccessKeys,
    open_queries::{OpenQueries, QueryLimits},
    scheduled::ScheduledQueries,
    service::{Service, handle},
    tls::{Tls, TlsListener},
};
use crate::{
    error::{Error, Result},
    store::Store,
    unload::UnloadPlace,
};

/// How long requests that are on their way when the server ends may take.
const DRAIN: Duration = Duration::from_secs(10);
/// How often queries are looked for that nobody has come back for.
const SWEEP: Duration = Duration::from_secs(30);
/// In the names of resources: nobody's.
const ACCOUNT: &str = "000000000000";

/// How a store is served.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whose signed requests are taken. Without any, on loopback only, everybody's are.
    pub keys: AccessKeys,
    /// Certificate and key, for HTTPS.
    pub tls: Option<Tls>,
    /// The region in the names of resources (ARNs).
    pub region: String,
    /// What runs queries; none are answered without it.
    pub engine: Option<Arc<dyn QueryEngine>>,
    /// What open queries may take.
    pub queries: QueryLimits,
    /// Where scheduled queries may write their error reports; nowhere without.
    pub reports: Option<UnloadPlace>,
}

impl ServerOptions {
    /// At an address: no keys, no TLS, no queries.
    pub fn new(listen: SocketAddr) -> Self {
        ServerOptions {
            listen,
            keys: AccessKeys::default(),
            tls: None,
            region: "us-east-1".into(),
            engine: None,
            queries: QueryLimits::default(),
            reports: None,
        }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    service: Arc<Service>,
}

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    /// An address beyond loopback without keys; one that cannot be listened at.
    pub async fn bind(store: Store, options: ServerOptions) -> Result<Self> {
        let ServerOptions { listen, keys, tls, region, engine, queries, reports } = options;
        if !listen.ip().is_loopback() && keys.is_empty() {
            return Err(Error::Validation(format!(
                "{listen} can be reached from other machines, so requests have to be signed: give access keys, or listen \
                 on 127.0.0.1"
            )));
        }
        let at = |source| Error::Io { path: listen.to_string(), source };
        let listener = TcpListener::bind(listen).await.map_err(at)?;
        let address = listener.local_addr().map_err(at)?;
        let clock = store.clock();
        let arns = Arns::new(&region, ACCOUNT);
        let scheduled =
            engine.clone().map(|engine| Arc::new(ScheduledQueries::new(store.clone(), engine, arns.clone(), reports)));
        let service = Service {
            ids: Ids::new(clock.now_ms()),
            queries: engine.map(|engine| OpenQueries::new(engine, clock, queries)),
            scheduled,
            arns,
            store,
            keys,
        };
        Ok(Server { listener, address, tls, service: Arc::new(service) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint URL for clients.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Answers until `end` comes: then nothing new is taken, what is on its way gets its answer, and open queries are
    /// dropped. Nothing has to be flushed: what was acknowledged is durable.
    ///
    /// # Errors
    /// A listener that fails.
    pub async fn serve(self, end: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let Server { listener, address, tls, service } = self;
        let app = Router::new().fallback(handle).with_state(service.clone());
        let ending = watch::Sender::new(false);
        let sweeping = tokio::spawn(sweep(service.clone()));
        let scheduled = service.scheduled.clone().map(|scheduled| tokio::spawn(scheduled.run()));
        let wait = |mut ended: watch::Receiver<bool>| async move {
            // When there is nobody left to say it, it has ended, too.
            let _ = ended.wait_for(|ended| *ended).await;
        };
        let (graceful, late) = (wait(ending.subscribe()), wait(ending.subscribe()));
        let watching = tokio::spawn(async move {
            end.await;
            if let Some(queries) = &service.queries {
                queries.close();
            }
            ending.send_replace(true);
            // The sender must not go before the server has: that would be the same word.
            std::future::pending::<()>().await;
        });
        let serving = async {
            match tls {
                None => {
                    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
                    axum::serve(listener, app).with_graceful_shutdown(graceful).await
                }
                Some(tls) => axum::serve(TlsListener::new(listener, &tls)?, app).with_graceful_shutdown(graceful).await,
            }
        };
        let served = tokio::select! {
            served = serving => served,
            () = async { late.await; tokio::time::sleep(DRAIN).await } => {
                tracing::warn!("connections that had not ended {} s after the server was told to are cut", DRAIN.as_secs());
                Ok(())
            }
        };
        watching.abort();
        sweeping.abort();
        if let Some(scheduled) = scheduled {
            scheduled.abort();
            // What it has under way goes with it; the store is to be free when this returns.
            let _ = scheduled.await;
        }
        served.map_err(|source| Error::Io { path: address.to_string(), source })
    }
}

async fn sweep(service: Arc<Service>) {
    let Some(queries) = &service.queries else { return };
    loop {
        tokio::time::sleep(SWEEP).await;
        queries.sweep();
    }
}
