//! The order of routes, against a matcher that tries every pattern.

use super::*;
use crate::policy::testing;
use proptest::prelude::*;

fn table(patterns: &[&str]) -> Result<RouteTable, RouteError> {
    let routes = patterns.iter().map(|pattern| testing::route(pattern)).collect();
    RouteTable::new(&testing::config(routes))
}

fn host(name: &str) -> Host<'_> {
    Host::parse(name.as_bytes()).unwrap()
}

#[test]
fn the_most_specific_route_wins_segment_by_segment() {
    let table = table(&[
        "/{*rest}",
        "/docs/{*path}",
        "/products/{id}",
        "/products/new",
        "/{x}/new",
        "/products/{id}/{*more}",
        "/p/{*r}",
        "/p/{i}",
    ])
    .unwrap();
    for (path, route) in [
        ("/", 0),
        ("/x", 0),
        ("/x/new", 4),
        ("/docs", 1),
        ("/docs/", 1),
        ("/docs/new", 1),
        ("/docs/a/b", 1),
        ("/docsx", 0),
        ("/products/new", 3),
        ("/products/7", 2),
        ("/products/7/", 5),
        ("/products/7/a/b", 5),
        ("/products/", 0),
        ("/products//a", 0),
        ("/p/1", 7),
        ("/p/1/2", 6),
        ("/p", 6),
    ] {
        assert_eq!(table.find(&host("a.com"), path), Some(RouteId(route)), "{path}");
    }
}

#[test]
fn a_route_that_names_the_host_goes_before_one_that_does_not() {
    let mut routes =
        vec![testing::route("/a"), testing::route("/{*rest}"), testing::route("/{*rest}"), testing::route("/{*rest}")];
    routes[1].host = Some("a.com".into());
    routes[2].host = Some("a.com:8080".into());
    routes[3].host = Some("[::1]".into());
    let table = RouteTable::new(&testing::config(routes)).unwrap();
    assert_eq!(table.find(&host("A.com."), "/a"), Some(RouteId(1)));
    assert_eq!(table.find(&host("a.com:8080"), "/a"), Some(RouteId(2)));
    assert_eq!(table.find(&host("[::1]:1"), "/b"), Some(RouteId(3)));
    assert_eq!(table.find(&host("b.com"), "/a"), Some(RouteId(0)));
    assert_eq!(table.find(&host("b.com"), "/b"), None);
}

#[test]
fn patterns_are_brought_into_the_normal_form_of_paths() {
    let table = table(&["/café", "/%61/%2f"]).unwrap();
    assert_eq!(table.find(&host("a"), "/caf%C3%A9"), Some(RouteId(0)));
    assert_eq!(table.find(&host("a"), "/a/%2F"), Some(RouteId(1)));
}

#[test]
fn bad_patterns_and_duplicates_are_refused() {
    for pattern in [
        "",
        "a",
        "/{id}.png",
        "/{}",
        "/{*}",
        "/{*a}/b",
        "/{a",
        "/a}",
        "/{{a}}",
        "/{a*}",
        "/a/../b",
        "/%2e",
        "/%zz",
        "/a?b",
        "/a b",
    ] {
        assert!(matches!(table(&[pattern]), Err(RouteError::BadPattern { .. })), "{pattern}");
    }
    assert!(matches!(table(&[&"/{a}".repeat(26)]), Err(RouteError::BadPattern { .. })));
    assert!(table(&[&"/{a}".repeat(25)]).is_ok());
    for pair in [["/{a}/x", "/{b}/x"], ["/{*a}", "/{*b}"], ["/a", "/%61"], ["/é", "/%c3%a9"]] {
        assert!(matches!(table(&pair), Err(RouteError::Duplicate { .. })), "{pair:?}");
    }
}

/// Tries every pattern and takes the best by the words of the design.
fn naive(patterns: &[String], path: &str) -> Option<usize> {
    let segments: Vec<&str> = path[1..].split('/').collect();
    let rank = |pattern: &str| {
        let parts: Vec<&str> = pattern[1..].split('/').collect();
        let mut rank = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if part.starts_with("{*") {
                rank.push(2);
                return Some(rank);
            }
            let segment = segments.get(at)?;
            let parameter = part.starts_with('{');
            if (parameter && segment.is_empty()) || (!parameter && part != segment) {
                return None;
            }
            rank.push(i32::from(parameter));
        }
        (parts.len() == segments.len()).then_some(rank)
    };
    let ranked = patterns.iter().enumerate().filter_map(|(at, pattern)| Some((rank(pattern)?, at)));
    ranked.min().map(|(_, at)| at)
}

proptest! {
    #[test]
    fn whatever_the_order_in_the_file_the_naive_matcher_agrees(
        patterns in proptest::collection::btree_set("(/(a|ab|b|\\{x\\})){0,3}(/|/a|/\\{x\\}|/\\{\\*r\\})", 1..10)
            .prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle(),
        paths in proptest::collection::vec("(/|/a|/ab|/b|/c|/abc){1,5}", 1..10),
    ) {
        let table = table(&patterns.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        for path in paths {
            let found = table.find(&host("a.com"), &path).map(|route| route.0);
            prop_assert_eq!(found, naive(&patterns, &path), "{} in {:?}", path, patterns);
        }
    }
}
