//! An origin that does what a script says, path by path, and keeps a ledger of every request it saw.

use super::PATIENCE;
use super::answer::Answer;
use super::exchange::Exchange;
use super::tls::Identity;
use super::wire::{Head, Wire};
use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};
use std::thread;
use std::time::{Duration, Instant};

type Script = Arc<dyn Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync>;

/// A request as the origin received it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Byte for byte.
    pub(crate) target: String,
    /// In order, names in the case they were sent in.
    pub(crate) headers: Vec<(String, String)>,
    /// The whole head, byte for byte.
    pub(crate) raw: Vec<u8>,
    /// The first 64 KiB of the body.
    pub(crate) body: Vec<u8>,
    /// Bytes of the whole body.
    pub(crate) body_len: u64,
    /// XXH3 of the whole body.
    pub(crate) body_hash: u64,
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
    id: usize,
}

impl Seen {
    /// The first field called `name`, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Every field called `name`, in any case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The head as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// Whether it was for `what`: a target with its query, or a path with any query.
    fn is_for(&self, what: &str) -> bool {
        if what.contains('?') { self.target == what } else { self.path() == what }
    }
}

/// What the origin saw.
#[derive(Default)]
pub(crate) struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
    pub(super) ended: AtomicBool,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    counts: HashMap<String, usize>,
    aborted: HashMap<String, usize>,
    in_flight: usize,
    max_in_flight: usize,
}

impl Ledger {
    /// Records a request and says which one for its path it is.
    fn enter(&self, seen: &mut Seen) -> usize {
        let mut state = self.state();
        seen.id = state.seen.len();
        state.seen.push(seen.clone());
        state.in_flight += 1;
        state.max_in_flight = state.max_in_flight.max(state.in_flight);
        let count = state.counts.entry(seen.path().to_owned()).or_default();
        *count += 1;
        let nth = *count;
        drop(state);
        self.changed.notify_all();
        nth
    }

    pub(super) fn update(&self, seen: &Seen) {
        self.state().seen[seen.id] = seen.clone();
        self.changed.notify_all();
    }

    pub(super) fn leave(&self) {
        self.state().in_flight -= 1;
        self.changed.notify_all();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the ledger")
    }
}

/// The open connections by number, and how many there have been.
#[derive(Default)]
struct Connections {
    open: HashMap<usize, TcpStream>,
    count: usize,
}

struct Shared {
    ledger: Ledger,
    scripts: RwLock<HashMap<String, Script>>,
    otherwise: RwLock<Script>,
    connections: Mutex<Connections>,
    identity: Option<Identity>,
}

/// The scripted origin. It ends when it is dropped.
pub(crate) struct Origin {
    shared: Arc<Shared>,
    socket: Arc<Socket>,
    addr: SocketAddr,
}

impl Origin {
    /// An origin on plain TCP. Until told otherwise it answers 200 with [`Origin::body`].
    pub(crate) fn start() -> Self {
        Origin::start_with(None)
    }

    /// An origin that speaks TLS as `identity`.
    pub(crate) fn start_tls(identity: Identity) -> Self {
        Origin::start_with(Some(identity))
    }

    fn start_with(identity: Option<Identity>) -> Self {
        let socket = Arc::new(reserve_port());
        let addr = socket.local_addr().ok().and_then(|a| a.as_socket()).expect("a bound socket has an address");
        let usual: Script = Arc::new(|x| {
            x.read_body()?;
            let body = Origin::body(&x.seen.target, x.nth);
            x.answer(&Answer::html(body))
        });
        let shared = Arc::new(Shared {
            ledger: Ledger::default(),
            scripts: RwLock::default(),
            otherwise: RwLock::new(usual),
            connections: Mutex::default(),
            identity,
        });
        let origin = Origin { shared, socket, addr };
        origin.start_again();
        origin
    }

    /// What an origin without a script answers: the target, and which request for its path it was.
    pub(crate) fn body(target: &str, nth: usize) -> String {
        format!("page {target} #{nth}")
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`, or `https://localhost:PORT`.
    pub(crate) fn url(&self) -> String {
        match self.shared.identity {
            None => format!("http://{}", self.addr),
            Some(_) => format!("https://localhost:{}", self.addr.port()),
        }
    }

    /// From now on requests for `path` are answered by `script`, once their body has been read. A script that
    /// fails ends the connection and counts as aborted.
    pub(crate) fn on(&self, path: &str, script: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static) {
        self.on_raw(path, move |x| {
            x.read_body()?;
            script(x)
        });
    }

    /// As [`Origin::on`], but the script reads the body itself.
    pub(crate) fn on_raw(
        &self,
        path: &str,
        script: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) {
        let mut scripts = self.shared.scripts.write().expect("nobody panics while changing scripts");
        scripts.insert(path.to_owned(), Arc::new(script));
    }

    /// From now on requests for `path` get `answer`.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.on(path, move |x| x.answer(&answer));
    }

    /// From now on requests for paths without a script are answered by this one.
    pub(crate) fn otherwise(&self, script: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static) {
        let script: Script = Arc::new(move |x| {
            x.read_body()?;
            script(x)
        });
        *self.shared.otherwise.write().expect("nobody panics while changing scripts") = script;
    }

    /// Resets all connections and refuses new ones; the port stays reserved.
    pub(crate) fn stop(&self) {
        self.socket.shutdown(Shutdown::Both).expect("a listening socket can be shut down");
        self.reset_connections();
    }

    /// Listens again on the same port.
    pub(crate) fn start_again(&self) {
        self.socket.listen(1024).expect("the port is ours");
        let (socket, shared) = (Arc::clone(&self.socket), Arc::clone(&self.shared));
        thread::spawn(move || accept(&socket, &shared));
    }

