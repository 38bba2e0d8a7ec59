//! A page that nobody has asked for is looked up, and rendered where there is none that is fresh: what a
//! visitor's request would start, without a visitor.

use super::{Lookup, Seen};
use crate::policy::admission::{Admission, admit};
use crate::policy::explain::Asked;
use crate::policy::lookup::{Refresh, Verdict};
use crate::render::Engine;
use std::sync::Arc;

/// What became of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Warmed {
    /// It was rendered and is kept.
    Rendered,
    /// It was there, or somebody else has it rendered.
    Kept,
    /// Nothing of it is kept; a word of a closed set says why.
    NotKept(&'static str),
    /// Its render failed; a word of a closed set says how.
    Failed(&'static str),
}

/// Looks the page of this request up and renders it where that is wanted.
pub(in crate::front) async fn warm(engine: &Arc<Engine>, asked: &Asked) -> Warmed {
    let setup = engine.setup();
    let wanted = match admit(&setup.config, &setup.routes, &asked.incoming()) {
        Admission::Lookup(wanted) => wanted,
        Admission::Bypass(bypass) => return Warmed::NotKept(bypass.reason.as_str()),
        Admission::Unlisted { .. } => return Warmed::NotKept("unknown-path"),
        Admission::Misdirected => return Warmed::NotKept("host"),
        Admission::Malformed(what) => return Warmed::NotKept(what),
        Admission::Own(_) => return Warmed::NotKept("own"),
    };
    let lookup = Lookup::new(engine, setup, &wanted, asked.headers().clone());
    // What is on disk need not be rendered.
    lookup.recall().await;
    let seen = lookup.look();
    let now = engine.now();
    let verdict = lookup.decide(&seen, now);
    match verdict {
        Verdict::Stale(Refresh::Start) | Verdict::Render { .. } => {}
        other => return lookup.warmed(&seen, other, Warmed::Kept),
    }
    let still_wanted = || lookup.decide(&lookup.look(), now) == verdict;
    let by = lookup.question().renderer();
    let Some(flight) = engine.refresh(seen.flight(), by, still_wanted, || lookup.order_of(&seen, None, false)) else {
        return Warmed::Kept;
    };
    flight.ended().await;
    let seen = lookup.look();
    lookup.warmed(&seen, lookup.decide(&seen, engine.now()), Warmed::Rendered)
}

impl Lookup<'_> {
    /// What a verdict says about the page; `there` where it is.
    fn warmed(&self, seen: &Seen, verdict: Verdict, there: Warmed) -> Warmed {
        match verdict {
            Verdict::Fresh | Verdict::Stale(_) => match seen.page.as_ref().map(|page| page.status.as_u16()) {
                Some(404) => Warmed::Failed("404"),
                Some(410) => Warmed::Failed("410"),
                _ => there,
            },
            Verdict::Bypass(why) => Warmed::NotKept(why.as_str()),
            Verdict::BackingOff { .. } => {
                let failed = self.engine.failures.last_of(seen.flight());
                Warmed::Failed(failed.map_or("backoff", |failed| failed.reason))
            }
            Verdict::Render { .. } | Verdict::NotCached => Warmed::NotKept("not stored"),
        }
    }
}
