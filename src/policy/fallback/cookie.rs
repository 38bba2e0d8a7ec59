//! The cookie by which a visitor brings back that a fallback page was shown: how it is set, and how it is taken out
//! of a request before anybody else reads it. No origin gets it, no key has it, and it makes no request a bypass.

use crate::config::Scheme;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use std::time::Duration;

/// Its name.
pub const NAME: &str = "__breadbox_wait";

/// Longer paths are ignored by browsers (RFC 6265bis §5.6), which would then choose one themselves.
const LONGEST_PATH: usize = 1024;

/// More values than this are not looked at; a browser has one for each path above a page's.
const MOST: usize = 4;

/// What a request's `Cookie` fields are without ours, and the values of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The fields that are left, each as it came but for our cookie; none where nothing else was in it.
    pub fields: Vec<HeaderValue>,
    /// The values of ours, at most four.
    pub values: Vec<Box<[u8]>>,
}

/// Takes our cookie out; `None` where there is none, as in nearly every request.
pub fn take(headers: &HeaderMap) -> Option<Taken> {
    let carries = |field: &HeaderValue| memchr::memmem::find(field.as_bytes(), NAME.as_bytes()).is_some();
    if !headers.get_all(COOKIE).iter().any(carries) {
        return None;
    }
    let mut taken = Taken::default();
    for field in headers.get_all(COOKIE) {
        let left: Vec<&[u8]> = field.as_bytes().split(|&b| b == b';').filter(|pair| !taken.takes(pair)).collect();
        let left = left.join(&b';');
        if let Ok(left) = HeaderValue::from_bytes(left.trim_ascii())
            && !left.is_empty()
        {
            taken.fields.push(left);
        }
    }
    Some(taken)
}

impl Taken {
    fn takes(&mut self, pair: &[u8]) -> bool {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        if pair[..end].trim_ascii() != NAME.as_bytes() {
            return false;
        }
        let value = pair.get(end + 1..).unwrap_or_default().trim_ascii();
        if self.values.len() < MOST {
            self.values.push(value.into());
        }
        true
    }
}

/// `Set-Cookie` of a page that is shown for the request-target `target` (in origin-form).
pub fn set(value: &str, target: &[u8], life: Duration, scheme: Scheme) -> HeaderValue {
    let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
    let (path, life) = (path(target), life.as_secs().max(1));
    let text = format!("{NAME}={value}; Path={path}; Max-Age={life}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).expect("a token and a path of URI characters are ASCII")
}

/// The path that the cookie goes back to: the page's own as the browser writes it; where that cannot stand in a
/// cookie, the folder above.
fn path(target: &[u8]) -> &str {
    let end = target.iter().position(|&b| b == b'?').unwrap_or(target.len());
    let whole = &target[..end];
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+=:@".contains(&b);
    let good = whole.iter().position(|&b| !fits(b)).unwrap_or(whole.len()).min(LONGEST_PATH);
    let cut = if good == whole.len() { good } else { whole[..good].iter().rposition(|&b| b == b'/').unwrap_or(0) };
    let path = std::str::from_utf8(&whole[..cut]).unwrap_or_default();
    if path.starts_with('/') { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[&str]) -> HeaderMap {
        fields.iter().map(|field| (COOKIE, HeaderValue::from_str(field).unwrap())).collect()
    }

    #[test]
    fn ours_is_taken_out_and_the_rest_stays_as_it_came() {
        for (field, left, value) in [
            ("__breadbox_wait=x", None, "x"),
            ("a=1; __breadbox_wait=x", Some("a=1"), "x"),
            ("__breadbox_wait=x; a=1", Some("a=1"), "x"),
            ("a=1;  b=\"2\";__breadbox_wait = x ;c", Some("a=1;  b=\"2\";c"), "x"),
            ("a=1; __breadbox_wait", Some("a=1"), ""),
        ] {
            let taken = take(&headers(&[field])).expect(field);
            assert_eq!(taken.fields.first().map(|left| left.to_str().unwrap()), left, "{field}");
            assert_eq!(taken.values, [Box::from(value.as_bytes())], "{field}");
        }
        let taken = take(&headers(&["a=1", "__breadbox_wait=x", "b=2; __breadbox_wait=y"])).expect("two of ours");
        assert_eq!(taken.fields, ["a=1", "b=2"]);
        assert_eq!(taken.values.len(), 2);
    }

    #[test]
    fn others_are_left_alone() {
        assert_eq!(take(&headers(&["a=1", "b=__breadbox"])), None);
        let taken = take(&headers(&["a=__breadbox_wait; x__breadbox_wait=1"])).expect("it looks like ours");
        assert_eq!(taken.fields, ["a=__breadbox_wait; x__breadbox_wait=1"]);
        assert!(taken.values.is_empty());
    }

    #[test]
    fn the_path_is_one_that_a_browser_takes_and_that_covers_the_page() {
        let long = format!("/{}", "a".repeat(2000));
        let deep = format!("/{}/x;y", "b".repeat(100));
        for (target, expected) in [
            ("/products/4711?x=1", "/products/4711"),
            ("/", "/"),
            ("/a%20b", "/a%20b"),
            ("/a;b", "/"),
            ("/a/b;c/d", "/a"),
            ("/a/\"b", "/a"),
            ("/a,b", "/"),
            (long.as_str(), "/"),
            (deep.as_str(), &deep[..101]),
            ("*", "/"),
        ] {
            assert_eq!(path(target.as_bytes()), expected, "{target}");
        }
        let set = set("v", b"/p", Duration::from_secs(60), Scheme::Https);
        assert_eq!(set, "__breadbox_wait=v; Path=/p; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
    }
}
