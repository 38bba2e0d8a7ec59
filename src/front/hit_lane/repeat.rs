//! A request that comes again on its connection, octet for octet: what a balancer asks to see whether a server lives,
//! what polls, what a proxy in front sends for all of its clients. It is not read and admitted once more, which is
//! half of a hit's own work; everything that may have changed since is asked again.
//!
//! Admission depends on the request, on who sent it over which listener, and on the configuration in force. The first
//! two are a connection's; the third has a number. What depends on more is not remembered.

use super::answer::Asked;
use super::request::Plain;
use crate::config::{Limits, OriginId, RouteId};
use crate::policy::RequestFields;
use crate::policy::key::{KeyBuffer, KeyRef, KeyShape};
use crate::policy::request_fields::{Known, Lines};
use crate::render::Setup;
use http::Method;
use httparse::Header;

/// Octets of a head that is remembered.
const MOST: usize = 2 << 10;

/// Names of fields that tell nothing of an answer but by admission, and beginnings of such names.
const HARMLESS: [&str; 20] = [
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "cache-control",
    "pragma",
    "referer",
    "dnt",
    "priority",
    "from",
    "via",
    "forwarded",
    "upgrade-insecure-requests",
    "x-real-ip",
    "traceparent",
    "tracestate",
    "save-data",
    "purpose",
];
const HARMLESS_BEGINNINGS: [&str; 2] = ["sec-", "x-forwarded-"];

static ACCEPT_ENCODING: Known = Known::new("accept-encoding");

/// What admission made of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    pub(super) route: RouteId,
    pub(super) origin: OriginId,
    pub(super) key: KeyShape,
    /// Whether it has tracking parameters.
    pub(super) has_tracking: bool,
}

/// The last request of a connection.
#[derive(Default)]
pub(super) struct Repeat {
    head: Vec<u8>,
    /// The value of its `Accept-Encoding`.
    accept: Vec<u8>,
    state: State,
    /// Octets of the last head: one that comes again has as many, so others need not be copied.
    len: usize,
}

#[derive(Default)]
enum State {
    /// It was not looked at.
    #[default]
    Unseen,
    /// It was copied.
    Seen,
    /// It has come twice, and more than its admission counts.
    Unfit,
    /// It has come twice, and is remembered.
    Learnt(Learnt),
}

/// What is remembered of a request.
#[derive(Clone, Copy)]
struct Learnt {
    /// Of the configuration that it was admitted by.
    generation: u64,
    /// `max_head` and `max_headers`, which follow a moment later.
    limits: (usize, usize),
    method: &'static Method,
    admitted: Admitted,
    has_accept: bool,
}

impl Repeat {
    /// Takes note of a request that was answered from the store. Remembers it if it comes for the second time and
    /// nothing but its admission counts. `key` has its key until the next request is admitted.
    pub(super) fn learn(
        &mut self,
        setup: &Setup,
        limits: &Limits,
        request: &Plain<'_>,
        head: &[u8],
        admitted: Admitted,
    ) {
        let before = std::mem::replace(&mut self.len, head.len());
        if head.len() != before || head.len() > MOST {
            self.state = State::Unseen;
        } else if matches!(self.state, State::Unseen) || self.head != head {
            self.head.clear();
            self.head.extend_from_slice(head);
            self.state = State::Seen;
        } else if !matches!(self.state, State::Unfit) {
            self.state = self.learnt(setup, limits, request, admitted).map_or(State::Unfit, State::Learnt);
        }
    }

    #[cold]
    fn learnt(&mut self, setup: &Setup, limits: &Limits, request: &Plain<'_>, admitted: Admitted) -> Option<Learnt> {
        if !request.keeps_alive || !is_all(setup, request, admitted) {
            return None;
        }
        let accept = request.fields.first(&ACCEPT_ENCODING);
        self.accept.clear();
        self.accept.extend_from_slice(accept.unwrap_or_default());
        let (generation, has_accept) = (setup.generation, accept.is_some());
        Some(Learnt { generation, limits: of_heads(limits), method: request.method, admitted, has_accept })
    }

    /// Another request is admitted: its key takes the place of that of the one that is remembered.
    pub(super) fn forget(&mut self) {
        if let State::Learnt(_) = self.state {
            self.state = State::Seen;
        }
    }

    /// Another connection begins.
    pub(super) fn forget_all(&mut self) {
        (self.state, self.len) = (State::Unseen, 0);
    }

    /// Octets of the head that `bytes` begin with, if it is the one that is remembered.
    pub(super) fn comes_again(&self, bytes: &[u8]) -> Option<usize> {
        (matches!(self.state, State::Learnt(_)) && bytes.starts_with(&self.head)).then_some(self.head.len())
    }

    /// What counts of its fields.
    pub(super) fn fields(&self) -> [Header<'_>; 1] {
        [Header { name: "accept-encoding", value: &self.accept }]
    }

    /// What is asked for, if it would be admitted in the same way.
    pub(super) fn asked<'a>(
        &self,
        setup: &Setup,
        limits: &Limits,
        fields: &'a [Header<'a>; 1],
        key: &'a KeyBuffer,
    ) -> Option<Asked<'a>> {
        let State::Learnt(learnt) = &self.state else { return None };
        if learnt.generation != setup.generation || learnt.limits != of_heads(limits) {
            return None;
        }
        let lines = if learnt.has_accept { &fields[..] } else { &[] };
        let Admitted { route, origin, key: shape, has_tracking } = learnt.admitted;
        let key: KeyRef<'a> = key.last(shape);
        let fields = RequestFields::Lines(Lines::new(lines));
        Some(Asked { route, origin, key, has_tracking, method: learnt.method, fields })
    }
}

/// What bounds a head.
fn of_heads(limits: &Limits) -> (usize, usize) {
    (limits.max_head, limits.max_headers)
}

/// Whether admission is all that a request's fields count for, `Accept-Encoding` aside, and depends on nothing that
/// changes while a configuration is in force.
fn is_all(setup: &Setup, request: &Plain<'_>, admitted: Admitted) -> bool {
    let route = setup.route(admitted.route);
    let starts = |name: &str, start: &str| {
        name.get(..start.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
    };
    let is_harmless = |name: &str| {
        HARMLESS.iter().any(|harmless| name.eq_ignore_ascii_case(harmless))
            || HARMLESS_BEGINNINGS.iter().any(|start| starts(name, start))
    };
    route.cache.is_anonymous()
        && !route.honour_request_cache_control
        // Lists of paths are read again.
        && setup.routes.lists().is_empty()
        && request.fields.all(&ACCEPT_ENCODING).count() <= 1
        && request.fields.names().all(is_harmless)
}
