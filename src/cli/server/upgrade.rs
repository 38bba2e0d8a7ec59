//! An upgrade of the binary: a successor takes the listening sockets of the running process, gets ready, and
//! only then does the old one stop to accept and finish what it has. No connection is refused meanwhile,
//! because the sockets never close. A successor that fails before it is ready has changed nothing.

mod place;
mod wire;

use super::ServerError;
use crate::config::Config;
use parking_lot::Mutex;
use place::Place;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the admin socket is called.
pub(super) const ADMIN: &str = "admin";

/// What the stream is called on which a successor says what it purges.
const REPORTS: &str = "reports";

/// How long a successor may take to get ready.
const GETTING_READY: Duration = Duration::from_secs(600);
/// How long the other side may take for anything else.
const PATIENCE: Duration = Duration::from_secs(10);
/// Successors that get ready at once; the first one that is ready takes over.
const MAX_SUCCESSORS: usize = 4;

/// Every listening socket, by name, for whoever takes over. Each is a second handle of one that is served.
#[derive(Clone, Default)]
pub(super) struct Sockets(Arc<Mutex<Vec<(String, std::net::TcpListener)>>>);

impl Sockets {
    /// Keeps a socket that is served.
    pub(super) fn keep(&self, name: &str, socket: std::net::TcpListener) {
        self.0.lock().push((name.to_owned(), socket));
    }

    /// Lets go of those with this name, so that they close with their listener.
    pub(super) fn forget(&self, name: &str) {
        self.0.lock().retain(|(other, _)| other != name);
    }

    /// Lets go of all.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Those of public listeners that are not among these.
    ///
    /// # Errors
    /// When there are too many files.
    pub(super) fn others(&self, wanted: &[String]) -> io::Result<Vec<std::net::TcpListener>> {
        others(&self.0.lock(), wanted)
    }

    fn handles(&self) -> io::Result<Vec<(String, std::net::TcpListener)>> {
        self.0.lock().iter().map(|(name, socket)| Ok((name.clone(), socket.try_clone()?))).collect()
    }
}

fn others(sockets: &[(String, std::net::TcpListener)], wanted: &[String]) -> io::Result<Vec<std::net::TcpListener>> {
    let others = sockets.iter().filter(|(name, _)| name != ADMIN && !wanted.contains(name));
    others.map(|(_, socket)| socket.try_clone()).collect()
}

/// What a successor has been given.
pub(super) struct Inherited {
    sockets: Vec<(String, std::net::TcpListener)>,
    stream: UnixStream,
    reports: UnixStream,
}

impl Inherited {
    /// Asks the process that serves this configuration for its sockets. It goes on serving.
    ///
    /// # Errors
    /// When there is none, or it does not hand over.
    pub(super) fn of_running(config: &Config) -> Result<Self, ServerError> {
        let place = place::named().or_else(|| place::of(config)).ok_or(ServerError::NoUpgradeSocket)?;
        let ask = || {
            let mut stream = place.connect()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let mut received = wire::receive(&mut stream)?;
            let reports = received.iter().position(|(name, _)| name == REPORTS);
            let reports = reports.ok_or_else(|| io::Error::other("it cannot be told what is purged"))?;
            let reports = received.swap_remove(reports).1.into();
            let sockets = received.into_iter().map(|(name, socket)| (name, socket.into())).collect();
            Ok(Inherited { sockets, stream, reports })
        };
        ask().map_err(|error| ServerError::TakeOver { path: place.path.clone(), error })
    }

    /// The sockets with this name.
    pub(super) fn take(&mut self, name: &str) -> Vec<std::net::TcpListener> {
        let (taken, left) = std::mem::take(&mut self.sockets).into_iter().partition(|(other, _)| other == name);
        self.sockets = left;
        Vec::into_iter(taken).map(|(_, socket)| socket).collect()
    }

    /// Those of public listeners that are not among these.
    ///
    /// # Errors
    /// When there are too many files.
    pub(super) fn others(&self, wanted: &[String]) -> io::Result<Vec<std::net::TcpListener>> {
        others(&self.sockets, wanted)
    }

    /// The admin socket, among the first if it has this address still.
    pub(super) fn take_admin(
        &mut self,
        address: SocketAddr,
    ) -> (Vec<std::net::TcpListener>, Vec<std::net::TcpListener>) {
        let same = |socket: &std::net::TcpListener| {
            socket.local_addr().is_ok_and(|has| has == address || (address.port() == 0 && has.ip() == address.ip()))
        };
        self.take(ADMIN).into_iter().partition(same)
    }

    /// Says that everything is ready; from here on this process serves and the other one stops to accept.
    ///
    /// # Errors
    /// When the other one has stopped, or handed over to somebody else.
    pub(super) fn take_over(mut self) -> Result<Predecessor, ServerError> {
        wire::say(&mut self.stream, wire::READY)
            .and_then(|()| wire::hear(&mut self.stream, wire::GO))
            .and_then(|()| self.stream.set_read_timeout(None))
            .map_err(|error| ServerError::NotLetGo { error })?;
        Ok(Predecessor { listens: self.reports, tells: self.stream })
    }
}

/// The process that was taken over from, while it finishes what it has.
pub(super) struct Predecessor {
    /// Where it hears what is purged here.
    pub(super) listens: UnixStream,
    /// Where it says what is purged there.
    pub(super) tells: UnixStream,
}

/// Has another process take in what was purged here.
///
/// # Errors
/// When it has gone, or has not understood.
pub(super) fn tell(stream: &mut UnixStream, purged: &[u8]) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    wire::say_more(stream, purged)?;
    wire::hear(stream, wire::DONE)
}