    /// How many requests there were for `what` (a path with any query, or a target with its query).
    pub(crate) fn renders(&self, what: &str) -> usize {
        self.shared.ledger.state().seen.iter().filter(|seen| seen.is_for(what)).count()
    }

    /// The requests for `what`, in order.
    pub(crate) fn requests(&self, what: &str) -> Vec<Seen> {
        self.shared.ledger.state().seen.iter().filter(|seen| seen.is_for(what)).cloned().collect()
    }

    /// All requests, in order.
    pub(crate) fn all_requests(&self) -> Vec<Seen> {
        self.shared.ledger.state().seen.clone()
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> usize {
        self.shared.ledger.state().seen.len()
    }

    /// Scripts for `path` that failed: the other side had gone, or the scenario never let them through.
    pub(crate) fn aborted(&self, path: &str) -> usize {
        self.shared.ledger.state().aborted.get(path).copied().unwrap_or_default()
    }

    /// Requests that have not been answered yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.shared.ledger.state().in_flight
    }

    /// The most requests that were ever in flight together.
    pub(crate) fn max_in_flight(&self) -> usize {
        self.shared.ledger.state().max_in_flight
    }

    /// Waits until there were `n` requests for `what` and returns them.
    #[track_caller]
    pub(crate) fn wait_for_requests(&self, what: &str, n: usize) -> Vec<Seen> {
        self.wait(&format!("{n} requests for {what}"), |state| {
            let seen: Vec<_> = state.seen.iter().filter(|seen| seen.is_for(what)).cloned().collect();
            (seen.len() >= n).then_some(seen)
        })
    }

    /// Waits until `n` requests are in flight together.
    #[track_caller]
    pub(crate) fn wait_for_in_flight(&self, n: usize) {
        self.wait(&format!("{n} requests in flight"), |state| (state.in_flight >= n).then_some(()));
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, enough: impl Fn(&State) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let ledger = &self.shared.ledger;
        let mut state = ledger.state();
        loop {
            if let Some(value) = enough(&state) {
                return value;
            }
            let seen = || state.seen.iter().map(|s| format!("{} {}", s.method, s.target)).collect::<Vec<_>>();
            assert!(Instant::now() < until, "the origin did not see {what}; it saw {:?}", seen());
            let woken = ledger.changed.wait_timeout(state, Duration::from_millis(100));
            state = woken.expect("nobody panics while holding the ledger").0;
        }
    }

    fn reset_connections(&self) {
        let mut connections = self.shared.connections.lock().expect("nobody panics while holding the list");
        for (_, stream) in connections.open.drain() {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.ledger.ended.store(true, Ordering::Relaxed);
        let _ = self.socket.shutdown(Shutdown::Both);
        self.reset_connections();
    }
}

/// A socket that is bound but does not listen: connections to it are refused, and nobody else gets its port.
fn reserve_port() -> Socket {
    let bind = |port| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("sockets can be made");
        socket.set_reuse_address(true).expect("SO_REUSEADDR can be set");
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        socket.bind(&addr.into()).map(|()| socket)
    };
    let any = bind(0).expect("loopback has a free port");
    let port = any.local_addr().ok().and_then(|a| a.as_socket()).expect("a bound socket has an address").port();
    // A port that was named keeps its reservation when the socket stops listening; one that was given does not.
    bind(port).expect("a port can be bound twice while nobody listens")
}

fn accept(socket: &Socket, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = socket.accept() {
        let stream = TcpStream::from(stream);
        let mut connections = shared.connections.lock().expect("nobody panics while holding the list");
        let number = connections.count;
        connections.count += 1;
        connections.open.insert(number, stream.try_clone().expect("a socket can be cloned"));
        drop(connections);
        let shared = Arc::clone(shared);
        let small = thread::Builder::new().stack_size(512 * 1024);
        small.spawn(move || serve(stream, number, &shared)).expect("threads can be started");
    }
}

fn serve(stream: TcpStream, number: usize, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut wire = match &shared.identity {
        None => Wire::new(stream),
        Some(identity) => Wire::new(identity.accept(stream)),
    };
    wire.read_timeout(4 * PATIENCE);
    while let Ok(Some(head)) = wire.head() {
        if !exchange(head, &mut wire, number, shared) {
            break;
        }
        wire.read_timeout(4 * PATIENCE);
    }
    // The list's handle has to go first: the socket closes (or resets) with its last handle.
    shared.connections.lock().expect("nobody panics while holding the list").open.remove(&number);
}

/// Answers one request; whether the connection goes on.
fn exchange(head: Head, wire: &mut Wire, connection: usize, shared: &Shared) -> bool {
    let body = head.framing();
    let mut start = head.start.split(' ');
    let mut word = || start.next().unwrap_or_default().to_owned();
    let mut seen = Seen {
        method: word(),
        target: word(),
        headers: head.headers,
        raw: head.raw,
        body: Vec::new(),
        body_len: 0,
        body_hash: 0,
        connection,
        id: 0,
    };
    let script = shared.scripts.read().expect("nobody panics while changing scripts").get(seen.path()).cloned();
    let otherwise = || Arc::clone(&shared.otherwise.read().expect("nobody panics while changing scripts"));
    let script = script.unwrap_or_else(otherwise);
    let nth = shared.ledger.enter(&mut seen);
    let path = seen.path().to_owned();
    let mut exchange = Exchange::new(seen, nth, body, wire, &shared.ledger);
    let went_well = script(&mut exchange).and_then(|()| exchange.finish());
    drop(exchange);
    let Ok(keep_alive) = went_well else {
        *shared.ledger.state().aborted.entry(path).or_default() += 1;
        return false;
    };
    keep_alive
}
