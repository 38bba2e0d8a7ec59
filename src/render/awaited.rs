//! Renders that visitors wait for behind a fallback page: which of them still run, how many long polls are open,
//! and which pages have been shown and not given way yet. It must not keep a render alive, nor start one.

use super::flight::Flight;
use crate::config::LongPolls;
use crate::policy::fallback::token::Seal;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// Pages shown that are remembered, so that each is counted once when it gives way; the oldest are forgotten.
const SHOWN: usize = 65_536;

/// Renders between two looks for those that have ended.
const FEW: usize = 256;

/// What there is to know about waiting behind fallback pages.
pub(crate) struct Awaited {
    /// Seals the tokens that they wait by.
    pub(crate) seal: Seal,
    flights: Mutex<HashMap<u64, Weak<Flight>, foldhash::quality::RandomState>>,
    polls: Mutex<Polls>,
    shown: Mutex<Shown>,
    closing: watch::Sender<bool>,
}

#[derive(Default)]
struct Polls {
    total: usize,
    by_token: HashMap<u64, usize, foldhash::quality::RandomState>,
    by_client: HashMap<IpAddr, usize, foldhash::quality::RandomState>,
}

#[derive(Default)]
struct Shown {
    order: VecDeque<u64>,
    open: HashSet<u64, foldhash::quality::RandomState>,
}

/// Which bound a long poll ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Token,
    Client,
    Total,
}

/// An open long poll, counted while it lives.
pub(crate) struct OpenPoll<'a> {
    awaited: &'a Awaited,
    nonce: u64,
    client: IpAddr,
}

impl Awaited {
    /// Seals with a secret, so that whoever has the same one knows the tokens; without one nobody else does.
    pub(crate) fn new(secret: Option<&str>) -> Self {
        let seal = match secret.filter(|secret| !secret.is_empty()) {
            Some(secret) => Seal::new(secret.as_bytes()),
            None => Seal::new(&rand::random::<[u8; 32]>()),
        };
        Awaited {
            seal,
            flights: Mutex::default(),
            polls: Mutex::default(),
            shown: Mutex::default(),
            closing: watch::Sender::new(false),
        }
    }

    /// A page is shown for this render.
    pub(crate) fn show(&self, flight: &Arc<Flight>, nonce: u64) {
        let mut flights = self.flights.lock();
        if flights.len() >= FEW && flights.len() == flights.capacity() {
            flights.retain(|_, flight| flight.strong_count() > 0);
        }
        flights.insert(flight.id(), Arc::downgrade(flight));
        drop(flights);
        self.shown.lock().add(nonce);
    }

    /// The render with this number, if it has nothing to tell yet. One that has may be about to leave, and whoever
    /// waited for it must not be made to wait for another.
    pub(crate) fn running(&self, id: u64) -> Option<Arc<Flight>> {
        let flight = self.flights.lock().get(&id)?.upgrade()?;
        (!flight.is_answered()).then_some(flight)
    }

    /// The page that was shown with this number has given way. Says so once.
    pub(crate) fn gave_way(&self, nonce: u64) -> bool {
        self.shown.lock().open.remove(&nonce)
    }

    /// Opens a long poll.
    pub(crate) fn open(&self, limits: &LongPolls, nonce: u64, client: IpAddr) -> Result<OpenPoll<'_>, Full> {
        let client = network(client);
        let mut polls = self.polls.lock();
        if polls.total >= limits.total.get() {
            return Err(Full::Total);
        }
        if polls.by_client.get(&client).is_some_and(|open| *open >= limits.per_client.get()) {
            return Err(Full::Client);
        }
        if polls.by_token.get(&nonce).is_some_and(|open| *open >= limits.per_token.get()) {
            return Err(Full::Token);
        }
        polls.total += 1;
        *polls.by_client.entry(client).or_default() += 1;
        *polls.by_token.entry(nonce).or_default() += 1;
        Ok(OpenPoll { awaited: self, nonce, client })
    }

    /// Ends all long polls: the process stops.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until [`Self::close`].
    pub(crate) async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives as long as this does.
        let _ = closing.wait_for(|closing| *closing).await;
    }
}

