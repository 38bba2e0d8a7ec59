//! What the parameters of a route stand for in a path, and the tags and invalidations that are made
//! with them.

use super::target::normal_path;
use crate::config::{Invalidated, PurgeMode, Route, Template};
use crate::policy::percent::Encoding;

/// What the parameters of the most specific pattern of a route that takes a path stand for in it, as
/// they stand there: in its normal form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parameters<'a> {
    /// Reads them from a path in its normal form; none where no pattern takes it.
    pub fn of(route: &'a Route, path: &'a str) -> Parameters<'a> {
        let taken = route.patterns.iter().filter_map(|pattern| taken(pattern, path));
        let best = taken.min_by(|one, other| one.rank.cmp(&other.rank));
        best.map(|taken| Parameters(taken.parameters)).unwrap_or_default()
    }

    /// A template filled in with them.
    pub fn fill(&self, template: &Template) -> Option<String> {
        template.fill(|name| self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }
}

/// How a pattern takes a path.
#[derive(Default)]
struct Taken<'a> {
    /// How specific it is, segment by segment; less is more specific.
    rank: Vec<u8>,
    parameters: Vec<(&'a str, &'a str)>,
}

/// `None` where the pattern does not take the path.
fn taken<'a>(pattern: &'a str, path: &'a str) -> Option<Taken<'a>> {
    let mut taken = Taken::default();
    let mut rest = path.strip_prefix('/');
    for segment in pattern.strip_prefix('/')?.split('/') {
        let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        if let Some(name) = name.and_then(|name| name.strip_prefix('*')) {
            taken.rank.push(2);
            taken.parameters.push((name, rest.unwrap_or_default()));
            return Some(taken);
        }
        let (own, behind) = rest?.split_once('/').map_or((rest?, None), |(own, behind)| (own, Some(behind)));
        match name {
            Some(name) if !own.is_empty() => {
                taken.rank.push(1);
                taken.parameters.push((name, own));
            }
            None if is_literal(segment, own) => taken.rank.push(0),
            Some(_) | None => return None,
        }
        rest = behind;
    }
    rest.is_none().then_some(taken)
}

fn is_literal(segment: &str, own: &str) -> bool {
    segment == own || normal_path(format!("/{segment}").as_bytes()).0.strip_prefix('/') == Some(own)
}

/// The tags that every page of this path has on its route.
pub fn tags(route: &Route, path: &str) -> Vec<String> {
    if route.tags.is_empty() {
        return Vec::new();
    }
    let parameters = Parameters::of(route, path);
    route.tags.iter().filter_map(|template| parameters.fill(template)).collect()
}

/// What a successful unsafe request through a route purges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A path of a host, in its normal form.
    Path {
        /// The host; that of the request where there is none.
        host: Option<Box<str>>,
        /// The path.
        path: String,
        /// What becomes of its pages.
        mode: PurgeMode,
    },
    /// Everything with this tag.
    Tag {
        /// The tag.
        tag: String,
        /// What becomes of its pages.
        mode: PurgeMode,
    },
}

/// What a successful unsafe request for this path purges besides its own URI.
pub fn changed(route: &Route, path: &str) -> Vec<Changed> {
    if route.invalidate.is_empty() {
        return Vec::new();
    }
    let parameters = Parameters::of(route, path);
    let one = |what: &Invalidated, mode| match what {
        Invalidated::Tag(template) => Some(Changed::Tag { tag: parameters.fill(template)?, mode }),
        Invalidated::Path { path, host } => {
            let filled = parameters.fill(path)?;
            let (path, encoding) = normal_path(filled.as_bytes());
            (encoding == Encoding::Valid).then(|| Changed::Path { host: host.clone(), path: path.into_owned(), mode })
        }
    };
    route.invalidate.iter().filter_map(|invalidation| one(&invalidation.what, invalidation.mode)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Invalidation;
    use crate::policy::testing;

    fn filled(patterns: &[&str], path: &str, template: &str) -> Option<String> {
        let mut route = testing::route("/");
        route.patterns = patterns.iter().map(|pattern| (*pattern).into()).collect();
        Parameters::of(&route, path).fill(&Template::parse(template).unwrap())
    }

    #[test]
    fn parameters_stand_for_what_the_path_has_in_their_place() {
        for (pattern, path, value) in [
            ("/p/{id}", "/p/7", "7"),
            ("/p/{id}/edit", "/p/a%2Fb/edit", "a%2Fb"),
            ("/{a}/{id}", "/x/7", "7"),
            ("/p/{*id}", "/p/a/b", "a/b"),
            ("/p/{*id}", "/p/", ""),
            ("/p/{*id}", "/p", ""),
            ("/{*id}", "/", ""),
            ("/caf%C3%A9/{id}", "/caf%C3%A9/1", "1"),
        ] {
            assert_eq!(filled(&[pattern], path, "{id}").as_deref(), Some(value), "{pattern} {path}");
        }
        for (pattern, path) in [("/p/{id}", "/p/"), ("/p/{id}", "/p/7/"), ("/p/{id}", "/q/7"), ("/p/{id}", "/p")] {
            assert_eq!(filled(&[pattern], path, "{id}"), None, "{pattern} {path}");
        }
    }

    #[test]
    fn of_several_patterns_the_most_specific_counts() {
        let patterns = ["/{*id}", "/{kind}/{id}", "/p/{id}"];
        assert_eq!(filled(&patterns, "/p/7", "{id}").as_deref(), Some("7"));
        assert_eq!(filled(&patterns, "/p/7/8", "{id}").as_deref(), Some("p/7/8"));
    }

    #[test]
    fn a_write_changes_paths_in_their_normal_form() {
        let mut route = testing::route("/api/p/{id}");
        let path = |text: &str| Invalidated::Path { path: Template::parse(text).unwrap(), host: None };
        let mode = PurgeMode::Delete;
        route.invalidate = vec![
            Invalidation { what: path("/p/{id}"), mode },
            Invalidation { what: path("/%70/../caf\u{e9}"), mode },
            Invalidation { what: Invalidated::Tag(Template::parse("p-{id}").unwrap()), mode: PurgeMode::Stale },
        ];
        let path = |path: &str| Changed::Path { host: None, path: path.to_owned(), mode };
        let tag = Changed::Tag { tag: "p-%2F".to_owned(), mode: PurgeMode::Stale };
        assert_eq!(changed(&route, "/api/p/%2F"), [path("/p/%2F"), path("/caf%C3%A9"), tag]);
        assert_eq!(changed(&route, "/elsewhere"), [path("/caf%C3%A9")]);
    }
}
