//! What is to become of an answer's coding when it is stored.
//!
//! A content coding is part of a representation (RFC 9110 §8.4), so making another one is a
//! transformation: not where the origin forbids it (RFC 9111 §5.2.2.6), where a field names a digest of
//! the bytes, or on a `cache: headers` route that does not ask for it.

use super::Coding;
use crate::config::{CacheMode, Codec, Compression, Route};
use crate::policy::cache_control::cache_control;
use crate::policy::fields::Fields;
use http::{HeaderMap, HeaderName, StatusCode, header};

/// What becomes of an answer's coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It is kept as it is, for everybody.
    AsItIs,
    /// It has no coding, and gets codings.
    Recode,
    /// It is in this coding, and clients that do not accept it get it without.
    Decode(Coding),
}

impl From<Codec> for Coding {
    fn from(codec: Codec) -> Coding {
        match codec {
            Codec::Br => Coding::Br,
            Codec::Zstd => Coding::Zstd,
            Codec::Gzip => Coding::Gzip,
        }
    }
}

/// Fields with a digest of the content or of the representation in its coding (RFC 9530, RFC 3230).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// What becomes of an answer with this status and these fields, which are the origin's own.
pub fn plan(route: &Route, status: StatusCode, fields: &Fields) -> Plan {
    let asks = route.compression.as_deref();
    let may = asks.is_some_and(|asks| asks.ignore_no_transform) || !cache_control(fields).no_transform;
    if !may || status == StatusCode::NO_CONTENT || DIGESTS.iter().any(|name| fields.contains(name)) {
        return Plan::AsItIs;
    }
    match Coding::of(fields) {
        Coding::Identity if asks.is_some_and(|asks| is_of_type(asks, fields)) => Plan::Recode,
        Coding::Identity | Coding::Opaque => Plan::AsItIs,
        coding if negotiates(route) => Plan::Decode(coding),
        _ => Plan::AsItIs,
    }
}

/// Whether renders of the route ask for no coding, and its pages are given to everybody whatever they
/// accept: the route's own negotiation takes the place of the origin's.
pub fn negotiates(route: &Route) -> bool {
    match route.cache {
        CacheMode::Static | CacheMode::Isr => true,
        CacheMode::Headers => route.compression.is_some(),
        CacheMode::Off => false,
    }
}

/// Makes a request's fields those that its render asks with, as far as codings go: where the route
/// negotiates itself, what a client accepts selects nothing at the origin.
pub fn ask_for_none(route: &Route, request: &mut HeaderMap) {
    if negotiates(route) {
        request.insert(header::ACCEPT_ENCODING, Coding::Identity.value());
    }
}

fn is_of_type(asks: &Compression, fields: &Fields) -> bool {
    let value = fields.get(&header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(value) = value else { return false };
    let media_type = value.split(';').next().unwrap_or_default().trim();
    asks.types.matches(&media_type.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Compressor, NamePatterns};
    use crate::policy::sample::{fields, route};
    use std::sync::Arc;

    fn compressing(cache: CacheMode) -> Route {
        let compression = Compression {
            compressors: vec![Compressor { codec: Codec::Br, quality: 5 }],
            min_size: 100,
            types: NamePatterns::new(["text/*", "application/json", "*+xml"]),
            ignore_no_transform: false,
        };
        Route { compression: Some(Arc::new(compression)), ..route(cache) }
    }

    fn planned(route: &Route, sent: &[(&str, &str)]) -> Plan {
        plan(route, StatusCode::OK, &fields(sent))
    }

    const HTML: (&str, &str) = ("content-type", "Text/HTML; charset=utf-8");

    #[test]
    fn text_gets_codings_and_what_is_compressed_already_does_not() {
        let isr = compressing(CacheMode::Isr);
        for kind in ["text/html", "Text/HTML; charset=utf-8", "application/json", "image/svg+xml", "text/x-component"] {
            assert_eq!(planned(&isr, &[("content-type", kind)]), Plan::Recode, "{kind}");
        }
        for kind in ["image/png", "video/mp4", "font/woff2", "application/octet-stream", "", "text"] {
            assert_eq!(planned(&isr, &[("content-type", kind)]), Plan::AsItIs, "{kind}");
        }
        assert_eq!(planned(&isr, &[]), Plan::AsItIs);
        let rules = isr.compression.expect("it compresses");
        assert!(rules.is_worth(100) && !rules.is_worth(99));
    }

    #[test]
    fn nothing_is_made_where_the_origin_forbids_it_or_names_a_digest() {
        // RFC 9111 §5.2.2.6.
        let isr = compressing(CacheMode::Isr);
        for field in [
            ("cache-control", "max-age=60, No-Transform"),
            ("content-digest", "sha-256=:x:"),
            ("repr-digest", "sha-256=:x:"),
            ("digest", "sha-256=x"),
            ("content-md5", "x"),
        ] {
            assert_eq!(planned(&isr, &[HTML, field]), Plan::AsItIs, "{field:?}");
        }
        let mut route = compressing(CacheMode::Isr);
        let own = Compression { ignore_no_transform: true, ..(**route.compression.as_ref().expect("set")).clone() };
        route.compression = Some(Arc::new(own));
        assert_eq!(planned(&route, &[HTML, ("cache-control", "no-transform")]), Plan::Recode);
    }

    #[test]
    fn headers_routes_keep_what_they_get_unless_they_say_so() {
        let plain = route(CacheMode::Headers);
        assert_eq!(planned(&plain, &[HTML]), Plan::AsItIs);
        assert_eq!(planned(&plain, &[HTML, ("content-encoding", "gzip")]), Plan::AsItIs);
        let asks = compressing(CacheMode::Headers);
        assert_eq!(planned(&asks, &[HTML]), Plan::Recode);
        assert_eq!(planned(&asks, &[HTML, ("content-encoding", "x-gzip")]), Plan::Decode(Coding::Gzip));
    }

    #[test]
    fn an_origins_own_coding_is_kept_and_undone_only_where_it_is_known() {
        // Also where nothing is compressed: renders ask for no coding, so clients cannot expect one.
        let isr = route(CacheMode::Isr);
        for (coding, expected) in [
            ("gzip", Plan::Decode(Coding::Gzip)),
            ("BR", Plan::Decode(Coding::Br)),
            ("zstd", Plan::Decode(Coding::Zstd)),
            ("deflate", Plan::Decode(Coding::Deflate)),
            ("identity, gzip", Plan::Decode(Coding::Gzip)),
            ("gzip, br", Plan::AsItIs),
            ("aes128gcm", Plan::AsItIs),
        ] {
            assert_eq!(planned(&isr, &[HTML, ("content-encoding", coding)]), expected, "{coding}");
        }
        assert_eq!(planned(&isr, &[HTML, ("content-encoding", "identity")]), Plan::AsItIs);
        assert_eq!(planned(&compressing(CacheMode::Isr), &[HTML, ("content-encoding", "identity")]), Plan::Recode);
    }
}
