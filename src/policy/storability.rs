//! Whether an answer is stored and for how long (RFC 9111 §3 and §4.2 on `headers`, DESIGN §3 "Who says
//! how long" and §2.5 on `isr` and `static`), and which of its fields are kept (§3.1).
//!
//! It judges one answer by itself. That a failed render replaces no page, that an answer outgrew its
//! bound or was cut short, is the gate's to know, and whether the request may be looked up is the lookup's.

mod configured;
mod headers;
mod stored;

pub use configured::says_stale;
pub use stored::{own_fields, stored_fields};

use super::cache_control::{Stated, cache_control};
use super::fields::Fields;
use super::page::Lifetime;
use super::time::Timestamp;
use super::vary;
use crate::config::{CacheMode, Respect, Revalidate, Route};
use http::{StatusCode, header};

/// What an origin answered, as far as policy is concerned. `fields` are the origin's own, untouched.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The final status.
    pub status: StatusCode,
    /// All fields, in the order in which they were sent.
    pub fields: &'a Fields,
    /// When the request was sent.
    pub requested_at: Timestamp,
    /// When the answer's head arrived.
    pub received_at: Timestamp,
}

/// Whether an answer is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storability {
    /// It is, for this long; possibly stale already.
    Store(Lifetime),
    /// It is not, and it must not reach a second client (DESIGN §2.6).
    Uncacheable(Reason),
}

/// Why an answer is not stored: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The route keeps nothing.
    Off,
    /// The status is not one that is stored there.
    Status,
    /// 206: a part is not the whole.
    Partial,
    /// `private`
    Private,
    /// `no-store`
    NoStore,
    /// `CDN-Cache-Control: private`
    CdnPrivate,
    /// `CDN-Cache-Control: no-store`
    CdnNoStore,
    /// `Vary: *`, or a `Vary` that cannot be read.
    VaryStar,
    /// It sets a cookie.
    SetCookie,
    /// The request carried credentials and the answer does not say that it is shared (RFC 9111 §3.5).
    Authorization,
    /// `must-understand` with a status that is not understood (RFC 9111 §5.2.2.3).
    NotUnderstood,
    /// Nothing says how long it is fresh, or it never is and cannot be validated either.
    NoFreshness,
}

impl Reason {
    /// Every value.
    pub const ALL: [Reason; 12] = [
        Reason::Off,
        Reason::Status,
        Reason::Partial,
        Reason::Private,
        Reason::NoStore,
        Reason::CdnPrivate,
        Reason::CdnNoStore,
        Reason::VaryStar,
        Reason::SetCookie,
        Reason::Authorization,
        Reason::NotUnderstood,
        Reason::NoFreshness,
    ];

    /// The word for logs, `explain` and `detail`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Off => "off",
            Reason::Status => "status",
            Reason::Partial => "partial",
            Reason::Private => "private",
            Reason::NoStore => "no-store",
            Reason::CdnPrivate => "cdn-private",
            Reason::CdnNoStore => "cdn-no-store",
            Reason::VaryStar => "vary-star",
            Reason::SetCookie => "set-cookie",
            Reason::Authorization => "authorization",
            Reason::NotUnderstood => "not-understood",
            Reason::NoFreshness => "no-freshness",
        }
    }
}

/// Judges an answer. `authorized` says whether the request carried `Authorization`; `spread`, in
/// 0..=1, how much of the shortening by up to a tenth to apply on `isr` (it does nothing elsewhere).
pub fn judge(route: &Route, authorized: bool, answer: &Answer<'_>, spread: f64) -> Storability {
    match route.cache {
        CacheMode::Off => Storability::Uncacheable(Reason::Off),
        CacheMode::Headers => headers::judge(route, authorized, answer),
        CacheMode::Isr | CacheMode::Static => configured::judge(route, authorized, answer, spread),
    }
}

/// Whether config overrules an answer's `private` or `no-store` on this route: what the operator is
/// told about once a route (DESIGN §3).
pub fn overrules(route: &Route, fields: &Fields) -> bool {
    if !route.cache.is_anonymous() || matches!(route.revalidate, Revalidate::FromHeaders { .. }) {
        return false;
    }
    let Respect { private, no_store } = route.respect;
    let said = cache_control(fields);
    (said.private == super::cache_control::Scope::Whole && !private) || (said.no_store && !no_store)
}

/// The statuses that RFC 9110 defines and that need nothing which is missing here: those that
/// `must-understand` is satisfied with. 206 and 304 are no pages.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// `no-store`, and `must-understand` that lifts it or adds to it (RFC 9111 §5.2.2.3, §5.2.2.5).
fn no_store(stated: &Stated, status: StatusCode) -> Option<Reason> {
    let directives = &stated.directives;
    if directives.must_understand {
        return (!is_understood(status)).then_some(Reason::NotUnderstood);
    }
    let reason = if stated.targeted { Reason::CdnNoStore } else { Reason::NoStore };
    directives.no_store.then_some(reason)
}

fn private(stated: &Stated) -> Option<Reason> {
    let reason = if stated.targeted { Reason::CdnPrivate } else { Reason::Private };
    (stated.directives.private == super::cache_control::Scope::Whole).then_some(reason)
}

fn vary_star(answer: &Answer<'_>) -> Option<Reason> {
    vary::names(answer.fields).is_err().then_some(Reason::VaryStar)
}

fn sets_cookie(answer: &Answer<'_>) -> bool {
    answer.fields.contains(&header::SET_COOKIE)
}

#[cfg(test)]
mod laws;
