//! Who holds permits and who waits, as plain data: every rule about order and limits is here, and
//! nothing that is asynchronous.

use super::{Class, Kind, Permit, Rejected};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::sync::oneshot::Sender;

/// How a waiter learns what became of it.
pub(super) type Answer = Sender<Result<Permit, Rejected>>;

/// A place in one of the queues. Its order is the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    popularity: Reverse<u32>,
    number: u64,
    kind: Kind,
}

/// A waiter that has been given a permit, not yet told.
pub(super) struct Granted {
    pub(super) kind: Kind,
    pub(super) sender: Answer,
}

pub(super) struct State {
    max_renders: usize,
    max_waiting: usize,
    queue_timeout: Duration,
    misses_in_flight: usize,
    refreshes_in_flight: usize,
    /// In the order of arrival.
    misses: BTreeMap<Ticket, Answer>,
    /// The most popular first, in the order of arrival among equals.
    refreshes: BTreeMap<Ticket, Answer>,
    next_number: u64,
    /// Who was last given a permit; with one permit the other comes next.
    last: Kind,
}

impl State {
    pub(super) fn new(max_renders: NonZeroUsize, max_waiting: usize, queue_timeout: Duration) -> Self {
        State {
            max_renders: max_renders.get(),
            max_waiting,
            queue_timeout,
            misses_in_flight: 0,
            refreshes_in_flight: 0,
            misses: BTreeMap::new(),
            refreshes: BTreeMap::new(),
            next_number: 0,
            last: Kind::Refresh,
        }
    }

    pub(super) fn set_limits(&mut self, max_renders: NonZeroUsize, max_waiting: usize, queue_timeout: Duration) {
        self.max_renders = max_renders.get();
        self.max_waiting = max_waiting;
        self.queue_timeout = queue_timeout;
    }

    pub(super) fn queue_timeout(&self) -> Duration {
        self.queue_timeout
    }

    pub(super) fn in_flight(&self) -> usize {
        self.misses_in_flight + self.refreshes_in_flight
    }

    pub(super) fn waiting(&self) -> usize {
        self.misses.len() + self.refreshes.len()
    }

    /// Counts a newcomer in if there is a permit for it. Whoever waits cannot use that permit, or
    /// would have it already, so nobody is overtaken.
    pub(super) fn start(&mut self, kind: Kind) -> bool {
        let may = self.may_start(kind);
        if may {
            self.count_in(kind);
        }
        may
    }

    /// Puts a newcomer into its queue. A refresh that is more popular than the least popular one
    /// takes its place when there is no other.
    pub(super) fn enqueue(&mut self, class: Class, sender: Answer) -> Result<Ticket, Rejected> {
        let popularity = match class {
            Class::Miss => 0,
            Class::Refresh { popularity } => popularity,
        };
        let ticket = Ticket { popularity: Reverse(popularity), number: self.next_number, kind: class.kind() };
        self.next_number += 1;
        let max_waiting = self.max_waiting;
        let queue = self.queue(class.kind());
        if queue.len() >= max_waiting {
            let last = queue.last_entry().filter(|last| ticket < *last.key()).ok_or(Rejected::Full)?;
            // The displaced one may have stopped waiting: nobody to tell then.
            drop(last.remove().send(Err(Rejected::Full)));
        }
        queue.insert(ticket, sender);
        Ok(ticket)
    }

    /// Takes a waiter out that waits no more; nothing to do for one that got its answer.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.queue(ticket.kind).remove(&ticket);
    }

    /// Counts a render out.
    pub(super) fn end(&mut self, kind: Kind) {
        let held = match kind {
            Kind::Miss => &mut self.misses_in_flight,
            Kind::Refresh => &mut self.refreshes_in_flight,
        };
        *held = held.checked_sub(1).expect("every permit that ends was counted in");
    }

    /// Takes out and counts in every waiter for whom there is a permit now.
    pub(super) fn grants(&mut self) -> Vec<Granted> {
        let mut grants = Vec::new();
        while let Some(kind) = self.next_kind() {
            let (_, sender) = self.queue(kind).pop_first().expect("only a queue with waiters is next");
            self.count_in(kind);
            grants.push(Granted { kind, sender });
        }
        grants
    }

    /// The invariant of the room, for its tests.
    #[cfg(test)]
    pub(super) fn nobody_waits_in_vain(&self) -> bool {
        self.next_kind().is_none()
    }

    fn next_kind(&self) -> Option<Kind> {
        let can = |kind, waiting: &BTreeMap<Ticket, Answer>| !waiting.is_empty() && self.may_start(kind);
        let miss = can(Kind::Miss, &self.misses);
        let refresh = can(Kind::Refresh, &self.refreshes);
        match (miss, refresh) {
            (true, true) if self.max_renders == 1 && self.last == Kind::Miss => Some(Kind::Refresh),
            (true, _) => Some(Kind::Miss),
            (false, true) => Some(Kind::Refresh),
            (false, false) => None,
        }
    }

    fn may_start(&self, kind: Kind) -> bool {
        let free = self.in_flight() < self.max_renders;
        match kind {
            Kind::Miss => free && self.misses_in_flight < self.max_misses(),
            Kind::Refresh => free,
        }
    }

    /// Permits that misses may hold: all but a quarter, or the only one.
    fn max_misses(&self) -> usize {
        let kept = (self.max_renders / 4).max(1);
        (self.max_renders - kept).max(1)
    }

    fn count_in(&mut self, kind: Kind) {
        self.last = kind;
        match kind {
            Kind::Miss => self.misses_in_flight += 1,
            Kind::Refresh => self.refreshes_in_flight += 1,
        }
    }

    fn queue(&mut self, kind: Kind) -> &mut BTreeMap<Ticket, Answer> {
        match kind {
            Kind::Miss => &mut self.misses,
            Kind::Refresh => &mut self.refreshes,
        }
    }
}
