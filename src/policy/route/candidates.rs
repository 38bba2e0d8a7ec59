//! Every pattern that takes a path, the one that wins first: what [`RouteTable::find`](super::RouteTable::find) chose from, for
//! people who ask why. Slow, because it tries all patterns; no request goes through it.

use super::{Paths, has_port};
use crate::config::{Config, RouteId};
use crate::policy::host::Host;
use crate::uri::pattern::{Kind, Pattern, Rank};
use std::cmp::Ordering;

/// A pattern that takes the path.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its route.
    pub route: RouteId,
    /// The pattern as it was written.
    pub pattern: Box<str>,
    /// Less goes first: a host with a port, a host, none.
    host_rank: u8,
    rank: Rank,
}

/// All patterns that take `path` on `host`, in the order of their precedence.
pub fn candidates(config: &Config, host: &Host<'_>, path: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        let host_rank = match route.host.as_deref() {
            Some(entry) if !host.is_meant_by(entry) => continue,
            Some(entry) if has_port(entry) => 0,
            Some(_) => 1,
            None => 2,
        };
        for raw in &route.patterns {
            let Ok(pattern) = Pattern::parse(raw) else { continue };
            let mut alone = Paths::default();
            let taken = alone.insert(&pattern, RouteId(index)).is_ok() && alone.find(path).is_some();
            if taken {
                let (pattern, rank) = (raw.clone(), pattern.rank().clone());
                found.push(Candidate { route: RouteId(index), pattern, host_rank, rank });
            }
        }
    }
    found.sort_by(Candidate::precedence);
    found
}

impl Candidate {
    fn precedence(&self, other: &Candidate) -> Ordering {
        (self.host_rank, &self.rank).cmp(&(other.host_rank, &other.rank))
    }

    /// Why this one goes before `other`, as the end of a sentence.
    pub fn why_before(&self, other: &Candidate) -> String {
        match (self.host_rank, other.host_rank) {
            (0, 1) => return "a host with a port goes before the host alone".to_owned(),
            (mine, theirs) if mine < theirs => {
                return "a route that names the host goes before one that names none".to_owned();
            }
            _ => {}
        }
        let differing = self.rank.iter().zip(other.rank.iter()).enumerate().find(|(_, (mine, theirs))| mine != theirs);
        let Some((at, (mine, theirs))) = differing else { return "it is the longer one".to_owned() };
        format!("in segment {} {} goes before {}", at + 1, name(*mine), name(*theirs))
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Literal => "a literal",
        Kind::Parameter => "a parameter",
        Kind::CatchAll => "a catch-all",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::route::RouteTable;
    use crate::policy::testing;
    use proptest::prelude::*;

    fn config() -> Config {
        let mut hosted = testing::route("/{*all}");
        (hosted.host, hosted.name) = (Some("b.test".into()), "b.test/{*all}".into());
        let patterns = ["/{*rest}", "/a/{x}", "/a/b", "/{x}/b", "/{x}/{y}/{z}", "/a/{*rest}"];
        testing::config(patterns.into_iter().map(testing::route).chain([hosted]).collect())
    }

    #[test]
    fn the_winner_and_its_reason_are_named() {
        let config = config();
        let found = |host: &str, path: &str| candidates(&config, &Host::parse(host.as_bytes()).unwrap(), path);
        let patterns: Vec<_> = found("a.test", "/a/b").into_iter().map(|candidate| candidate.pattern).collect();
        let patterns: Vec<&str> = patterns.iter().map(AsRef::as_ref).collect();
        assert_eq!(patterns, ["/a/b", "/a/{x}", "/a/{*rest}", "/{x}/b", "/{*rest}"]);
        let of_a = found("a.test", "/a/b");
        assert_eq!(of_a[0].why_before(&of_a[1]), "in segment 2 a literal goes before a parameter");
        assert_eq!(of_a[0].why_before(&of_a[4]), "in segment 1 a literal goes before a catch-all");
        let of_b = found("b.test", "/a/b");
        assert_eq!(&*of_b[0].pattern, "/{*all}");
        assert!(of_b[0].why_before(&of_b[1]).contains("names the host"));
    }

    proptest! {
        /// The first candidate is the route that requests get, whatever is asked for.
        #[test]
        fn the_first_candidate_is_the_route_that_is_found(host in "[ab][.]test", path in "(/(a|b|c)?){1,4}") {
            let config = config();
            let table = RouteTable::new(&config).unwrap();
            let host = Host::parse(host.as_bytes()).unwrap();
            let first = candidates(&config, &host, &path).first().map(|candidate| candidate.route);
            prop_assert_eq!(first, table.find(&host, &path));
        }
    }
}
