//! `https://` servers: verified, always.

use super::*;
use crate::config::{Ca, Scheme};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use script::cut;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nhello";

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn ca(&self) -> Ca {
        Ca { path: "test.pem".into(), pem: self.0.pem().into_bytes().into() }
    }

    /// A server's side of TLS with a certificate for `name`.
    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A client of the server at `host` that trusts `ca` only.
fn trusting(server: &Scripted, host: &str, ca: Ca) -> OriginClient {
    script::client_with(&[server.address], |origin| {
        origin.servers[0].scheme = Scheme::Https;
        origin.servers[0].host = host.into();
        origin.ca = Some(ca);
    })
}

#[tokio::test]
async fn a_server_whose_certificate_is_signed_by_the_ca_is_asked_over_one_connection() {
    let authority = Authority::new();
    let script = vec![vec![keep(OK), keep(OK)]];
    let server = Scripted::start_with(script, Some(authority.acceptor("127.0.0.1"))).await;
    let client = trusting(&server, "127.0.0.1", authority.ca());
    assert_eq!(fetch(&client).await.unwrap(), b"ok");
    assert_eq!(fetch(&client).await.unwrap(), b"ok");
    assert_eq!(server.connections(), [0, 0]);
}

#[tokio::test]
async fn the_name_verified_is_that_of_the_server_not_of_the_host_field() {
    let authority = Authority::new();
    // `localhost` may have more than one address, and only one of them is served.
    let server = Scripted::start_with(vec![vec![keep(OK)]], Some(authority.acceptor("localhost"))).await;
    assert_eq!(fetch(&trusting(&server, "localhost", authority.ca())).await.unwrap(), b"ok");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    for name in ["other.example", "shop.example"] {
        let server = Scripted::start_with(vec![vec![keep(OK)]; 2], Some(authority.acceptor(name))).await;
        let error = trusting(&server, "127.0.0.1", authority.ca()).send(&get("/")).await.unwrap_err();
        assert_eq!((error.kind(), error.status().as_u16()), ("tls", 502));
        assert!(server.requests().is_empty());
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let server = Scripted::start_with(vec![vec![keep(OK)]; 2], Some(other.acceptor("127.0.0.1"))).await;
    let error = trusting(&server, "127.0.0.1", trusted.ca()).send(&get("/")).await.unwrap_err();
    assert_eq!(error.kind(), "tls");

    let server = Scripted::start_with(vec![vec![keep(OK)]; 2], Some(other.acceptor("127.0.0.1"))).await;
    let system = script::client_with(&[server.address], |origin| origin.servers[0].scheme = Scheme::Https);
    assert_eq!(system.send(&get("/")).await.unwrap_err().kind(), "tls");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_ca_file_without_a_usable_certificate_trusts_nobody_and_stops_nothing() {
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let server = Scripted::start_with(vec![vec![keep(OK)]], Some(Authority::new().acceptor("127.0.0.1"))).await;
    let client = trusting(&server, "127.0.0.1", Ca { path: "bad.pem".into(), pem: garbage.as_bytes().into() });
    let error = client.send(&get("/")).await.unwrap_err();
    assert_eq!(error.kind(), "tls");
    assert!(error.to_string().contains("bad.pem"), "{error}");
    assert_eq!(client.peer(&client.turn(), 0).await.unwrap_err().kind(), "tls");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_a_tls_error() {
    let server = Scripted::start(vec![vec![]; 2]).await;
    drop(server.requests());
    let client = script::client_with(&[server.address], |origin| {
        origin.servers[0].scheme = Scheme::Https;
        origin.ca = Some(Authority::new().ca());
        origin.connect_timeout = Duration::from_millis(100);
    });
    assert!(client.send(&get("/")).await.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn a_body_without_framing_needs_a_close_notify_to_be_whole() {
    let authority = Authority::new();
    let clean = Scripted::start_with(vec![vec![close(UNTIL_CLOSE)]], Some(authority.acceptor("127.0.0.1"))).await;
    assert_eq!(fetch(&trusting(&clean, "127.0.0.1", authority.ca())).await.unwrap(), b"hello");
    let unclean = Scripted::start_with(vec![vec![cut(UNTIL_CLOSE)]], Some(authority.acceptor("127.0.0.1"))).await;
    let error = fetch(&trusting(&unclean, "127.0.0.1", authority.ca())).await.unwrap_err();
    assert_eq!(error.kind(), "truncated");
}

#[tokio::test]
async fn peers_of_origins_that_trust_differently_do_not_share_connections() {
    let server = Scripted::start(vec![]).await;
    let (one, two) = (Authority::new(), Authority::new());
    let hash = async |authority: &Authority| {
        let client = trusting(&server, "127.0.0.1", authority.ca());
        client.peer(&client.turn(), 0).await.unwrap().reuse_hash()
    };
    assert_eq!(hash(&one).await, hash(&one).await);
    assert_ne!(hash(&one).await, hash(&two).await);
}
