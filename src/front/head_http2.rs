//! An HTTP/2 head in the words of HTTP/1, which everybody behind speaks: `:authority` is `Host`
//! (RFC 9113 §8.3.1) and the pieces of a `Cookie` are one field (§8.2.3). That the two do not
//! contradict each other was looked at when the request was taken.

use http::{HeaderValue, header};
use pingora::http::RequestHeader;

/// Puts the fields right.
///
/// # Errors
/// When the authority cannot be a field's value.
pub(super) fn settle(request: &mut RequestHeader) -> pingora::Result<()> {
    if !request.headers.contains_key(header::HOST)
        && let Some(authority) = request.uri.authority().map(|authority| authority.as_str().to_owned())
    {
        request.insert_header(header::HOST, authority)?;
    }
    if request.headers.get_all(header::COOKIE).iter().nth(1).is_some() {
        let pieces: Vec<&[u8]> = request.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(whole) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
            request.insert_header(header::COOKIE, whole)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(uri: &str, fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = RequestHeader::from(request.body(()).unwrap().into_parts().0);
        settle(&mut request).unwrap();
        request
    }

    #[test]
    fn the_authority_is_the_host_and_cookies_are_one_field() {
        let request = settled("https://a.test:8443/p", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3")]);
        assert_eq!(request.headers[header::HOST], "a.test:8443");
        assert_eq!(request.headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
        assert_eq!(settled("/p", &[("host", "b.test")]).headers[header::HOST], "b.test");
    }
}
