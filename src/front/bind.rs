//! Binds listeners before pingora starts. Pingora binds for itself when a service starts, keeps the
//! address it got, tries thirty seconds at one that is in use and then panics. Bound here, port 0
//! becomes a known port, and an address that cannot be had is an error that start-up can report.
//!
//! The way in is the table of sockets that pingora keeps for a successor's sake: a service looks its
//! address up there before it binds.

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::listeners::ListenerConfig;
use pingora::server::{Fds, ListenFds, RuntimeOpts, ShutdownWatch};
use pingora::services::Service as PingoraService;
use pingora::services::listening::Service;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use tracing::info;

/// A listening socket; clients can connect, and wait until a service accepts them.
#[derive(Debug)]
pub struct Socket {
    listener: TcpListener,
    address: SocketAddr,
}

/// Listens on `address`; port 0 means any. The address may be one whose last connections are still
/// winding down, but none that somebody else listens on.
pub fn bind(address: SocketAddr) -> io::Result<Socket> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Socket { listener, address })
}

impl Socket {
    /// Where it listens, with the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Logs where it listens; `listener` is `public` or `admin`.
    pub fn announce(&self, listener: &'static str) {
        info!(address = %self.address, %listener, "listening");
    }
}

/// A pingora service on sockets that are bound already. Give it to `Server::add_service`.
pub struct Bound<A> {
    service: Service<A>,
    sockets: Vec<Socket>,
}

impl<A> Bound<A> {
    /// That service; what it has been told to listen on itself stays as it is.
    pub fn new(service: Service<A>) -> Self {
        Bound { service, sockets: Vec::new() }
    }

    /// Accepts on `socket`. `configure` sets buffers and TLS; TCP options that count when a socket is
    /// bound (`SO_REUSEPORT`, fast open) have no effect any more.
    pub fn add(&mut self, socket: Socket, configure: impl FnOnce(ListenerConfig) -> ListenerConfig) {
        self.service.add_listener(configure(ListenerConfig::tcp(socket.address.to_string())));
        self.sockets.push(socket);
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> PingoraService for Bound<A> {
    async fn start_service(&mut self, fds: Option<ListenFds>, shutdown: ShutdownWatch, listeners_per_fd: usize) {
        let fds = fds.unwrap_or_else(|| Arc::new(Mutex::new(Fds::new())));
        for socket in self.sockets.drain(..) {
            // The key is what the service looks up: the address it was configured with in `add`.
            fds.lock().add(socket.address.to_string(), socket.listener.into_raw_fd());
        }
        self.service.start_service(Some(fds), shutdown, listeners_per_fd).await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }

    fn runtime_opts_override(&self, global: &RuntimeOpts) -> Option<RuntimeOpts> {
        self.service.runtime_opts_override(global)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.service.listen_addresses()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::protocols::Stream;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::watch;

    /// Says its word to everybody.
    struct Word;

    #[async_trait]
    impl ServerApp for Word {
        async fn process_new(self: &Arc<Self>, mut io: Stream, _: &ShutdownWatch) -> Option<Stream> {
            io.write_all(b"bread").await.ok()?;
            io.shutdown().await.ok()?;
            None
        }
    }

    /// What is said at `address`; an error, too, where nobody accepts for ten seconds.
    async fn hear(address: SocketAddr) -> io::Result<String> {
        let listen = async {
            let mut text = String::new();
            TcpStream::connect(address).await?.read_to_string(&mut text).await?;
            Ok(text)
        };
        tokio::time::timeout(Duration::from_secs(10), listen).await?
    }

    /// Two sockets on port 0 have ports of their own, pingora accepts on both, and lets go of them
    /// when it is told to stop.
    #[tokio::test]
    async fn pingora_accepts_on_sockets_that_were_bound_before() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let sockets = [bind(any).unwrap(), bind(any).unwrap()];
        let addresses = sockets.each_ref().map(Socket::address);
        let mut service = Bound::new(Service::new("word".into(), Word));
        for socket in sockets {
            service.add(socket, |listener| listener);
        }
        assert_eq!(service.listen_addresses().unwrap(), addresses.map(|address| address.to_string()));
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(async move { service.start_service(None, stopped, 1).await });
        for address in addresses {
            assert_ne!(address.port(), 0);
            assert_eq!(hear(address).await.unwrap(), "bread");
        }
        stop.send(true).unwrap();
        running.await.unwrap();
        assert!(hear(addresses[0]).await.is_err());
    }

    /// An address that somebody listens on is an error at once.
    #[test]
    fn an_address_in_use_is_refused() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(bind(first.address()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
