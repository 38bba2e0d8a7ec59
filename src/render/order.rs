//! What of an order is told to people: its path, and that its render failed.

use super::{Engine, Order};

impl Order {
    /// The path for the log; a query may hold what must not stand there.
    pub(super) fn path(&self) -> &str {
        let target = &self.request.target;
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    pub(super) fn record_failure(&self, engine: &Engine, reason: &'static str) {
        let (origin, route) = (self.setup.config.origin(self.origin), self.setup.route(self.route));
        engine.failures.record(&self.key, &origin.name, &route.name, self.path(), reason, engine.now());
    }
}
