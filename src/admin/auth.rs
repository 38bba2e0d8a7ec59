//! Who may do more than look: whoever sends the token (RFC 6750 §2.1). It decides nothing about what
//! they ask for.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It has the token.
    Granted,
    /// It has no token or another one.
    Denied,
    /// There is no token, so nobody may.
    Closed,
}

/// The same for software that knows a purge key and no bearer tokens (WordPress' and Drupal's purgers):
/// it sends the token as `X-VC-Purge-Key`.
pub(super) fn access_by_key(token: Option<&str>, headers: &HeaderMap) -> Access {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Access::Closed };
    let mut keys = headers.get_all("x-vc-purge-key").iter();
    let same = is_same(keys.next().map_or(&[], |key| key.as_bytes()), token);
    if same && keys.next().is_none() { Access::Granted } else { Access::Denied }
}

/// Compares the request's bearer token with the configured one, also where it has none; how long that takes
/// tells nothing of the token, its length included.
pub(super) fn access(token: Option<&str>, headers: &HeaderMap) -> Access {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Access::Closed };
    if is_same(bearer(headers).unwrap_or_default(), token) { Access::Granted } else { Access::Denied }
}

/// Digests have one length, whatever was sent.
fn is_same(sent: &[u8], token: &str) -> bool {
    let [sent, token] = [sent, token.as_bytes()].map(|bytes| digest(&SHA256, bytes));
    bool::from(sent.as_ref().ct_eq(token.as_ref()))
}

/// The token of the only `Authorization` field, where it is a bearer token.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next()?.as_bytes();
    let (scheme, token) = field.split_at_checked("Bearer ".len())?;
    let alone = fields.next().is_none();
    (alone && scheme.eq_ignore_ascii_case(b"Bearer ")).then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn sent(fields: &[&'static str]) -> HeaderMap {
        fields.iter().map(|field| (AUTHORIZATION, HeaderValue::from_static(field))).collect()
    }

    /// Only the token itself grants, in one field, whatever the case of the scheme.
    #[test]
    fn only_the_whole_token_grants() {
        for granted in ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret "] {
            assert_eq!(access(Some("s3cret"), &sent(&[granted])), Access::Granted, "{granted}");
        }
        for denied in
            ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Bearer S3cret", "Basic s3cret", "s3cret"]
        {
            assert_eq!(access(Some("s3cret"), &sent(&[denied])), Access::Denied, "{denied}");
        }
        assert_eq!(access(Some("s3cret"), &sent(&[])), Access::Denied);
        assert_eq!(access(Some("s3cret"), &sent(&["Bearer s3cret", "Bearer s3cret"])), Access::Denied);
    }

    /// A purge key is the token, in one field.
    #[test]
    fn a_purge_key_is_the_token() {
        let keys = |keys: &[&'static str]| -> HeaderMap {
            keys.iter()
                .map(|key| (http::HeaderName::from_static("x-vc-purge-key"), HeaderValue::from_static(key)))
                .collect()
        };
        assert_eq!(access_by_key(Some("s3cret"), &keys(&["s3cret"])), Access::Granted);
        for denied in [&[][..], &["s3cre"], &["s3cret", "s3cret"], &[""]] {
            assert_eq!(access_by_key(Some("s3cret"), &keys(denied)), Access::Denied);
        }
        assert_eq!(access_by_key(Some(""), &keys(&[""])), Access::Closed);
    }

    /// Without a token nobody gets in, with an empty one neither.
    #[test]
    fn no_token_closes_the_door() {
        for token in [None, Some("")] {
            assert_eq!(access(token, &sent(&["Bearer "])), Access::Closed);
            assert_eq!(access(token, &sent(&[])), Access::Closed);
        }
    }
}
