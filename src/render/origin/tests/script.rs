//! A server that says exactly what a test tells it to, connection by connection and request by request.

use crate::config::{self, Scheme};
use crate::policy::Fields;
use crate::render::origin::{OriginClient, OriginRequest};
use http::{HeaderValue, Method};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// What the server does with one request.
#[derive(Clone)]
pub(super) struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
    Reset,
    /// Closes TCP without the `close_notify` of TLS.
    Cut,
}

pub(super) fn keep(bytes: &str) -> Reply {
    Reply { bytes: bytes.as_bytes().to_vec(), then: Then::Keep }
}

/// Says no more, and waits for the client.
pub(super) fn hang(bytes: &str) -> Reply {
    keep(bytes)
}

pub(super) fn close(bytes: &str) -> Reply {
    Reply { then: Then::Close, ..keep(bytes) }
}

pub(super) fn reset(bytes: &str) -> Reply {
    Reply { then: Then::Reset, ..keep(bytes) }
}

pub(super) fn cut(bytes: &str) -> Reply {
    Reply { then: Then::Cut, ..keep(bytes) }
}

pub(super) struct Scripted {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<(usize, String)>>>,
    closed: mpsc::UnboundedReceiver<usize>,
}

impl Scripted {
    pub(super) async fn start(script: Vec<Vec<Reply>>) -> Self {
        Scripted::start_with(script, None).await
    }

    pub(super) async fn start_with(script: Vec<Vec<Reply>>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (tell, closed) = mpsc::unbounded_channel();
        let seen = requests.clone();
        tokio::spawn(async move {
            for (number, replies) in script.into_iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, tell, tls) = (seen.clone(), tell.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => plain(stream, number, replies, &seen).await,
                        // A client that does not trust the certificate ends the handshake.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                talk(stream, number, replies, &seen).await;
                            }
                        }
                    }
                    let _ = tell.send(number);
                });
            }
        });
        Scripted { address, requests, closed }
    }

    /// Which connection each request came over, and its head.
    pub(super) fn requests(&self) -> Vec<(usize, String)> {
        self.requests.lock().clone()
    }

    pub(super) fn connections(&self) -> Vec<usize> {
        self.requests().iter().map(|(connection, _)| *connection).collect()
    }

    /// Waits until a connection has ended.
    pub(super) async fn closed_by_client(&mut self) {
        tokio::time::timeout(Duration::from_secs(10), self.closed.recv()).await.expect("the client closes").unwrap();
    }
}

async fn plain(mut stream: TcpStream, number: usize, replies: Vec<Reply>, seen: &Mutex<Vec<(usize, String)>>) {
    if talk(&mut stream, number, replies, seen).await == Then::Reset {
        stream.set_zero_linger().unwrap();
    }
}

/// Answers as scripted; then reads until the client closes, unless the last reply ended it.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    number: usize,
    replies: Vec<Reply>,
    seen: &Mutex<Vec<(usize, String)>>,
) -> Then {
    for reply in replies {
        let Some(head) = read_head(&mut stream).await else { return Then::Keep };
        seen.lock().push((number, head));
        stream.write_all(&reply.bytes).await.unwrap();
        stream.flush().await.unwrap();
        match reply.then {
            Then::Keep => {}
            Then::Close => {
                stream.shutdown().await.unwrap();
                return Then::Close;
            }
            ended => return ended,
        }
    }
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    Then::Keep
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

pub(super) fn get(target: &str) -> OriginRequest {
    let mut fields = Fields::new();
    fields.append(http::header::HOST, HeaderValue::from_static("shop.example"));
    OriginRequest { method: Method::GET, target: target.to_owned(), fields }
}

pub(super) fn server_at(address: SocketAddr) -> config::Server {
    config::Server { scheme: Scheme::Http, host: address.ip().to_string().into(), port: address.port() }
}

pub(super) fn client(addresses: &[SocketAddr]) -> OriginClient {
    client_with(addresses, |_| {})
}

pub(super) fn client_with(addresses: &[SocketAddr], edit: impl FnOnce(&mut config::Origin)) -> OriginClient {
    let mut origin = config::Origin {
        name: "web".into(),
        servers: addresses.iter().copied().map(server_at).collect(),
        host_header: None,
        public_scheme: None,
        ca: None,
        user_agent: HeaderValue::from_static("test"),
        connect_timeout: Duration::from_secs(10),
        first_byte_timeout: Duration::from_secs(10),
        between_bytes_timeout: Duration::from_secs(10),
        render_timeout: Duration::from_secs(60),
        keepalive_timeout: Duration::from_secs(10),
        max_renders: NonZeroUsize::new(16).unwrap(),
        max_waiting: 16,
        queue_timeout: Duration::from_secs(30),
    };
    edit(&mut origin);
    OriginClient::new(Arc::new(origin))
}
