//! A certificate for `localhost` that a scenario's origin can be, and that Breadbox can be told to trust.

use super::wire::Duplex;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::net::TcpStream;
use std::sync::Arc;

/// A self-signed certificate and its key.
pub(crate) struct Identity {
    /// The certificate as PEM: what `ca:` takes.
    pub(crate) pem: String,
    server: Arc<ServerConfig>,
}

impl Identity {
    /// A new one, for the name `localhost`.
    pub(crate) fn localhost() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("rcgen writes PKCS#8");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("the key is the certificate's");
        Identity { pem: made.cert.pem(), server: Arc::new(server) }
    }

    /// The server's side of a connection; the handshake happens with the first read.
    pub(super) fn accept(&self, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        let connection = ServerConnection::new(Arc::clone(&self.server)).expect("the configuration is complete");
        StreamOwned::new(connection, stream)
    }
}

impl Duplex for StreamOwned<ServerConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}
