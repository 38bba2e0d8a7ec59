//! The request by which a stored page is asked for again when no visitor does: made from its key alone,
//! since on `isr` and `static` the key holds everything that a render may depend on (DESIGN §2.4).

use super::admission::{Admission, Incoming, Wanted, admit};
use super::host::Host;
use super::key::Key;
use super::render_request::keyed_names;
use super::route::RouteTable;
use crate::config::{Config, Route};
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method};
use std::net::{IpAddr, Ipv4Addr};

/// What a request for the page of `key` wants, and its fields. `None` where no request made from the
/// key leads to it: on routes whose pages depend on more, or where the configuration has changed since.
pub(crate) fn wanted(config: &Config, table: &RouteTable, key: &Key) -> Option<(Wanted, HeaderMap)> {
    let uri = key.uri();
    let host = Host::parse(uri.host.as_bytes()).ok()?;
    let route = config.route(table.find(&host, uri.path)?);
    if !route.cache.is_anonymous() {
        return None;
    }
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(uri.host).ok()?);
    let rsc = add_variant(route, key, &mut headers)?;
    let parameters: Vec<&str> = uri.query.into_iter().chain(rsc).collect();
    let question = if parameters.is_empty() { "" } else { "?" };
    let target = format!("{}{question}{}", uri.path, parameters.join("&"));
    let incoming = Incoming {
        method: &Method::GET,
        target: target.as_bytes(),
        headers: (&headers).into(),
        listener_scheme: uri.scheme,
        peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    match admit(config, table, &incoming) {
        Admission::Lookup(wanted) if wanted.key == *key => Some((*wanted, headers)),
        _ => None,
    }
}

/// Adds the fields and cookies that the variant was told apart by, and returns its `_rsc` parameters.
fn add_variant<'a>(route: &Route, key: &'a Key, headers: &mut HeaderMap) -> Option<Option<&'a str>> {
    let names: Vec<_> = keyed_names(route).cloned().collect();
    let mut components = key.variant_components().into_iter();
    for name in names {
        if let Some(value) = components.next()? {
            headers.insert(name, HeaderValue::from_bytes(value).ok()?);
        }
    }
    let cookies: Vec<&[u8]> = components.by_ref().take(route.vary.cookies.len()).flatten().collect();
    if !cookies.is_empty() {
        headers.insert(COOKIE, HeaderValue::from_bytes(&cookies.join(&b"; "[..])).ok()?);
    }
    components.next().flatten().map(std::str::from_utf8).transpose().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CacheMode;
    use crate::policy::testing::{self, Ask};

    fn key_of(config: &Config, table: &RouteTable, ask: &Ask) -> (Key, String) {
        let Admission::Lookup(wanted) = admit(config, table, &ask.incoming()) else { panic!("a lookup") };
        (wanted.key, wanted.target)
    }

    #[test]
    fn a_page_is_asked_for_again_as_it_was_asked_for_first() {
        let mut route = testing::route("/{*rest}");
        route.vary.headers = vec!["accept-language".parse().unwrap(), "rsc".parse().unwrap()];
        route.vary.cookies = vec!["currency".into(), "lang".into()];
        let config = testing::config(vec![route]);
        let table = RouteTable::new(&config).unwrap();
        for ask in [
            Ask::get("/"),
            Ask::get("/caf%C3%A9?b=2&a=1&utm_source=x").https().host("a.com:8443"),
            Ask::get("/a").field("accept-language", "de, en").field("cookie", "lang=de; x=1; currency=a; lang=b"),
            Ask::get("/a?_rsc=1&q").field("rsc", "1"),
            Ask::get("/a").field("accept-language", "").field("cookie", "currency="),
        ] {
            let (key, target) = key_of(&config, &table, &ask);
            let (wanted, _) = wanted(&config, &table, &key).expect("the same page");
            assert_eq!((wanted.key, wanted.target), (key, target), "{ask:?}");
        }
    }

    #[test]
    fn what_depends_on_more_than_its_key_is_not_asked_for() {
        let mut route = testing::route("/{*rest}");
        let config = testing::config(vec![route.clone()]);
        let (key, _) = key_of(&config, &RouteTable::new(&config).unwrap(), &Ask::get("/a?b"));
        route.cache = CacheMode::Headers;
        let headers = testing::config(vec![route.clone()]);
        assert!(wanted(&headers, &RouteTable::new(&headers).unwrap(), &key).is_none());
        route.cache = CacheMode::Isr;
        route.query = crate::config::QueryRule::None;
        let changed = testing::config(vec![route]);
        assert!(wanted(&changed, &RouteTable::new(&changed).unwrap(), &key).is_none());
    }
}
