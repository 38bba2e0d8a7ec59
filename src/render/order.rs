//! What of an order is told to people: its path, and that its render failed.

use super::{Engine, Order};
use crate::telemetry::access;

impl Order {
    /// The path; a query may hold what must not stand in a log.
    pub(super) fn path(&self) -> &str {
        let target = &self.request.target;
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The path without secrets that some write into it, as in `;jsessionid=…`.
    pub(super) fn loggable_path(&self) -> String {
        access::loggable_path(self.path(), &self.setup.config.log)
    }

    pub(super) fn record_failure(&self, engine: &Engine, reason: &'static str) {
        let (origin, route) = (self.setup.config.origin(self.origin), self.setup.route(self.route));
        engine.failures.record(&self.key, &origin.name, &route.name, self.path(), reason, engine.now());
    }
}
