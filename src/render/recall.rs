//! Pages that memory has not and the disk may have, brought back for a request, or because they are popular
//! and may have to be rendered again.

use super::{Engine, Route, Setup};
use crate::policy::{Key, RequestFields, again};
use crate::store::Found;
use http::HeaderMap;
use std::sync::Arc;

impl Engine {
    /// Brings what is kept for a request from disk into memory, if memory has it not; whether there was
    /// something. A page that left memory, or the process that had it, before its codings were made gets them.
    pub(crate) async fn recall(self: &Arc<Self>, setup: &Setup, route: &Route, key: &Key, headers: &HeaderMap) -> bool {
        let recalled = self.store.recall(key, headers).await;
        if recalled {
            self.encode_recalled(setup, route, key, headers.into());
        }
        recalled
    }

    /// The same without waiting for the device: pages that the system has read before, as a rule.
    pub(crate) fn recall_now(
        self: &Arc<Self>,
        setup: &Setup,
        route: &Route,
        key: &Key,
        headers: RequestFields<'_>,
    ) -> bool {
        let recalled = self.store.recall_now(key, headers);
        if recalled {
            self.encode_recalled(setup, route, key, headers);
        }
        recalled
    }

    fn encode_recalled(self: &Arc<Self>, setup: &Setup, route: &Route, key: &Key, headers: RequestFields<'_>) {
        if let Found::Page(page) = self.store.find(key, headers) {
            self.encode_later(setup, route, &page);
        }
    }

    /// The same for a page that nobody asks for now, as long as it pushes out no other.
    pub(super) async fn recall_popular(self: &Arc<Self>, setup: &Setup, key: &Key) {
        if self.store.has_room()
            && let Some((wanted, headers)) = again::wanted(&setup.config, &setup.routes, key)
        {
            self.recall(setup, setup.route(wanted.route), key, &headers).await;
        }
    }

    /// Has pages looked at that a purge or a deploy before the start has made stale, once they can be read.
    pub(super) async fn go_on_after_a_start(self: Arc<Self>) {
        if self.store.opened().await {
            self.purged.notify_one();
        }
    }
}
