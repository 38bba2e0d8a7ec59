//! An HTTP/2 client, with TLS or without.

use super::PATIENCE;
use super::tls::Trust;
use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{HeaderMap, Request, Response};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    /// The last field called `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get_all(name).iter().next_back().and_then(|value| value.to_str().ok())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection.
pub(crate) struct Http2 {
    runtime: Runtime,
    send: SendRequest<Bytes>,
    ended: Option<JoinHandle<Result<(), h2::Error>>>,
}

/// GET of an absolute URI.
pub(crate) fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).expect("a request")
}

impl Http2 {
    /// Without TLS, with prior knowledge.
    #[track_caller]
    pub(crate) fn plain(server: SocketAddr) -> Self {
        let runtime = runtime();
        let tcp = runtime.block_on(TcpStream::connect(server)).expect("the proxy listens");
        Http2::over(runtime, tcp)
    }

    /// With TLS, as a client that looks for `name`.
    #[track_caller]
    pub(crate) fn tls(server: SocketAddr, trust: &Trust, name: &'static str) -> Self {
        let runtime = runtime();
        let connecting = async {
            let tcp = TcpStream::connect(server).await?;
            let name = ServerName::try_from(name).expect("a name");
            tokio_rustls::TlsConnector::from(Arc::clone(&trust.0)).connect(name, tcp).await
        };
        let stream = runtime.block_on(connecting).expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Http2::over(runtime, stream)
    }

    #[track_caller]
    fn over(runtime: Runtime, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (send, ended) = runtime.block_on(async {
            let (send, connection) = client::handshake(stream).await.expect("the proxy speaks HTTP/2");
            (send, tokio::spawn(connection))
        });
        Http2 { runtime, send, ended: Some(ended) }
    }

    #[track_caller]
    pub(crate) fn get(&mut self, uri: &str) -> Answered {
        self.ask(get(uri), &[]).unwrap_or_else(|error| panic!("{uri}: {error}"))
    }

    /// Asks with this body, and reads the whole answer.
    pub(crate) fn ask(&mut self, request: Request<()>, body: &[u8]) -> Result<Answered, h2::Error> {
        self.ask_with_trailers(request, body, None)
    }

    /// As [`Http2::ask`], with trailers behind the body.
    pub(crate) fn ask_with_trailers(
        &mut self,
        request: Request<()>,
        body: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Result<Answered, h2::Error> {
        let asking = ask(self.send.clone(), request, Bytes::copy_from_slice(body), trailers);
        self.runtime.block_on(async { timeout(PATIENCE, asking).await.expect("an answer in time") })
    }

    /// Sends a request and does not wait for its answer.
    pub(crate) fn send(&mut self, request: Request<()>) -> JoinHandle<Result<Answered, h2::Error>> {
        let send = self.send.clone();
        self.runtime.spawn(ask(send, request, Bytes::new(), None))
    }

    /// Waits for the answer to a request that was sent.
    pub(crate) fn answer(&mut self, sent: JoinHandle<Result<Answered, h2::Error>>) -> Result<Answered, h2::Error> {
        self.runtime.block_on(async { timeout(PATIENCE, sent).await.expect("an answer in time") }).expect("no panic")
    }

    /// Waits until the connection has ended.
    pub(crate) fn ended(&mut self) -> Result<(), h2::Error> {
        let ended = self.ended.take().expect("it ends once");
        let ended =
            self.runtime.block_on(async { timeout(PATIENCE, ended).await.expect("an end in time") }).expect("no panic");
        // The server closes once its PING was answered, so its GOAWAY has arrived; the client's own farewell may
        // come too late for that.
        ended.or_else(|error| match error.get_io().map(std::io::Error::kind) {
            Some(std::io::ErrorKind::BrokenPipe) => Ok(()),
            _ => Err(error),
        })
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

async fn ask(
    send: SendRequest<Bytes>,
    request: Request<()>,
    mut body: Bytes,
    trailers: Option<HeaderMap>,
) -> Result<Answered, h2::Error> {
    let ends = body.is_empty() && trailers.is_none();
    let (response, mut stream) = send.ready().await?.send_request(request, ends)?;
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(room) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { break };
        let piece = body.split_to(room?.min(body.len()));
        stream.send_data(piece, body.is_empty() && trailers.is_none())?;
    }
    if let Some(trailers) = trailers {
        stream.send_trailers(trailers)?;
    }
    let (head, mut incoming) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = incoming.data().await {
        let piece = piece?;
        incoming.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    incoming.trailers().await?;
    Ok(Answered { head: Response::from_parts(head, ()), body })
}
