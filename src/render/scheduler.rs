//! Which render may ask the origin next (DESIGN §2.4). At most `max_renders` at once; misses, for
//! which clients wait, before refreshes; popular refreshes before others; and a quarter of the
//! permits, at least one, that misses can never hold, so that a sweep of cold pages does not stop
//! refreshes. With `max_renders: 1` there is no quarter to keep, and the two take turns.
//!
//! The invariant everything rests on: between two calls nobody waits for a permit that could be
//! given to them. It must not know what a render is, and nothing here waits without a bound: both
//! queues are bounded in length and every wait in time.

mod queue;

use parking_lot::Mutex;
use queue::{Granted, State};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::oneshot;

/// Why a render is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// There is no page and clients wait.
    Miss,
    /// A stale page is being served meanwhile.
    Refresh {
        /// How often the page is asked for; higher goes first.
        popularity: u32,
    },
}

/// Why a render may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// As many renders wait as may.
    #[error("as many renders are waiting for the origin as `max_waiting` allows")]
    Full,
    /// It waited as long as it may.
    #[error("the render has waited for the origin as long as `queue_timeout` allows")]
    TimedOut,
}

/// Hands out the permits to ask one origin. Cheap to clone; clones share the permits.
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
}

/// The right to have one render under way; gives it back when dropped.
#[must_use = "the permit is given back when it is dropped"]
pub struct Permit {
    shared: Arc<Shared>,
    kind: Kind,
}

/// A class without its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Miss,
    Refresh,
}

/// Takes a waiter out of its queue when nobody waits any more, however that came about.
struct Place<'a> {
    shared: &'a Shared,
    ticket: queue::Ticket,
}

impl Scheduler {
    /// At most `max_renders` permits at once; at most `max_waiting` of each class wait, each for at
    /// most `queue_timeout`.
    pub fn new(max_renders: NonZeroUsize, max_waiting: usize, queue_timeout: Duration) -> Self {
        let state = Mutex::new(State::new(max_renders, max_waiting, queue_timeout));
        Scheduler { shared: Arc::new(Shared { state }) }
    }

    /// Waits for a permit. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// [`Rejected::Full`] when `max_waiting` of the class wait already (a refresh then takes the place
    /// of the least popular one, if that is less popular); [`Rejected::TimedOut`] after `queue_timeout`.
    pub async fn acquire(&self, class: Class) -> Result<Permit, Rejected> {
        let (place, granted, timeout) = {
            let mut state = self.shared.state.lock();
            if state.start(class.kind()) {
                return Ok(Permit { shared: self.shared.clone(), kind: class.kind() });
            }
            let (sender, granted) = oneshot::channel();
            let ticket = state.enqueue(class, sender)?;
            (Place { shared: &self.shared, ticket }, granted, state.queue_timeout())
        };
        // A permit that is sent while this future is being dropped, or after the timeout, is dropped
        // with the channel and so given back.
        let answer = tokio::time::timeout(timeout, granted).await;
        drop(place);
        match answer {
            Ok(Ok(granted)) => granted,
            Ok(Err(_)) | Err(_) => Err(Rejected::TimedOut),
        }
    }

    /// Changes the limits. A lower `max_renders` takes effect as renders end; those who wait already
    /// keep their place and their timeout.
    pub fn set_limits(&self, max_renders: NonZeroUsize, max_waiting: usize, queue_timeout: Duration) {
        let grants = {
            let mut state = self.shared.state.lock();
            state.set_limits(max_renders, max_waiting, queue_timeout);
            state.grants()
        };
        self.shared.hand_out(grants);
    }

    /// Permits that are held.
    pub fn in_flight(&self) -> usize {
        self.shared.state.lock().in_flight()
    }

    /// Renders that wait for a permit.
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().waiting()
    }
}

impl Shared {
    fn release(self: &Arc<Self>, kind: Kind) {
        let grants = {
            let mut state = self.state.lock();
            state.end(kind);
            state.grants()
        };
        self.hand_out(grants);
    }

    /// Sends the permits, without the lock: one that nobody takes any more comes back through
    /// [`Permit::drop`].
    fn hand_out(self: &Arc<Self>, grants: Vec<Granted>) {
        for Granted { kind, sender } in grants {
            drop(sender.send(Ok(Permit { shared: self.clone(), kind })));
        }
    }
}

impl Class {
    const fn kind(self) -> Kind {
        match self {
            Class::Miss => Kind::Miss,
            Class::Refresh { .. } => Kind::Refresh,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.release(self.kind);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.state.lock().leave(self.ticket);
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Permit").field(&self.kind).finish()
    }
}

#[cfg(test)]
mod tests;
