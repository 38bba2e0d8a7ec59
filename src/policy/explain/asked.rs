//! The request that somebody asks about, made from a URL, fields and cookies as a person writes them.

use crate::config::Scheme;
use crate::policy::admission::Incoming;
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::net::{IpAddr, Ipv4Addr};
use thiserror::Error;

/// A GET that was not sent.
#[derive(Clone, Debug)]
pub struct Asked {
    url: String,
    target: String,
    scheme: Scheme,
    headers: HeaderMap,
}

/// Why a question cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AskedError {
    /// The URL is neither absolute nor a path.
    #[error("`{0}` is not a URL: write http://shop.example.com/products/42, or a path alone")]
    Url(String),
    /// A path alone, and no host is known.
    #[error("which host? The file names none: write http://HOST{0}")]
    Host(String),
    /// A header that is none.
    #[error("`{0}` is not a header: write \"Accept-Language: de\"")]
    Header(String),
    /// A cookie that is none.
    #[error("`{0}` is not a cookie: write name=value")]
    Cookie(String),
}

impl Asked {
    /// A request for `url`: absolute, or a path on `host`, with these fields (`Name: value`) and cookies
    /// (`name=value`).
    ///
    /// # Errors
    /// The first of them that makes no sense.
    pub fn new(url: &str, fields: &[String], cookies: &[String], host: Option<&str>) -> Result<Asked, AskedError> {
        let mut headers = HeaderMap::new();
        for field in fields {
            let (name, value) = header(field).ok_or_else(|| AskedError::Header(field.clone()))?;
            headers.append(name, value);
        }
        if let Some(field) = cookie_field(cookies)? {
            headers.append(COOKIE, field);
        }
        let (scheme, authority, target) = parts(url).ok_or_else(|| AskedError::Url(url.to_owned()))?;
        let named = headers.get(HOST).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let authority = match (authority, named, host) {
            (_, Some(named), _) => named,
            (Some(authority), None, _) => authority.to_owned(),
            (None, None, Some(host)) => host.to_owned(),
            (None, None, None) => return Err(AskedError::Host(target)),
        };
        let value = HeaderValue::from_str(&authority).map_err(|_| AskedError::Url(url.to_owned()))?;
        headers.insert(HOST, value);
        Ok(Asked { url: format!("{}://{authority}{target}", scheme.as_str()), target, scheme, headers })
    }

    /// The request as policy sees one: from nobody in particular.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming {
            method: &Method::GET,
            target: self.target.as_bytes(),
            headers: (&self.headers).into(),
            listener_scheme: self.scheme,
            peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }

    /// The whole URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Path and query.
    pub fn target(&self) -> &[u8] {
        self.target.as_bytes()
    }

    /// All fields, `Host` and `Cookie` among them.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Scheme, authority and target of a URL; no authority where it is a path.
fn parts(url: &str) -> Option<(Scheme, Option<&str>, String)> {
    let url = url.split('#').next().unwrap_or_default();
    if url.starts_with('/') {
        return Some((Scheme::Http, None, url.to_owned()));
    }
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    (!authority.is_empty()).then_some((scheme, Some(authority), target))
}

fn header(field: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = field.split_once(':')?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    Some((name, HeaderValue::from_str(value.trim()).ok()?))
}

fn cookie_field(cookies: &[String]) -> Result<Option<HeaderValue>, AskedError> {
    if let Some(wrong) = cookies.iter().find(|cookie| !cookie.contains('=') || HeaderValue::from_str(cookie).is_err()) {
        return Err(AskedError::Cookie(wrong.clone()));
    }
    let joined = (!cookies.is_empty()).then(|| cookies.join("; "));
    Ok(joined.and_then(|joined| HeaderValue::from_str(&joined).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, host: Option<&str>) -> Result<String, AskedError> {
        Asked::new(url, &[], &[], host).map(|asked| asked.url)
    }

    #[test]
    fn a_url_or_a_path_on_the_known_host_is_understood() {
        assert_eq!(asked("HTTPS://a.test?x=1#top", None).as_deref(), Ok("https://a.test/?x=1"));
        assert_eq!(asked("http://a.test:81/b", Some("c.test")).as_deref(), Ok("http://a.test:81/b"));
        assert_eq!(asked("/b?c", Some("a.test")).as_deref(), Ok("http://a.test/b?c"));
        assert_eq!(asked("/b", None), Err(AskedError::Host("/b".into())));
        for url in ["", "b", "a.test/b", "ftp://a.test/", "http:///b"] {
            assert_eq!(asked(url, Some("a.test")), Err(AskedError::Url(url.into())), "{url}");
        }
    }

    #[test]
    fn fields_and_cookies_are_those_of_the_request() {
        let fields = ["Accept-Language: de".to_owned(), "host: b.test".to_owned()];
        let cookies = ["a=1".to_owned(), "b=".to_owned()];
        let asked = Asked::new("http://a.test/", &fields, &cookies, None).unwrap();
        assert_eq!(asked.headers()["accept-language"], "de");
        assert_eq!(asked.headers()["cookie"], "a=1; b=");
        assert_eq!((&asked.headers()["host"], asked.url()), (&HeaderValue::from_static("b.test"), "http://b.test/"));
        for (field, cookie) in [("nonsense", "a=1"), ("a b: c", "a=1"), ("a: b\nc", "a=1"), ("a: b", "c")] {
            assert!(Asked::new("http://a.test/", &[field.to_owned()], &[cookie.to_owned()], None).is_err(), "{field}");
        }
    }
}
