//! What waiters are told of an answer before its body: a value, made by the task that renders. It does
//! not say who may read on; the flight does.

use crate::policy::encoding::Coding;
use crate::policy::vary::Selecting;
use crate::policy::{Fields, Timestamp};
use http::{HeaderName, StatusCode};

/// The head of an answer, ready for clients.
#[derive(Debug)]
pub(crate) struct Head {
    /// The origin's status.
    pub(crate) status: StatusCode,
    /// End-to-end fields as clients get them.
    pub(crate) fields: Fields,
    /// The fields for the request that started it, where others get fewer: what the answer withholds
    /// from them by name, and cookies.
    pub(crate) for_starter: Option<Fields>,
    /// The coding that the origin chose although it was asked for none; the page can be had without.
    pub(crate) coding: Coding,
    /// `Content-Length`, where the origin sent one.
    pub(crate) length: Option<u64>,
    /// What kind of answer it is.
    pub(crate) kind: HeadKind,
    /// What selects the variant (`cache: headers`); waiters whose request differs need their own render.
    pub(crate) selecting: Box<[Selecting]>,
    /// Fields the page varies on although the route does not key on them.
    pub(crate) unkeyed_vary: Box<[HeaderName]>,
    /// Why it is for one client only, where more is known than that it is.
    pub(crate) why: Option<&'static str>,
    /// When the origin made it, where that counts for `Age`.
    pub(crate) born: Option<Timestamp>,
}

impl Head {
    /// Whether an error page of the route's stands for it: what the origin refused, or failed at. A
    /// challenge does not count, because its fields are what the client needs.
    pub(crate) fn gives_way_to_an_error_page(&self) -> bool {
        let challenges = [StatusCode::UNAUTHORIZED, StatusCode::PROXY_AUTHENTICATION_REQUIRED].contains(&self.status);
        self.has_failed() || (self.kind == HeadKind::Refusal && !challenges)
    }

    /// Whether the origin said that it cannot: a waiter with a stale page serves that.
    pub(crate) fn has_failed(&self) -> bool {
        let refused = matches!(self.kind, HeadKind::Refusal | HeadKind::Private);
        refused && (self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS)
    }
}

/// What an answer is to those who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadKind {
    /// Will be stored if it arrives whole.
    Storable,
    /// Will be stored, but must be validated before every use: for the request that started it only.
    ValidateAlways,
    /// Not stored: what the origin itself said (500, 403, 429, …).
    Refusal,
    /// Not stored and for one client only.
    Private,
}