impl Drop for OpenPoll<'_> {
    fn drop(&mut self) {
        let mut polls = self.awaited.polls.lock();
        polls.total -= 1;
        let Polls { by_token, by_client, .. } = &mut *polls;
        one_less(by_client, self.client);
        one_less(by_token, self.nonce);
    }
}

fn one_less<K: Hash + Eq>(counts: &mut HashMap<K, usize, foldhash::quality::RandomState>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Shown {
    fn add(&mut self, nonce: u64) {
        if self.order.len() >= SHOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.open.remove(&oldest);
        }
        self.order.push_back(nonce);
        self.open.insert(nonce);
    }
}

/// Who counts as one client: an IPv6 client has a whole /64 to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scheme;
    use crate::policy::key::KeyUri;
    use crate::policy::{Key, PurgeSeq};
    use std::num::NonZeroUsize;

    fn limits(per_token: usize, per_client: usize, total: usize) -> LongPolls {
        let at_least_one = |number| NonZeroUsize::new(number).expect("more than none");
        LongPolls {
            per_token: at_least_one(per_token),
            per_client: at_least_one(per_client),
            total: at_least_one(total),
        }
    }

    fn client(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_bound_holds_and_a_poll_that_ends_makes_room() {
        let awaited = Awaited::new(None);
        let limits = limits(1, 2, 3);
        let one = awaited.open(&limits, 1, client("192.0.2.1")).expect("room");
        assert_eq!(awaited.open(&limits, 1, client("192.0.2.2")).err(), Some(Full::Token));
        let _two = awaited.open(&limits, 2, client("192.0.2.1")).expect("room");
        assert_eq!(awaited.open(&limits, 3, client("::ffff:192.0.2.1")).err(), Some(Full::Client));
        let _three = awaited.open(&limits, 3, client("192.0.2.2")).expect("room");
        assert_eq!(awaited.open(&limits, 4, client("192.0.2.3")).err(), Some(Full::Total));
        drop(one);
        assert_eq!(awaited.polls.lock().total, 2);
        assert!(awaited.open(&limits, 1, client("192.0.2.3")).is_ok());
        assert_eq!(awaited.polls.lock().by_token.len(), 2, "what is not open takes no room");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        assert_eq!(network(client("2001:db8::1")), network(client("2001:db8::ffff:1:2:3")));
        assert_ne!(network(client("2001:db8:0:1::1")), network(client("2001:db8:0:2::1")));
    }

    #[test]
    fn a_render_that_has_something_to_tell_or_is_nobodys_any_more_does_not_run() {
        let awaited = Awaited::new(None);
        let key = Key::of(KeyUri { scheme: Scheme::Http, host: "a.test", path: "/", query: None });
        let (one, other) = (Flight::new(key.clone(), PurgeSeq(0)), Flight::new(key, PurgeSeq(0)));
        awaited.show(&one, 1);
        awaited.show(&other, 2);
        let (first, second) = (one.id(), other.id());
        assert!(awaited.running(first).is_some() && awaited.running(second).is_some() && awaited.running(0).is_none());
        one.break_off();
        drop(other);
        assert!(awaited.running(first).is_none() && awaited.running(second).is_none());
    }

    #[test]
    fn a_page_gives_way_once() {
        let awaited = Awaited::new(None);
        awaited.shown.lock().add(1);
        assert!(awaited.gave_way(1) && !awaited.gave_way(1) && !awaited.gave_way(2));
        for nonce in 0..100_000 {
            awaited.shown.lock().add(nonce);
        }
        assert!(!awaited.gave_way(2) && awaited.gave_way(99_999));
        assert!(awaited.shown.lock().order.len() <= SHOWN);
    }
}
