//! Which fields of an answer are kept for replay (RFC 9111 §3.1; DESIGN §3 "To browsers").

use super::Answer;
use crate::config::{ClientCacheControl, Route, SetCookie};
use crate::policy::cache_control::{CDN_CACHE_CONTROL, Stated};
use crate::policy::date;
use crate::policy::fields::Fields;
use crate::policy::hop_by_hop::strip_hop_by_hop;
use http::{HeaderName, header};

/// The fields of an answer as they are replayed to clients, in order and with repetitions.
///
/// Off on every route: what belongs to the connection, `Content-Length`, `Age` and
/// `X-Request-Id` (written per response), tag fields, `Set-Cookie` (it never reaches a second client), and what the answer
/// withholds by name. A missing or broken `Date` becomes the arrival's (RFC 9110 §6.6.1).
pub fn stored_fields(route: &Route, answer: &Answer<'_>) -> Fields {
    let stated = Stated::of(answer.fields);
    replayed(route, answer, |name| *name != header::SET_COOKIE && !stated.directives.withholds(name))
}

/// The fields of an answer for the client whose request it answers: with what [`stored_fields`] keeps
/// from all others (RFC 9111 §5.2.2.4, §5.2.2.7), except for cookies that the route strips.
pub fn own_fields(route: &Route, answer: &Answer<'_>) -> Fields {
    replayed(route, answer, |name| *name != header::SET_COOKIE || route.set_cookie != SetCookie::Strip)
}

fn replayed(route: &Route, answer: &Answer<'_>, may_have: impl Fn(&HeaderName) -> bool) -> Fields {
    let mut kept = answer.fields.clone();
    strip_hop_by_hop(&mut kept);
    kept.retain(|name, _| !is_dropped(route, name) && may_have(name));
    if date::of(&kept, &header::DATE).is_none() {
        kept.set(header::DATE, date::format(answer.received_at));
    }
    if let ClientCacheControl::Set(value) = &route.client_cache_control {
        kept.retain(|name, _| !matches!(name.as_str(), "expires" | "pragma"));
        kept.set(header::CACHE_CONTROL, value.clone());
    }
    kept
}

fn is_dropped(route: &Route, name: &HeaderName) -> bool {
    matches!(name.as_str(), "age" | "content-length" | "x-request-id")
        || route.tag_headers.contains(name)
        || (route.cache.is_anonymous() && is_for_caches(name))
}

/// Fields that tell caches downstream how long to keep a page: on `isr` and `static` nobody but
/// [`crate::config::Route::client_cache_control`] does.
fn is_for_caches(name: &HeaderName) -> bool {
    let name_str = name.as_str();
    *name == CDN_CACHE_CONTROL
        || name_str.starts_with("surrogate-")
        || name_str.ends_with("-cdn-cache-control")
        || matches!(name_str, "expires" | "pragma" | "x-accel-expires")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CacheMode;
    use crate::policy::sample::{NOW, date, fields, route};
    use http::{HeaderValue, StatusCode};

    fn stored(route: &Route, sent: &Fields) -> Fields {
        let answer = Answer { status: StatusCode::OK, fields: sent, requested_at: NOW, received_at: NOW };
        stored_fields(route, &answer)
    }

    #[test]
    fn everything_end_to_end_is_kept_in_order_and_with_repetitions() {
        // RFC 9111 §3.1: including unrecognised fields.
        let today = date(0);
        let sent = fields(&[
            ("x-test-header", "1"),
            ("link", "</a>"),
            ("connection", "a"),
            ("a", "1"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x"),
            ("age", "30"),
            ("cache-tag", "t1 t2"),
            ("set-cookie2", "a=b"),
            ("cache-control", "max-age=60"),
            ("expires", "0"),
            ("cdn-cache-control", "max-age=90"),
            ("date", &today),
            ("link", "</b>"),
            ("cache-status", "origin; hit"),
        ]);
        let kept = fields(&[
            ("x-test-header", "1"),
            ("link", "</a>"),
            ("set-cookie2", "a=b"),
            ("cache-control", "max-age=60"),
            ("expires", "0"),
            ("cdn-cache-control", "max-age=90"),
            ("date", &today),
            ("link", "</b>"),
            ("cache-status", "origin; hit"),
        ]);
        assert_eq!(stored(&route(CacheMode::Headers), &sent), kept);
    }

    #[test]
    fn browsers_get_the_routes_cache_control_and_nobody_a_ttl() {
        // DESIGN §3 "To browsers".
        let today = date(0);
        let sent = fields(&[
            ("cache-control", "s-maxage=31536000"),
            ("cache-control", "public"),
            ("expires", "0"),
            ("pragma", "no-cache"),
            ("cdn-cache-control", "max-age=60"),
            ("vercel-cdn-cache-control", "max-age=60"),
            ("surrogate-control", "max-age=60"),
            ("surrogate-key", "a b"),
            ("x-accel-expires", "60"),
            ("cache-tag", "a"),
            ("set-cookie", "a=b"),
            ("etag", "W/\"1\""),
            ("date", &today),
        ]);
        let kept =
            fields(&[("etag", "W/\"1\""), ("date", &today), ("cache-control", "public, max-age=0, must-revalidate")]);
        assert_eq!(stored(&route(CacheMode::Isr), &sent), kept);
        assert_eq!(stored(&route(CacheMode::Static), &sent), kept);
    }

    #[test]
    fn fields_withheld_by_name_are_not_kept() {
        // RFC 9111 §5.2.2.4, §5.2.2.7.
        let sent = fields(&[
            ("cache-control", "no-cache=\"a, b\", private=\"c\", max-age=60"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("d", "4"),
        ]);
        let kept = stored(&route(CacheMode::Headers), &sent);
        let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["cache-control", "d", "date"]);
    }

    #[test]
    fn set_cookie_is_never_kept() {
        let sent = fields(&[("cache-control", "public, max-age=60"), ("set-cookie", "a=b"), ("set-cookie", "c=d")]);
        for mode in [CacheMode::Headers, CacheMode::Isr, CacheMode::Static] {
            assert!(!stored(&route(mode), &sent).contains(&header::SET_COOKIE), "{mode:?}");
        }
    }

    #[test]
    fn a_missing_or_broken_date_becomes_the_arrival() {
        // RFC 9110 §6.6.1.
        let arrival = HeaderValue::from_str(&date(0)).expect("a date");
        for sent in [fields(&[("a", "1")]), fields(&[("date", "foo")])] {
            let kept = stored(&route(CacheMode::Headers), &sent);
            assert_eq!(kept.get_all(&header::DATE).collect::<Vec<_>>(), [&arrival]);
        }
        let kept = stored(&route(CacheMode::Headers), &fields(&[("date", &date(-60))]));
        assert_eq!(kept, fields(&[("date", &date(-60))]));
    }
}
