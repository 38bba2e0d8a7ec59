//! Which URIs a successful unsafe request invalidates (RFC 9111 §4.4): its own, and those that
//! `Location` and `Content-Location` name on the same host. As keys know them: in their normal form.

use super::{Bypass, Effect, MAX_QUERY};
use crate::config::Config;
use crate::policy::host::Host;
use crate::policy::key;
use crate::policy::query::{self, RscParameter};
use crate::policy::route::RouteTable;
use crate::policy::target::{Resource, Target, strip_scheme};

/// The [`key::uri_hash`] of every URI that a non-error answer to `bypass` invalidates, in all their
/// variants and both schemes; none for a safe method. The caller knows that the answer was no error.
pub fn invalidates(
    config: &Config,
    table: &RouteTable,
    bypass: &Bypass,
    location: Option<&[u8]>,
    content_location: Option<&[u8]>,
) -> Vec<u64> {
    let (Effect::Unsafe, Ok(Target::Resource(own))) = (bypass.effect, Target::parse(&bypass.target)) else {
        return Vec::new();
    };
    let named = [location, content_location].into_iter().flatten();
    let mut targets: Vec<Vec<u8>> = named.filter_map(|reference| resolve(bypass, &own, reference)).collect();
    targets.push(bypass.target.to_vec());
    let mut hashes: Vec<u64> = targets.iter().filter_map(|target| uri_hash(config, table, bypass, target)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// The hash under which the pages of an origin-form target are known, if a route may have pages of it.
fn uri_hash(config: &Config, table: &RouteTable, bypass: &Bypass, target: &[u8]) -> Option<u64> {
    let Ok(Target::Resource(resource)) = Target::parse(target) else { return None };
    let host = Host::parse(bypass.host.as_bytes()).ok()?;
    let route = config.route(table.find(&host, &resource.path)?);
    if resource.raw_query.is_some_and(|query| query.len() > MAX_QUERY) {
        return None;
    }
    if !route.cache.is_anonymous() {
        let query = resource.raw_query.map(std::str::from_utf8).transpose().ok()?;
        return Some(key::uri_hash(&bypass.host, &resource.path, query));
    }
    let counted = query::counted(resource.raw_query, route, &config.tracking, RscParameter::NeverCounts).ok()?;
    Some(key::uri_hash(&bypass.host, &resource.path, counted.identity().as_deref()))
}

/// The origin-form target that `reference` names (RFC 3986 §5.2.2), if it is on the same host.
fn resolve(bypass: &Bypass, own: &Resource<'_>, reference: &[u8]) -> Option<Vec<u8>> {
    let reference = reference.trim_ascii();
    let reference = &reference[..memchr::memchr(b'#', reference).unwrap_or(reference.len())];
    let behind_scheme = strip_scheme(reference).or_else(|| reference.strip_prefix(b"//"));
    if let Some(rest) = behind_scheme {
        let end = rest.iter().position(|&b| b == b'/' || b == b'?').unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        return is_own_host(bypass, reference, authority).then(|| rooted(rest));
    }
    let path = own.path.as_bytes();
    match reference.first() {
        None => Some(bypass.target.to_vec()),
        Some(b'/') => Some(reference.to_vec()),
        Some(b'?') => Some([path, reference].concat()),
        // A colon before the first slash belongs to a scheme, and that scheme is not ours.
        Some(_) if reference.split(|&b| b == b'/' || b == b'?').next()?.contains(&b':') => None,
        Some(_) => {
            let folder = &path[..=path.iter().rposition(|&b| b == b'/')?];
            Some([folder, reference].concat())
        }
    }
}

/// Compares hosts with the default port of the reference's own scheme taken off: a redirect from
/// http to https stays on the host.
fn is_own_host(bypass: &Bypass, reference: &[u8], authority: &[u8]) -> bool {
    use crate::config::Scheme::{Http, Https};
    let named = reference.first_chunk::<6>().map(|head| head.to_ascii_lowercase());
    let scheme = match named.as_ref().map(|head| &head[..]) {
        Some(b"https:") => Https,
        Some(head) if head.starts_with(b"http:") => Http,
        _ => bypass.scheme,
    };
    Host::parse(authority).is_ok_and(|host| host.authority(scheme) == *bypass.host)
}

fn rooted(path_and_query: &[u8]) -> Vec<u8> {
    if path_and_query.starts_with(b"/") { path_and_query.to_vec() } else { [b"/", path_and_query].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CacheMode, OriginId, Scheme};
    use crate::policy::admission::BypassReason;
    use crate::policy::testing;
    use proptest::prelude::*;

    fn config() -> Config {
        let mut raw = testing::route("/raw/{*rest}");
        raw.cache = CacheMode::Headers;
        testing::config(vec![testing::route("/{*rest}"), raw])
    }

    fn hashes(target: &str, location: Option<&[u8]>) -> Vec<u64> {
        let config = config();
        let bypass = Bypass {
            reason: BypassReason::Method,
            origin: OriginId(0),
            route: None,
            scheme: Scheme::Https,
            host: "a.com".into(),
            target: target.as_bytes().into(),
            effect: Effect::Unsafe,
        };
        invalidates(&config, &RouteTable::new(&config).unwrap(), &bypass, location, None)
    }

    #[test]
    fn a_uri_is_invalidated_as_its_pages_are_known() {
        assert_eq!(
            hashes("/%61/../b?z=1&utm_source=x&a=2&_rsc=q", None),
            [key::uri_hash("a.com", "/b", Some("a=2&z=1"))]
        );
        assert_eq!(
            hashes("/raw/b?z=1&a=2&utm_source=x", None),
            [key::uri_hash("a.com", "/raw/b", Some("z=1&a=2&utm_source=x"))]
        );
    }

    #[test]
    fn locations_count_on_the_same_host_only() {
        for (location, path, query) in [
            ("/x", "/x", None),
            ("x?b&a", "/shop/x", Some("a&b")),
            ("../x", "/x", None),
            ("?q", "/shop/cart", Some("q")),
            ("https://A.com/x", "/x", None),
            ("http://a.com:80/x#top", "/x", None),
            ("HTTPS://a.com:443?q", "/", Some("q")),
            ("//a.com/x", "/x", None),
            ("x/y:z", "/shop/x/y:z", None),
        ] {
            let both = hashes("/shop/cart", Some(location.as_bytes()));
            assert!(both.len() == 2 && both.contains(&key::uri_hash("a.com", path, query)), "{location}");
        }
        for location in [
            "https://b.com/x",
            "//b.com/x",
            "http://a.com:8080/x",
            "https://u@a.com/x",
            "ftp://a.com/x",
            "mailto:x",
            "/a b",
            "",
            "#x",
        ] {
            assert_eq!(hashes("/shop/cart", Some(location.as_bytes())).len(), 1, "{location}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..60), prefix in "(https?:)?(//)?(a\\.com)?") {
            hashes("/x", Some(&[prefix.as_bytes(), &raw].concat()));
        }
    }
}