/// Hears what is purged in another process until it has ended; `take_in` says whether it was understood.
pub(super) fn follow(stream: &mut UnixStream, take_in: impl Fn(&[u8]) -> bool) {
    while let Ok(purged) = wire::hear_more(stream) {
        if !take_in(&purged) || wire::say(stream, wire::DONE).is_err() {
            return;
        }
    }
}

/// Where successors come to.
pub(super) struct Successors {
    ready: mpsc::Receiver<Successor>,
    task: Option<JoinHandle<()>>,
    /// The socket, and which one it was when it was made.
    left_behind: Option<(PathBuf, u64)>,
}

/// A process that has everything and waits for our word.
pub(super) struct Successor {
    /// Where it hears what is purged here.
    pub(super) listens: UnixStream,
    /// Where it says what is purged there.
    pub(super) tells: UnixStream,
}

impl Successor {
    /// Has it serve from now on.
    ///
    /// # Errors
    /// When it has gone; then this process goes on.
    pub(super) fn go(&mut self) -> io::Result<()> {
        wire::say(&mut self.listens, wire::GO)
    }
}

impl Successors {
    /// Waits for successors of the process that serves this configuration. Where nobody can be waited for,
    /// that is said in the log, and nothing else is missing.
    pub(super) fn expect(config: &Config, sockets: &Sockets, has_taken_over: bool) -> Self {
        let (tell, ready) = mpsc::channel(1);
        let none = |ready| Successors { ready, task: None, left_behind: None };
        let Some(place) = place::of(config) else { return none(ready) };
        let listening = listen(&place, has_taken_over);
        let (listener, number) = match listening {
            Ok(listening) => listening,
            Err(error) => {
                let path = place.path.display();
                tracing::warn!(%path, %error, "this process cannot be upgraded while it serves: no socket for a successor");
                return none(ready);
            }
        };
        let task = tokio::spawn(receive(listener, sockets.clone(), tell));
        Successors { ready, task: Some(task), left_behind: Some((place.path, number)) }
    }

    /// Where a successor finds this process, if it can come.
    pub(super) fn place(&self) -> Option<&Path> {
        self.left_behind.as_ref().map(|(path, _)| path.as_path())
    }

    /// Waits for one that is ready.
    pub(super) async fn next(&mut self) -> Option<Successor> {
        self.ready.recv().await
    }
}

impl Drop for Successors {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        // The successor has put its own socket there; that one stays.
        if let Some((path, number)) = &self.left_behind
            && std::fs::metadata(path).is_ok_and(|found| found.ino() == *number)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn listen(place: &Place, has_taken_over: bool) -> io::Result<(UnixListener, u64)> {
    if !has_taken_over && place.is_taken() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process waits there"));
    }
    let listener = place.listen()?;
    let number = std::fs::metadata(&place.path)?.ino();
    Ok((listener, number))
}

async fn receive(listener: UnixListener, sockets: Sockets, ready: mpsc::Sender<Successor>) {
    let room = Arc::new(tokio::sync::Semaphore::new(MAX_SUCCESSORS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let user = stream.peer_cred().map(|peer| peer.uid());
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
        if !user.is_ok_and(place::is_ours) {
            tracing::warn!("a process of another user asked for the listening sockets and got none");
            continue;
        }
        let (sockets, ready) = (sockets.clone(), ready.clone());
        tokio::task::spawn_blocking(move || {
            match hand_over(stream, &sockets) {
                Ok(successor) => drop(ready.blocking_send(successor)),
                Err(error) => tracing::warn!(%error, "a successor did not get ready; this process goes on"),
            }
            drop(permit);
        });
    }
}

/// Gives the sockets away and waits until the successor is ready.
fn hand_over(stream: tokio::net::UnixStream, sockets: &Sockets) -> io::Result<Successor> {
    let mut stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(GETTING_READY))?;
    let handles = sockets.handles()?;
    let (tells, reports) = UnixStream::pair()?;
    let mut named: Vec<_> = handles.iter().map(|(name, socket)| (name.clone(), socket.as_fd())).collect();
    named.push((REPORTS.to_owned(), reports.as_fd()));
    wire::send(&mut stream, &named)?;
    drop((handles, reports));
    wire::hear(&mut stream, wire::READY)?;
    Ok(Successor { listens: stream, tells })
}

/// The program as it was started: what is at that path now is the successor.
pub(super) struct Program {
    path: io::Result<PathBuf>,
    arguments: Vec<OsString>,
}

impl Program {
    /// To be called at the start: later the system only knows that the file was replaced.
    pub(super) fn of_this_process() -> Self {
        let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if !arguments.iter().any(|argument| argument == "--upgrade") {
            arguments.push("--upgrade".into());
        }
        Program { path: std::env::current_exe(), arguments }
    }

    /// Starts it to take over from this process, which waits for it at `place`, whatever the file says by now. What
    /// becomes of it is in the log.
    pub(super) fn start(&self, place: &Path) {
        let started = self.path.as_ref().map_err(ToString::to_string).and_then(|path| {
            let mut command = std::process::Command::new(path);
            command.args(&self.arguments).env(place::NAMED, place).spawn().map_err(|error| error.to_string())
        });
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(error, "no successor could be started; this process goes on");
                return;
            }
        };
        tracing::info!(successor = child.id(), "a successor was started");
        tokio::task::spawn_blocking(move || {
            // One that took over outlives this process, and this thread with it.
            if let Ok(status) = child.wait() {
                tracing::error!(%status, "the successor has ended; whoever serves goes on");
            }
        });
    }
}
