//! What the origin's answer to a forwarded HEAD says of the page that is stored for GET (RFC 9111
//! §4.3.5). Most HEADs are answered from that page; this is for those that had to be forwarded. The
//! comparison is [`merge::head_update`]'s.

use crate::config::Route;
use crate::policy::merge::{self, HeadUpdate};
use crate::policy::storability::{Answer, Storability};
use crate::policy::{Fields, Page, PurgeSeq, Timestamp};
use crate::render::Engine;
use http::{HeaderMap, StatusCode, header};
use std::sync::Arc;

/// A forwarded HEAD for whose URI a page is stored.
pub(super) struct ForwardedHead {
    /// The page.
    pub(super) page: Arc<Page>,
    /// What had been purged when the request was forwarded.
    pub(super) purge_seq: PurgeSeq,
    /// When that was.
    pub(super) requested_at: Timestamp,
    /// It carried credentials.
    pub(super) authorized: bool,
    /// Whether the client allows its answer to be used (no `no-store`).
    pub(super) may_renew: bool,
}

impl ForwardedHead {
    /// Renews the page, takes it out of the store, or leaves it, by what the origin answered.
    pub(super) fn settle(&self, engine: &Engine, route: &Route, status: StatusCode, headers: &HeaderMap) {
        let fields = Fields::from(headers);
        let received_at = engine.now();
        let answer = Answer { status, fields: &fields, requested_at: self.requested_at, received_at };
        match merge::head_update(route, self.authorized, &*self.page, &answer, 0.0) {
            HeadUpdate::Invalid => engine.store.remove(&self.page.key),
            HeadUpdate::Renewed(renewal) if self.may_renew => {
                let Storability::Store(lifetime) = renewal.storability else { return };
                let (page, fields) = (&*self.page, renewal.fields);
                let representations = page.representations.clone().retagged(fields.get(&header::ETAG));
                let renewed = Page { fields, representations, lifetime, purge_seq: self.purge_seq, ..page.clone() };
                engine.store.put(Arc::new(renewed), route.max_variants);
            }
            HeadUpdate::Renewed(_) | HeadUpdate::Unrelated => {}
        }
    }
}
