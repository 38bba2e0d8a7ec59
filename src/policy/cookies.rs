//! The cookies of a request (RFC 6265 §4.2): which ones make it a bypass, which ones a route keys on.
//!
//! Origins disagree about what a cookie is. Where a cookie makes a request a bypass, the reading that
//! finds it counts; where a route keys on one, what is sent is written anew from what was understood.

use super::percent;
use super::request_fields::{Known, RequestFields};
use crate::config::{BypassCookies, NamePatterns};
use http::HeaderValue;

static COOKIE: Known = Known::new("cookie");

/// The `Cookie` fields of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cookies<'a>(RequestFields<'a>);

impl<'a> Cookies<'a> {
    /// The cookies among `headers`.
    pub(crate) fn of(headers: impl Into<RequestFields<'a>>) -> Self {
        Cookies(headers.into())
    }

    /// Whether any of them makes the request a bypass under `rule`.
    pub(crate) fn make_a_bypass(self, rule: &BypassCookies) -> bool {
        match rule {
            _ if !self.0.has(&COOKIE) => false,
            BypassCookies::None => false,
            BypassCookies::Any => self.loose_pairs().next().is_some(),
            BypassCookies::Names(names) => self.loose_pairs().any(|(name, _)| is_among(names, name)),
        }
    }

    /// Whether the request is one of an editor in draft mode, whose pages are his alone: it carries
    /// the cookie of this name.
    pub(crate) fn ask_for_a_draft(self, cookie: Option<&str>) -> bool {
        let cookie = cookie.filter(|_| self.0.has(&COOKIE));
        cookie.is_some_and(|cookie| self.loose_pairs().any(|(name, _)| name == cookie.as_bytes()))
    }

    /// The values of the cookies called `name`.
    pub(crate) fn values(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.pairs().filter(move |(found, _)| *found == name.as_bytes()).filter_map(|(_, value)| value)
    }

    /// The cookies called `name` as they are sent to an origin, in their order: `name=1; name=2`.
    /// `None` where there is none, which is not the same as an empty one.
    pub(crate) fn keyed(self, name: &str) -> Option<Vec<u8>> {
        let mut sent = Vec::new();
        self.write_keyed(name, &mut sent).then_some(sent)
    }

    /// Writes the same behind what is in the buffer, and answers whether there is any.
    pub(crate) fn write_keyed(self, name: &str, out: &mut Vec<u8>) -> bool {
        let mut has = false;
        for value in self.values(name) {
            if has {
                out.extend_from_slice(b"; ");
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value);
            has = true;
        }
        has
    }

    /// The cookies with these names (sorted) in one `Cookie` field.
    pub(crate) fn keyed_field(self, names: &[Box<str>]) -> Option<HeaderValue> {
        let sent: Vec<Vec<u8>> = names.iter().filter_map(|name| self.keyed(name)).collect();
        if sent.is_empty() {
            return None;
        }
        HeaderValue::from_bytes(&sent.join(&b"; "[..])).ok()
    }

    /// The names as they stand, in their order.
    pub(crate) fn names(self) -> impl Iterator<Item = &'a [u8]> {
        self.pairs().map(|(name, _)| name)
    }

    /// Names and values; a pair without `=` has a name only.
    fn pairs(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.split(|b| b == b';')
    }

    /// The same as somebody reads them who takes `,` for a separator too (RFC 2965 §3.4).
    fn loose_pairs(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.split(|b| b == b';' || b == b',')
    }

    fn split(self, separates: fn(u8) -> bool) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let pairs =
            self.0.all(&COOKIE).flat_map(move |field| field.split(move |&b| separates(b)).map(<[u8]>::trim_ascii));
        pairs.filter(|pair| !pair.is_empty()).map(|pair| match memchr::memchr(b'=', pair) {
            Some(at) => (pair[..at].trim_ascii_end(), Some(pair[at + 1..].trim_ascii_start())),
            None => (pair, None),
        })
    }
}

