//! Which route takes a path: the most specific one, compared segment by segment (a literal before a
//! parameter before a catch-all), whatever the order in the file. A route that names a host goes
//! before those that name none.
//!
//! `matchit` gives exactly this order among literals and parameters, but refuses a parameter and a
//! catch-all in one place. So catch-alls of one depth share a router of their own, in which nothing
//! can collide, and the best of the routers' answers wins.

mod candidates;
mod lists;

pub use candidates::{Candidate, candidates};
pub use lists::Lists;

use super::host::Host;
use crate::config::{Config, RouteId};
use crate::uri::pattern::{self, Pattern};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// Finds the route of a host and a path. Made once per configuration.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    /// Per host that a route names; names with a port before names without.
    hosts: Vec<(Box<str>, Paths)>,
    /// Of the routes that name no host.
    any: Paths,
    /// Which paths exist.
    lists: Lists,
}

/// Why routes make no table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// A pattern that cannot be matched.
    #[error("route `{route}`: `{pattern}` {why}")]
    BadPattern {
        /// The route's name.
        route: Arc<str>,
        /// The pattern as it was written.
        pattern: Box<str>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two routes, or one twice, take exactly the same paths of the same host.
    #[error("routes `{first}` and `{second}` both take `{pattern}`")]
    Duplicate {
        /// The route that came first.
        first: Arc<str>,
        /// The route that came second.
        second: Arc<str>,
        /// The pattern of the second as it was written.
        pattern: Box<str>,
    },
}

impl RouteTable {
    /// Makes the table.
    ///
    /// # Errors
    /// The first pattern that cannot be matched or that another route has already.
    pub fn new(config: &Config) -> Result<RouteTable, RouteError> {
        let mut table = RouteTable { lists: Lists::new(config), ..RouteTable::default() };
        for (index, route) in config.routes.iter().enumerate() {
            let paths = table.paths_of(route.host.as_deref());
            for raw in &route.patterns {
                let pattern = Pattern::parse(raw).map_err(|why| RouteError::BadPattern {
                    route: route.name.clone(),
                    pattern: raw.clone(),
                    why,
                })?;
                paths.insert(&pattern, RouteId(index)).map_err(|first| RouteError::Duplicate {
                    first: config.route(first).name.clone(),
                    second: route.name.clone(),
                    pattern: raw.clone(),
                })?;
            }
        }
        table.hosts.sort_by_key(|(host, _)| !has_port(host));
        Ok(table)
    }

    /// The route that takes `path`, which is in its normal form (DESIGN §2.1).
    pub fn find(&self, host: &Host<'_>, path: &str) -> Option<RouteId> {
        let named = self.hosts.iter().filter(|(entry, _)| host.is_meant_by(entry)).map(|(_, paths)| paths);
        named.chain([&self.any]).find_map(|paths| paths.find(path))
    }

    /// Which paths of the routes exist.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Takes over the lists that were read for an earlier configuration.
    pub fn inherit(&mut self, config: &Config, earlier: &RouteTable, of: &Config) {
        self.lists.inherit(config, &earlier.lists, of);
    }

    fn paths_of(&mut self, host: Option<&str>) -> &mut Paths {
        let Some(host) = host else { return &mut self.any };
        let at = self.hosts.iter().position(|(entry, _)| &**entry == host).unwrap_or_else(|| {
            self.hosts.push((host.into(), Paths::default()));
            self.hosts.len() - 1
        });
        &mut self.hosts[at].1
    }
}

fn has_port(host: &str) -> bool {
    host.rsplit(']').next().is_some_and(|behind_literal| behind_literal.contains(':'))
}

/// The patterns of one host.
#[derive(Clone, Debug, Default)]
struct Paths {
    /// Those without a catch-all.
    exact: matchit::Router<Entry>,
    /// Those with one, by the number of segments in front of it.
    catch_alls: BTreeMap<usize, matchit::Router<Entry>>,
    /// What was inserted, to name the first of two duplicates.
    inserted: BTreeMap<Box<str>, RouteId>,
}

#[derive(Clone, Debug)]
struct Entry {
    route: RouteId,
    /// Less is more specific.
    rank: pattern::Rank,
}

impl Paths {
    /// Adds a pattern; where another route has the same shape, that route.
    fn insert(&mut self, pattern: &Pattern, route: RouteId) -> Result<(), RouteId> {
        if let Some(first) = self.inserted.insert(pattern.shape().into(), route) {
            return Err(first);
        }
        let router = match pattern.catch_all_depth() {
            None => &mut self.exact,
            Some(depth) => self.catch_alls.entry(depth).or_default(),
        };
        for spelling in pattern.spellings() {
            let entry = Entry { route, rank: pattern.rank().clone() };
            router.insert(spelling, entry).expect("shapes differ and one router has catch-alls of one depth only");
        }
        Ok(())
    }

    fn find(&self, path: &str) -> Option<RouteId> {
        let routers = self.catch_alls.values().chain([&self.exact]);
        let matches = routers.filter_map(|router| router.at(path).ok().map(|found| found.value));
        matches.min_by(|a, b| a.rank.cmp(&b.rank)).map(|entry| entry.route)
    }
}

#[cfg(test)]
mod tests;
