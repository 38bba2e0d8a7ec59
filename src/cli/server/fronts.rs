//! The threads that serve clients. Each has a runtime of its own, and a connection stays on one of them: there is
//! no queue that they share, nobody wakes another thread for a request, and what a request needs is in the
//! caches of one core.
//!
//! All of them wait at every listening socket. Whoever is awake first takes a connection, and gives it to the one
//! that has the fewest if it has too many itself; a socket of each thread's own (`SO_REUSEPORT`) would leave that to
//! chance, and let a second Breadbox bind an address that is taken.

use crate::front::Waiting;
use std::io;
use std::net::TcpListener as Socket;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A front may have this many connections more than another one before it gives new ones away.
const SLACK: usize = 4;

/// Threads for blocking work of all fronts together; more wait.
const BLOCKING_THREADS: usize = 512;

/// Every front.
pub(super) struct Fronts {
    all: Arc<[Front]>,
    /// Dropped, the threads end.
    _running: Vec<Running>,
}

/// A thread that serves clients.
struct Front {
    handle: Handle,
    connections: AtomicUsize,
}

struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The fronts as one of them, or somebody else, sees them.
#[derive(Clone)]
pub(super) struct View(Arc<[Front]>);

/// A connection that is counted at its front.
pub(super) struct Counted {
    fronts: View,
    at: usize,
}

impl Fronts {
    /// Starts as many.
    ///
    /// # Errors
    /// When there are no threads or files to be had.
    pub(super) fn start(threads: NonZeroUsize) -> io::Result<Fronts> {
        let mut all = Vec::new();
        let mut running = Vec::new();
        for _ in 0..threads.get() {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads((BLOCKING_THREADS / threads.get()).max(16))
                .build()?;
            all.push(Front { handle: runtime.handle().clone(), connections: AtomicUsize::new(0) });
            let (stop, stopped) = oneshot::channel::<()>();
            let thread = std::thread::Builder::new().name("breadbox-front".to_owned()).spawn(move || {
                // That nobody can stop it any more means the same.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
            running.push(Running { stop: Some(stop), thread: Some(thread) });
        }
        Ok(Fronts { all: all.into(), _running: running })
    }

    /// What others may know of them.
    pub(super) fn view(&self) -> View {
        View(Arc::clone(&self.all))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A front that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl View {
    /// The socket as each front waits at it, in their order.
    ///
    /// # Errors
    /// When there are too many files.
    pub(super) fn register(&self, socket: &Socket) -> io::Result<Vec<Waiting>> {
        let register = |front: &Front| {
            let _in = front.handle.enter();
            Waiting::at(socket.try_clone()?)
        };
        self.0.iter().map(register).collect()
    }

    /// A front.
    pub(super) fn handle(&self, at: usize) -> &Handle {
        &self.0[at].handle
    }

    /// Which front a connection is to have that was taken at `here`.
    pub(super) fn place(&self, here: usize) -> Counted {
        let has = |at: usize| self.0[at].connections.load(Ordering::Relaxed);
        let least = (0..self.0.len()).min_by_key(|at| has(*at)).unwrap_or(here);
        let at = if has(here) > has(least) + SLACK { least } else { here };
        self.0[at].connections.fetch_add(1, Ordering::Relaxed);
        Counted { fronts: self.clone(), at }
    }
}

impl Counted {
    /// Its front.
    pub(super) fn at(&self) -> usize {
        self.at
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.fronts.0[self.at].connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_front_has_many_more_connections_than_another() {
        let fronts = Fronts::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let view = fronts.view();
        let mut taken: Vec<Counted> = (0..60).map(|_| view.place(0)).collect();
        let count = |taken: &[Counted], at| taken.iter().filter(|one| one.at() == at).count();
        let counts = [0, 1, 2].map(|at| count(&taken, at));
        assert!(counts.iter().all(|count| (17..=24).contains(count)), "{counts:?}");
        taken.retain(|one| one.at() == 2);
        assert_eq!(view.place(0).at(), 0, "those that have gone are not counted");
        assert_eq!(view.place(2).at(), 0);
    }

    #[test]
    fn whoever_is_dropped_waits_for_its_threads() {
        let fronts = Fronts::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let socket = Socket::bind(("127.0.0.1", 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let listeners = fronts.view().register(&socket).unwrap();
        assert_eq!(listeners.len(), 2);
        let (tell, told) = oneshot::channel::<()>();
        fronts.view().handle(1).spawn(async move {
            let _held = tell;
            std::future::pending::<()>().await;
        });
        drop(fronts);
        assert!(told.blocking_recv().is_err(), "its tasks have ended");
    }
}