/// Whether an origin may read `name` as one of these.
fn is_among(names: &NamePatterns, name: &[u8]) -> bool {
    let reads_one_way = |byte: &u8| byte.is_ascii() && !matches!(byte, b'%' | b'.' | b' ' | b'+' | b'[');
    match std::str::from_utf8(name) {
        Ok(text) if name.iter().all(reads_one_way) => names.matches(text),
        _ => spellings(name).iter().any(|name| names.matches(name)),
    }
}

/// The names an origin may read: as it stands, decoded, and the way PHP writes them.
fn spellings(name: &[u8]) -> [String; 3] {
    let decoded = percent::decode(name);
    let php: Vec<u8> = decoded.iter().map(|&b| if matches!(b, b'.' | b' ' | b'+' | b'[') { b'_' } else { b }).collect();
    [name, &decoded, &php].map(|name| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use http::header::COOKIE;
    use proptest::prelude::*;

    fn headers(fields: &[&str]) -> HeaderMap {
        fields.iter().map(|field| (COOKIE, HeaderValue::from_str(field).unwrap())).collect()
    }

    #[test]
    fn a_bypass_cookie_is_found_in_every_spelling() {
        let rule = BypassCookies::Names(NamePatterns::new(["wordpress_logged_in_*", "session"]));
        for cookie in [
            "session=1",
            "a=1; session=1",
            "a=1;session=",
            "session",
            "a=1,session=2",
            " session =1",
            "a=\"x; session=1\"",
            "wordpress_logged_in_x=1",
            "wordpress%5Flogged_in_x=1",
            "wordpress.logged_in_x=1",
            "%73ession=1",
            ";;session=1",
        ] {
            assert!(Cookies::of(&headers(&["b=1", cookie])).make_a_bypass(&rule), "{cookie}");
        }
        for cookie in ["sessions=1", "a=session", "Session=1", "a=1; b=session=1"] {
            assert!(!Cookies::of(&headers(&[cookie])).make_a_bypass(&rule), "{cookie}");
        }
    }

    #[test]
    fn any_means_any_and_none_means_none() {
        for cookie in ["a=1", "garbage", "=", "="] {
            assert!(Cookies::of(&headers(&[cookie])).make_a_bypass(&BypassCookies::Any), "{cookie}");
        }
        assert!(!Cookies::of(&headers(&[" ; "])).make_a_bypass(&BypassCookies::Any));
        assert!(!Cookies::of(&headers(&["a=1"])).make_a_bypass(&BypassCookies::None));
        assert!(Cookies::of(&headers(&["x=1; __prerender_bypass=abc"])).ask_for_a_draft(Some("__prerender_bypass")));
        assert!(!Cookies::of(&headers(&["x=1; __prerender_bypass=abc"])).ask_for_a_draft(None));
    }

    #[test]
    fn keyed_cookies_are_written_in_the_order_of_names_and_absent_is_not_empty() {
        let headers = headers(&["lang=de; session=1; currency=eur", "lang= en"]);
        let cookies = Cookies::of(&headers);
        let sent = cookies.keyed_field(&["currency".into(), "lang".into(), "none".into()]).unwrap();
        assert_eq!(sent, "currency=eur; lang=de; lang=en");
        assert_eq!(cookies.keyed("none"), None);
        assert_eq!(Cookies::of(&super::tests::headers(&["none="])).keyed("none").as_deref(), Some(&b"none="[..]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&raw) {
                let headers: HeaderMap = [(COOKIE, value)].into_iter().collect();
                let cookies = Cookies::of(&headers);
                let _ = cookies.make_a_bypass(&BypassCookies::Names(NamePatterns::new(["a*"])));
                for (name, _) in cookies.pairs() {
                    let _ = cookies.keyed_field(&[String::from_utf8_lossy(name).into()]);
                }
            }
        }
    }
}
