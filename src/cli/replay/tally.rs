//! What a replay counts, line by line.

use super::kept::{Got, Kept, MOST};
use super::line::Line;
use super::spread::Spread;
use crate::config::{Config, OriginId, RouteId, Scheme};
use crate::policy::admission::{Admission, BypassReason, Incoming, Wanted, admit};
use crate::policy::explain::parameters_that_count;
use crate::policy::route::RouteTable;
use http::header::HOST;
use http::{HeaderMap, HeaderValue};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// Parameters that are remembered, over all routes.
const MOST_PARAMETERS: usize = 512;
/// Bytes of a parameter's name that is remembered.
const LONGEST_NAME: usize = 64;

/// A replay under way.
pub(super) struct Replay<'a> {
    config: &'a Config,
    routes: &'a RouteTable,
    headers: HeaderMap,
    kept: Kept,
    totals: Totals,
    /// By route and name.
    parameters: HashMap<(usize, String), (Spread, u64)>,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) lines: u64,
    pub(super) malformed: u64,
    /// Requests that would be answered 400.
    pub(super) refused: u64,
    /// By index of the route; the last is for requests without one.
    pub(super) routes: Vec<RouteTotals>,
    pub(super) bypasses: Vec<(BypassReason, u64)>,
    /// Milliseconds since 1970 of the first and the last request.
    pub(super) span: Option<(u64, u64)>,
    pub(super) forgotten: u64,
    pub(super) parameters: Vec<SplittingParameter>,
    pub(super) parameters_are_cut: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct RouteTotals {
    pub(super) hits: u64,
    pub(super) stale: u64,
    pub(super) misses: u64,
    pub(super) bypasses: u64,
    /// Looked up, answered with an error that nothing stores.
    pub(super) unstored: u64,
}

/// A parameter that counts.
#[derive(Clone, Debug)]
pub(super) struct SplittingParameter {
    pub(super) route: RouteId,
    pub(super) name: String,
    pub(super) values: u64,
    pub(super) requests: u64,
}

impl<'a> Replay<'a> {
    pub(super) fn new(config: &'a Config, routes: &'a RouteTable) -> Self {
        let host = config.hosts.as_ref().and_then(|hosts| hosts.first()).map_or("localhost", AsRef::as_ref);
        let host = HeaderValue::from_str(host).unwrap_or(HeaderValue::from_static("localhost"));
        Replay {
            config,
            routes,
            headers: [(HOST, host)].into_iter().collect(),
            kept: Kept::new(MOST),
            totals: Totals {
                routes: vec![RouteTotals::default(); config.routes.len() + 1],
                bypasses: BypassReason::ALL.map(|reason| (reason, 0)).to_vec(),
                ..Totals::default()
            },
            parameters: HashMap::new(),
        }
    }

    /// Takes a line; nothing stands for one that is too long.
    pub(super) fn take(&mut self, line: Option<&[u8]>) {
        self.totals.lines += 1;
        let Some(line) = line.and_then(Line::parse) else {
            self.totals.malformed += 1;
            return;
        };
        let (first, last) = self.totals.span.unwrap_or((line.at, line.at));
        self.totals.span = Some((first.min(line.at), last.max(line.at)));
        let incoming = Incoming {
            method: &line.method,
            target: line.target,
            headers: (&self.headers).into(),
            listener_scheme: Scheme::Http,
            peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        match admit(self.config, self.routes, &incoming) {
            Admission::Malformed(_) | Admission::Misdirected | Admission::Unlisted { .. } | Admission::Own(_) => {
                self.totals.refused += 1;
            }
            Admission::Bypass(bypass) => {
                self.totals.bypasses[bypass.reason as usize].1 += 1;
                let index = bypass.route.map_or(self.config.routes.len(), |route| route.0);
                self.totals.routes[index].bypasses += 1;
            }
            Admission::Lookup(wanted) => self.look_up(&line, &wanted),
        }
    }

    fn look_up(&mut self, line: &Line<'_>, wanted: &Wanted) {
        let route = self.config.route(wanted.route);
        let totals = &mut self.totals.routes[wanted.route.0];
        match self.kept.ask(route, wanted.key.hash64(), line.at, line.status) {
            Got::Hit => totals.hits += 1,
            Got::Stale => totals.stale += 1,
            Got::Miss => {
                totals.misses += 1;
                let failed = line.status >= 400 && !matches!(line.status, 404 | 410);
                totals.unstored += u64::from(failed);
            }
        }
        for (name, normal) in parameters_that_count(self.config, wanted, line.target) {
            if name.len() > LONGEST_NAME {
                continue;
            }
            let place = (wanted.route.0, name);
            if self.parameters.len() >= MOST_PARAMETERS && !self.parameters.contains_key(&place) {
                self.totals.parameters_are_cut = true;
                continue;
            }
            let (spread, requests) = self.parameters.entry(place).or_insert_with(|| (Spread::new(), 0));
            spread.add(normal.as_bytes());
            *requests += 1;
        }
    }

    /// The counts, with the parameters that split the cache the most in front.
    pub(super) fn finish(mut self) -> Totals {
        let parameters = self.parameters.into_iter().map(|((route, name), (spread, requests))| SplittingParameter {
            route: RouteId(route),
            name,
            values: spread.estimate(),
            requests,
        });
        self.totals.parameters = parameters.collect();
        self.totals.parameters.sort_by(|a, b| (b.values, &a.name, a.route).cmp(&(a.values, &b.name, b.route)));
        self.totals.forgotten = self.kept.forgotten;
        self.totals
    }
}

impl Totals {
    /// Requests that were understood.
    pub(super) fn requests(&self) -> u64 {
        self.refused + self.routes.iter().map(RouteTotals::requests).sum::<u64>()
    }

    /// Renders of one origin.
    pub(super) fn renders(&self, config: &Config, origin: OriginId) -> u64 {
        let routes = config.routes.iter().zip(&self.routes).filter(|(route, _)| route.origin == origin);
        routes.map(|(_, totals)| totals.renders()).sum()
    }
}

impl RouteTotals {
    pub(super) fn requests(&self) -> u64 {
        self.hits + self.stale + self.misses + self.bypasses
    }

    /// Every miss and every stale hit is one, at most: what a crowd shares is one, too.
    pub(super) fn renders(&self) -> u64 {
        self.stale + self.misses
    }
}
