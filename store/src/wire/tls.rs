//! TLS: a certificate and its key, and a listener whose handshakes hold nobody else up.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::serve::Listener;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::error::{Error, Result};

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections whose handshakes are done and that nobody has taken yet.
const WAITING: usize = 64;

/// A certificate with its key.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Reads both from PEM files; the certificate's may have those of its issuers behind it.
    ///
    /// # Errors
    /// A file that cannot be read or has nothing of the kind in it; a key that is not the certificate's.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let wrong = |path: &Path, e: &dyn std::fmt::Display| Error::Validation(format!("{}: {e}", path.display()));
        let certificates = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|e| wrong(certificate, &e))?;
        if certificates.is_empty() {
            return Err(wrong(certificate, &"it has no certificate in it"));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, &e))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private))
            .map_err(|e| wrong(certificate, &e))?;
        Ok(Tls(Arc::new(config)))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Gives connections whose handshakes are done.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: tokio::task::JoinHandle<()>,
}

impl TlsListener {
    /// Over a listener.
    pub fn new(mut listener: TcpListener, tls: &Tls) -> io::Result<Self> {
        let address = TcpListener::local_addr(&listener)?;
        let (give, ready) = mpsc::channel(WAITING);
        let acceptor = TlsAcceptor::from(tls.0.clone());
        let accepting = tokio::spawn(async move {
            loop {
                // As axum's own: what cannot be accepted is waited for and tried again.
                let (stream, peer) = Listener::accept(&mut listener).await;
                let (give, acceptor) = (give.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        // The server may have ended.
                        Ok(Ok(stream)) => drop(give.send((stream, peer)).await),
                        Ok(Err(e)) => tracing::debug!(%peer, "no TLS: {e}"),
                        Err(_) => tracing::debug!(%peer, "a TLS handshake that took too long"),
                    }
                });
            }
        });
        Ok(TlsListener { address, ready, accepting })
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The accepting task ends with this listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
