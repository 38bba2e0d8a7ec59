//! Sockets: binding them, and taking connections until the process stops.
//!
//! The accept loop is ours rather than pingora's, so that port 0 can be announced, a connection can
//! have its listener's limits, and a stop waits for connections instead of a fixed time.

use super::watched::Watched;
use crate::config::Limits;
use arc_swap::{ArcSwap, Cache, Guard};
use rustix::net::SocketFlags;
use rustix::net::sockopt::set_socket_reuseport;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpSocket;
use tokio::sync::{Notify, watch};

/// Connections the kernel holds for us before we take them.
const BACKLOG: u32 = 4096;
/// After an error such as "too many open files", taking more at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that are taken before those that are open have their turn.
const ROUND: usize = 32;
/// So many that come at once have been waiting for a while, by then with what they want.
const CROWD: usize = 8;
/// How often such an error is worth a line.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// Binds an address and says which one it got. `closing` are sockets of ours that the one to come takes the place
/// of, and that are still served: where they overlap, as `0.0.0.0:80` and `127.0.0.1:80` do, the system refuses it
/// unless they share the port for that moment.
///
/// # Errors
/// When the address is taken or is not this machine's.
pub(crate) fn bind(address: SocketAddr, closing: &[Socket]) -> io::Result<(Socket, SocketAddr)> {
    let has_port = |socket: &&Socket| socket.local_addr().is_ok_and(|has| has.port() == address.port());
    let sharing: Vec<_> = closing.iter().filter(has_port).collect();
    let share = |does| sharing.iter().try_for_each(|socket| set_socket_reuseport(socket, does));
    share(true)?;
    let bound = listen(address, !sharing.is_empty());
    share(false)?;
    let listener = bound?;
    set_socket_reuseport(&listener, false)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn listen(address: SocketAddr, shares_port: bool) -> io::Result<Socket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(shares_port)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// A socket as one runtime waits at it.
#[derive(Debug)]
pub(crate) struct Waiting(AsyncFd<Socket>);

impl Waiting {
    /// Waits in the runtime that this is called in.
    ///
    /// # Errors
    /// When there are too many files.
    pub(crate) fn at(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        #[expect(deprecated, reason = "what takes its place is unsafe, for types that change their descriptor")]
        AsyncFd::with_interest(socket, Interest::READABLE).map(Waiting)
    }

    /// Waits until somebody connects, and takes as many as are there, up to [`ROUND`].
    async fn take(&self, taken: &mut Vec<Accepted>) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        while taken.len() < ROUND {
            match ready.try_io(|socket| accept_one(socket.get_ref())) {
                Ok(Ok(one)) => taken.push(one),
                // That was one client's, or nobody's.
                Ok(Err(error)) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                // Those that were taken are served first; the error comes again.
                Ok(Err(error)) if taken.is_empty() => return Err(error),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        Ok(())
    }
}

/// A connection that nobody watches yet.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(super) tcp: Watched,
    pub(super) peer: SocketAddr,
    /// It was one of a crowd.
    pub(super) has_waited: bool,
}

fn accept_one(socket: &Socket) -> io::Result<Accepted> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (tcp, peer) = rustix::net::acceptfrom_with(socket, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(ErrorKind::ConnectionAborted)?;
    Ok(Accepted { tcp: Watched::not(tcp.into()), peer, has_waited: false })
}

/// A listener's limits, which a change of the configuration changes for connections that are open, too.
#[derive(Debug)]
pub(crate) struct LiveLimits(Arc<ArcSwap<Limits>>);

/// The limits of a listener as a connection looks at them, again and again: a look costs one comparison.
pub(super) struct Recent(Cache<Arc<ArcSwap<Limits>>, Arc<Limits>>);

impl Recent {
    /// The limits now.
    pub(super) fn now(&mut self) -> &Limits {
        self.0.load()
    }
}

impl LiveLimits {
    /// These, for now.
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(LiveLimits(Arc::new(ArcSwap::from_pointee(limits))))
    }

    /// The limits now.
    pub(crate) fn now(&self) -> Guard<Arc<Limits>> {
        self.0.load()
    }

    /// The limits for somebody who asks often.
    pub(super) fn recent(&self) -> Recent {
        Recent(Cache::new(Arc::clone(&self.0)))
    }

    /// The limits now, for a whole connection.
    pub(crate) fn for_good(&self) -> Arc<Limits> {
        self.0.load_full()
    }

    /// Changes them.
    pub(crate) fn change(&self, limits: Limits) {
        self.0.store(Arc::new(limits));
    }
}

/// How long a connection that is idle when its listener stops may still bring a request, which is answered
/// with `Connection: close`. Whoever sends one request after the other never meets a closed connection.
pub(crate) const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// Counts open connections; a stop waits until there are none.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: AtomicUsize,
    all_closed: Notify,
}

impl Connections {
    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Counts one more until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Ordering::SeqCst);
        OpenConnection(Arc::clone(self))
    }

    /// Waits until none is open.
    pub(crate) async fn closed(&self) {
        loop {
            let closed = self.all_closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// An open connection, counted while it lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Connections>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.all_closed.notify_waiters();
        }
    }
}

/// Takes connections until `stop` says so, and those that wait by then; after that the socket is closed.
pub(crate) async fn accept(socket: Waiting, mut stop: watch::Receiver<bool>, serve: impl Fn(Accepted)) {
    // When it was last said that connections cannot be accepted, and how often that was so since.
    let (mut said, mut failed) = (None::<Instant>, 0_u64);
    let mut taken = Vec::with_capacity(ROUND);
    loop {
        let accepted = tokio::select! {
            accepted = socket.take(&mut taken) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (has_waited, may_be_more) = (taken.len() >= CROWD, taken.len() == ROUND);
        taken.drain(..).for_each(|one| serve(Accepted { has_waited, ..one }));
        match accepted {
            // Those that are open have their turn before the next.
            Ok(()) if may_be_more => tokio::task::yield_now().await,
            Ok(()) => {}
            Err(error) => {
                failed += 1;
                if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                    tracing::warn!(%error, times = failed, "a connection could not be accepted");
                    (said, failed) = (Some(Instant::now()), 0);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // To their clients these are connected already, and closing the socket would reset them.
    for _ in 0..BACKLOG {
        match accept_one(socket.0.get_ref()) {
            Ok(one) => serve(one),
            Err(_) => return,
        }
    }
}

/// What is written is sent, however little it is.
pub(super) fn send_at_once(stream: &tokio::net::TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
}
