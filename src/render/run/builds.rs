//! What a render does because builds of the origin come and go: assets that never change under their
//! URL outlive theirs, and whoever never announces a deploy is told that pages will.

use super::Run;
use crate::config::{CacheMode, Revalidate};
use crate::policy::{Lifetime, Timestamp};
use http::StatusCode;
use std::time::Duration;

/// Builds of origins are expected to run for less.
const LONG_LIVED: Duration = Duration::from_secs(86_400);

impl Run<'_> {
    /// Whether the page never changes under its URL (`immutable_assets`).
    pub(super) fn is_immutable(&self) -> bool {
        self.order.setup.config.deploys.immutable_assets.matches(self.order.path())
    }

    /// Whatever becomes of an asset at the origin, the pages that link it need it.
    pub(super) fn keep_for_every_build(&self, status: StatusCode, lifetime: &mut Lifetime) {
        if status == StatusCode::OK && self.is_immutable() {
            lifetime.while_revalidate_until = Timestamp::FOREVER;
            lifetime.if_error_until = Timestamp::FOREVER;
        }
    }

    /// The origin's own word that a page is good for longer than its build may run.
    pub(super) fn note_lifetime(&self, lifetime: &Lifetime) {
        let by_headers = self.route.cache == CacheMode::Headers
            || (self.route.cache == CacheMode::Isr && matches!(self.route.revalidate, Revalidate::FromHeaders { .. }));
        let long = lifetime.has_ttl && lifetime.fresh_until.since(lifetime.born) > LONG_LIVED;
        if by_headers && long && !self.is_immutable() && self.engine.build().is_none() {
            self.order.setup.notices.outlives_deploys(&self.order.setup.config, self.order.route);
        }
    }
}
