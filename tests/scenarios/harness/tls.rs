//! Certificates that a scenario makes: for its origin, and for Breadbox; and clients that speak TLS.

use super::PATIENCE;
use super::wire::Duplex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned, SupportedProtocolVersion,
};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// A certificate and its key.
pub(crate) struct Identity {
    /// The certificate as PEM: what `ca:` and `certificate:` take.
    pub(crate) pem: String,
    /// The key as PEM.
    pub(crate) key: String,
    server: Arc<ServerConfig>,
}

impl Identity {
    /// A new one, for the name `localhost`.
    pub(crate) fn localhost() -> Self {
        Identity::of(&["localhost"])
    }

    /// A new one, for these names.
    pub(crate) fn of(names: &[&str]) -> Self {
        let made = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let made = made.expect("a certificate can be made");
        Identity::from_pem(made.cert.pem(), &made.signing_key)
    }

    /// One for `localhost` whose time is over.
    pub(crate) fn expired() -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        let key = KeyPair::generate().expect("a key can be made");
        let pem = params.self_signed(&key).expect("a certificate can be made").pem();
        Identity::from_pem(pem, &key)
    }

    /// One for `localhost` with the issuer that signed it behind it, and the issuer's certificate.
    pub(crate) fn issued() -> (Self, String) {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("a certificate can be made").pem();
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let pem = params.signed_by(&own, &issuer).expect("a certificate can be made").pem();
        (Identity::from_pem(format!("{pem}{authority}"), &own), authority)
    }

    fn from_pem(pem: String, key: &KeyPair) -> Self {
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().expect("PEM of ours");
        let der = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS#8");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions")
            .with_no_client_auth()
            .with_single_cert(chain, der)
            .expect("the key is the certificate's");
        Identity { pem, key: key.serialize_pem(), server: Arc::new(server) }
    }

    /// The server's side of a connection; the handshake happens with the first read.
    pub(super) fn accept(&self, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        let connection = ServerConnection::new(Arc::clone(&self.server)).expect("the configuration is complete");
        StreamOwned::new(connection, stream)
    }
}

/// What a client trusts and offers. Connections made with the same one can resume each other's sessions.
#[derive(Clone)]
pub(crate) struct Trust(pub(super) Arc<ClientConfig>);

impl Trust {
    /// Trusts these certificates, in PEM, and offers these protocols.
    pub(crate) fn new(pems: &[&str], alpn: &[&str]) -> Self {
        Trust::with_versions(pems, alpn, rustls::DEFAULT_VERSIONS)
    }

    /// As [`Trust::new`], with these versions of TLS.
    pub(crate) fn with_versions(pems: &[&str], alpn: &[&str], versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in pems.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem.as_bytes())) {
            roots.add(certificate.expect("PEM of ours")).expect("a certificate");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider knows these versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Trust(Arc::new(config))
    }

    /// Shakes hands as a client that looks for `name`.
    pub(crate) fn connect(&self, server: SocketAddr, name: &str) -> io::Result<Secured> {
        let mut socket = TcpStream::connect_timeout(&server, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut connection = ClientConnection::new(Arc::clone(&self.0), name).expect("a complete configuration");
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Secured(StreamOwned::new(connection, socket)))
    }
}

/// A connection whose handshake is done.
pub(crate) struct Secured(StreamOwned<ClientConnection, TcpStream>);

impl Secured {
    /// The protocol that was agreed on.
    pub(crate) fn alpn(&self) -> Option<&str> {
        self.0.conn.alpn_protocol().and_then(|name| std::str::from_utf8(name).ok())
    }

    /// The version that was agreed on.
    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        self.0.conn.protocol_version()
    }

    /// Whether the session is one that was before.
    pub(crate) fn is_resumed(&self) -> bool {
        self.0.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether the server showed this certificate.
    pub(crate) fn shows(&self, identity: &Identity) -> bool {
        let own = CertificateDer::from_pem_slice(identity.pem.as_bytes()).expect("PEM of ours");
        self.0.conn.peer_certificates().and_then(|chain| chain.first()) == Some(&own)
    }
}

impl Read for Secured {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Secured {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Duplex for Secured {
    fn tcp(&self) -> &TcpStream {
        &self.0.sock
    }
}

impl Duplex for StreamOwned<ServerConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}
