//! What a lookup would find now and what would be done about it, without doing it: no render is started,
//! and the popularity of the page stays what it was.

use super::super::question::Seen;
use super::Lookup;
use crate::front::fallback::Visitor;
use crate::policy::Standing;
use crate::policy::admission::Wanted;
use crate::policy::explain::{self, Asked, Explanation, Facts, Failed};
use crate::policy::lookup::KeyState;
use crate::render::{Engine, Setup};
use std::sync::Arc;

/// Explains a request that was not sent, by the configuration in force.
pub(crate) async fn explain(engine: &Arc<Engine>, asked: &Asked) -> Explanation {
    let setup = engine.setup();
    let (mut explanation, wanted) = explain::of_request(&setup.config, &setup.routes, asked);
    if let Some(wanted) = wanted {
        add_state(&mut explanation, engine, &setup, &wanted, asked).await;
    }
    let id = explanation.route.as_ref().map(|route| route.id);
    explanation.proxy_yaml = id.and_then(|id| setup.notices.remedy(&setup.config, id));
    explanation
}

async fn add_state(said: &mut Explanation, engine: &Arc<Engine>, setup: &Arc<Setup>, wanted: &Wanted, asked: &Asked) {
    let mut lookup = Lookup::new(engine, Arc::clone(setup), wanted, asked.headers().clone());
    lookup.recall().await;
    let now = engine.now();
    lookup.meet(&mut Visitor::default(), now);
    let seen = lookup.look();
    let void = lookup.void(&seen);
    let scheduler = setup.scheduler(wanted.origin);
    said.add_state(&Facts {
        verdict: lookup.decide(&seen, now),
        page: seen.page.as_deref().map(|page| &**page),
        void: void.as_deref(),
        place: engine.store.whereabouts(seen.flight()),
        anonymous: lookup.route.cache.is_anonymous(),
        key_state: KeyState {
            uncacheable: engine.store.is_uncacheable(seen.flight(), now),
            backing_off_until: engine.backing_off_until(setup, seen.flight(), wanted.origin, now),
            only_if_cached: false,
            standing: seen.page.as_deref().map(|page| engine.standing(&setup.config, page)).unwrap_or_default(),
            audience: lookup.audience,
        },
        under_way: engine.under_way(seen.flight()),
        last_failure: engine
            .failures
            .last_of(seen.flight())
            .map(|failed| Failed { reason: failed.reason, at: failed.at }),
        origin_renders: (scheduler.in_flight(), scheduler.waiting()),
        purge_sequence: engine.store.purge_seq(),
        now,
    });
}

impl Lookup<'_> {
    /// The page that the lookup passed over because a purge has covered it.
    fn void(&self, seen: &Seen) -> Option<Arc<crate::policy::Page>> {
        if seen.page.is_some() {
            return None;
        }
        let stored = self.engine.store.stored(&self.wanted.key, &self.headers)?;
        (self.engine.store.standing(&stored) == Standing::Void).then_some(stored)
    }
}
