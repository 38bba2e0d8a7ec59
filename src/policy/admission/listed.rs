//! Whether a path exists, where lists say which ones do (DESIGN §2.1): no spelling of a path gets around
//! the list of its route, neither on that route nor through another one that is not so particular.

use super::Understood;
use crate::config::RouteId;
use crate::policy::route::RouteTable;
use crate::policy::target::readings::{further_readings, most_careless_reading, without_slash};

/// The route whose list does not have the path that was asked for.
pub(super) fn refused_by(table: &RouteTable, understood: &Understood<'_>) -> Option<RouteId> {
    let lists = table.lists();
    if lists.is_empty() {
        return None;
    }
    let Understood { route, host, resource, .. } = understood;
    let path: &str = &resource.as_ref()?.path;
    if let Some(route) = route
        && !lists.allow(*route, path)
    {
        return Some(*route);
    }
    let refuses = |reading: &str| {
        let other = table.find(host, reading).filter(|other| Some(*other) != *route)?;
        (!lists.allow(other, reading)).then_some(other)
    };
    if let Some(path) = without_slash(path) {
        return refuses(path);
    }
    let readings = further_readings(path).unwrap_or_else(|_| vec![most_careless_reading(path)]);
    readings.iter().find_map(|reading| refuses(reading))
}

#[cfg(test)]
mod tests {
    use crate::config::{CacheMode, Paths, Route, RouteId};
    use crate::policy::admission::{Admission, BypassReason, admit};
    use crate::policy::route::RouteTable;
    use crate::policy::testing::{self, Ask};
    use crate::uri::PathSet;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// `/docs/…` with two pages, something `cache: off`, and everything else.
    fn admitted(ask: &Ask) -> Admission {
        let mut set = PathSet::new();
        for line in ["/docs/a", "/docs/caf\u{e9}", "/docs/deep/{*rest}"] {
            set.insert_line(line).expect("a path");
        }
        let paths = Some(Paths::File { path: "docs.txt".into(), set: Arc::new(set) });
        let config = testing::config(vec![
            Route { paths, ..testing::route("/docs/{*rest}") },
            Route { cache: CacheMode::Off, ..testing::route("/api/{*rest}") },
            Route { cache: CacheMode::Headers, ..testing::route("/{*rest}") },
        ]);
        admit(&config, &RouteTable::new(&config).expect("a table"), &ask.incoming())
    }

    fn is_unlisted(target: &str) -> bool {
        match admitted(&Ask::get(target)) {
            Admission::Unlisted { by, .. } => by == RouteId(0),
            _ => false,
        }
    }

    #[test]
    fn a_listed_path_is_found_in_every_spelling() {
        for target in [
            "/docs/a",
            "/docs/%61",
            "/d%6Fcs/a?x=1",
            "/docs/x/../a",
            "/./docs/./a",
            "/docs/caf%c3%a9",
            "/docs/deep",
            "/docs/deep/1/2",
        ] {
            assert!(matches!(admitted(&Ask::get(target)), Admission::Lookup(_)), "{target}");
        }
    }

    #[test]
    fn no_spelling_of_an_unlisted_path_gets_around_the_list() {
        for target in [
            "/docs",
            "/docs/",
            "/docs/b",
            "/docs/a/",
            "/docs/A",
            "/docs/a%00",
            "/docs/a;x=1",
            "/docs/a%2Fb",
            "/docs/a%zz",
            "/docs/a/..%2Fb",
            "/docs/deepx",
            "//docs/b",
            "/docs//a",
            "/docs%2Fb",
            "/%64ocs/b",
            "/docs%5Cb",
            "/x/..%2Fdocs%2Fb",
            "/x/..;/docs/b",
            "/docs;v=1/b",
            "/x/%252e%252e/docs/b",
            "//evil.test/docs/b",
            "http://shop.example.com/docs/b",
            "/docs/a/../b?/docs/a",
        ] {
            assert!(is_unlisted(target), "{target}: {:?}", admitted(&Ask::get(target)));
        }
        let padded = format!("/x/{}/../..%2F{}docs/b", "%25%2F;//".repeat(200), "..%2F".repeat(900));
        assert!(is_unlisted(&padded));
    }

    #[test]
    fn neither_the_method_nor_what_else_makes_a_bypass_gets_around_it() {
        for ask in [
            Ask::get("/docs/b").method("POST"),
            Ask::get("/docs/b").method("OPTIONS"),
            Ask::get("/docs/b").method("PROPFIND"),
            Ask::get("/docs/b").field("cookie", "__prerender_bypass=1; session=2"),
            Ask::get("/docs/b").field("authorization", "Basic eDp5"),
            Ask::get("/docs/b").field("upgrade", "websocket"),
            Ask::get("/docs/b").field("rsc", "1"),
            Ask::get("/docs/b").field("content-length", "5"),
        ] {
            assert!(matches!(admitted(&ask), Admission::Unlisted { .. }), "{ask:?}");
        }
    }

    #[test]
    fn other_routes_are_none_of_the_lists_business() {
        assert!(matches!(admitted(&Ask::get("/docsx/b")), Admission::Lookup(_)));
        assert!(matches!(admitted(&Ask::get("/api/docs/b")), Admission::Bypass(_)));
        let Admission::Bypass(bypass) = admitted(&Ask::get("/x/..%2Fapi")) else { panic!("a bypass") };
        assert_eq!(bypass.reason, BypassReason::Path);
        assert!(matches!(admitted(&Ask::get("/x//docs/a")), Admission::Lookup(_)));
    }

    proptest! {
        /// A path that is looked up on the route is one that its list has.
        #[test]
        fn what_is_looked_up_on_the_route_is_listed(path in "(/|//)(docs|d%6fcs)(/|%2F|%5c)([ab.;]|%2[eEfF5]|%00|/){0,8}") {
            if let Admission::Lookup(wanted) = admitted(&Ask::get(&path)) {
                prop_assert!(wanted.route != RouteId(0) || wanted.target == "/docs/a", "{}", wanted.target);
            }
        }
    }
}
