//! What is stored for a key and what is under way, as numbers and words. Whoever can look gathers the
//! [`Facts`]; here they are only described.

use super::words::human;
use crate::policy::freshness::{self, age, ttl};
use crate::policy::lookup::{KeyState, Verdict};
use crate::policy::{Page, PurgeSeq, Standing, Timestamp, encoding, vary};
use http::header::{COOKIE, ETAG};
use serde::Serialize;

/// What was found out about a key.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What policy says about the request.
    pub verdict: Verdict,
    /// The page for the request.
    pub page: Option<&'a Page>,
    /// A page that a purge has made void.
    pub void: Option<&'a Page>,
    /// Where the page is kept.
    pub place: &'static str,
    /// Whether the route's renders are anonymous.
    pub anonymous: bool,
    /// What else the verdict went by.
    pub key_state: KeyState,
    /// The render of the key that is under way.
    pub under_way: Option<RenderUnderWay>,
    /// The last failure of a render of the key that is remembered.
    pub last_failure: Option<Failed>,
    /// Renders of the origin that run, and that wait for their turn.
    pub origin_renders: (usize, usize),
    /// The purge sequence.
    pub purge_sequence: PurgeSeq,
    /// The point in time that all of it is about.
    pub now: Timestamp,
}

/// How far a render is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RenderUnderWay {
    /// It waits for its turn.
    Waiting,
    /// The origin has been asked.
    Running,
}

/// A render that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// A word of a closed set.
    pub reason: &'static str,
    /// When.
    pub at: Timestamp,
}

/// What is stored and under way.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    /// The page, fresh, stale or void.
    pub page: Option<PageState>,
    /// The purge sequence now.
    pub purge_sequence: u64,
    /// Whether answers for the key are remembered as not to be shared.
    pub uncacheable: bool,
    /// The render of the key that is under way.
    pub render: Option<RenderUnderWay>,
    /// Milliseconds until the next render is tried.
    pub backing_off_ms: Option<u64>,
    /// Why the last render of the key failed, if that is remembered.
    pub last_failure: Option<&'static str>,
    /// How many milliseconds ago that was.
    pub last_failure_ms_ago: Option<u64>,
    /// Renders of the origin that run now.
    pub origin_renders_running: usize,
    /// Renders of the origin that wait for their turn.
    pub origin_renders_waiting: usize,
}

/// What a page may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// Within its lifetime.
    Fresh,
    /// Past it, within a window.
    Stale,
    /// Past all windows.
    Expired,
    /// Purged.
    Void,
}

/// A page in one content coding.
#[derive(Clone, Debug, Serialize)]
pub struct EncodingState {
    /// The coding's name; `identity` is none.
    pub coding: &'static str,
    /// Bytes of the body.
    pub bytes: u64,
    /// Whether the body is kept; if not, it is made from another coding whenever it is asked for.
    pub kept: bool,
}

/// A stored page.
#[derive(Clone, Debug, Serialize)]
pub struct PageState {
    /// What it may be used for.
    pub freshness: Freshness,
    /// Where it is kept.
    pub place: &'static str,
    /// Seconds.
    pub age: u64,
    /// Seconds; negative once it is stale. Nothing where it is kept until it is purged.
    pub ttl: Option<i64>,
    /// Seconds for which it may still be served stale while it is refreshed; nothing: for ever.
    pub while_revalidate: Option<u64>,
    /// Seconds for which it may still be served if its refresh fails; nothing: for ever.
    pub if_error: Option<u64>,
    /// The status it is served with.
    pub status: u16,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// The content codings that clients may get it in, the smallest first.
    pub encodings: Vec<EncodingState>,
    /// Whether codings are still to be made.
    pub encodings_pending: bool,
    /// Bytes it takes in the store, everything counted.
    pub stored_bytes: usize,
    /// Its `ETag` towards clients.
    pub etag: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Fields of its `Vary` that the route does not key on.
    pub unkeyed_vary: Vec<String>,
    /// On `headers`: the fields that select it among its variants.
    pub varies_on: Vec<String>,
    /// The purge sequence that its render saw.
    pub purge_sequence: u64,
}

pub(super) fn describe(facts: &Facts<'_>) -> State {
    let page = facts.page.map(|page| of_page(page, of_freshness(page, facts), facts));
    let void = || facts.void.map(|page| of_page(page, Freshness::Void, facts));
    let backing_off = facts.key_state.backing_off_until.filter(|until| facts.now < *until);
    State {
        page: page.or_else(void),
        purge_sequence: facts.purge_sequence.0,
        uncacheable: facts.key_state.uncacheable,
        render: facts.under_way,
        backing_off_ms: backing_off.map(|until| until.millis() - facts.now.millis()),
        last_failure: facts.last_failure.map(|failed| failed.reason),
        last_failure_ms_ago: facts.last_failure.map(|failed| facts.now.millis().saturating_sub(failed.at.millis())),
        origin_renders_running: facts.origin_renders.0,
        origin_renders_waiting: facts.origin_renders.1,
    }
}

fn of_freshness(page: &Page, facts: &Facts<'_>) -> Freshness {
    match freshness::state(&page.lifetime, facts.now) {
        freshness::State::Fresh if facts.key_state.standing != Standing::Fine => Freshness::Stale,
        freshness::State::Fresh => Freshness::Fresh,
        freshness::State::WhileRevalidate | freshness::State::IfError => Freshness::Stale,
        freshness::State::Void => Freshness::Expired,
    }
}

fn of_page(page: &Page, freshness: Freshness, facts: &Facts<'_>) -> PageState {
    let now = facts.now;
    let left = |until: Timestamp| (until != Timestamp::FOREVER).then(|| until.since(now).as_secs());
    let etag = page.fields.get(&ETAG).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    PageState {
        freshness,
        place: facts.place,
        age: age(&page.lifetime, now),
        ttl: page.lifetime.has_ttl.then(|| ttl(&page.lifetime, now)),
        while_revalidate: left(page.lifetime.while_revalidate_until),
        if_error: left(page.lifetime.if_error_until),
        status: page.status.as_u16(),
        body_bytes: page.representations.original().len,
        encodings: page.representations.all().iter().map(of_encoding).collect(),
        encodings_pending: page.representations.state() == encoding::State::Pending,
        stored_bytes: page.weight(),
        etag,
        tags: page.tags.iter().map(|tag| tag.to_string()).collect(),
        unkeyed_vary: page.unkeyed_vary.iter().map(ToString::to_string).collect(),
        varies_on: page.selecting.iter().map(|one| one.name.to_string()).collect(),
        purge_sequence: page.purge_seq.0,
    }
}

fn of_encoding(one: &encoding::Representation) -> EncodingState {
    EncodingState { coding: one.coding.as_str(), bytes: one.len, kept: one.body.is_some() }
}

/// What a reader of the numbers would miss.
pub(super) fn notes(facts: &Facts<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(failed) = facts.last_failure {
        let ago = human(facts.now.since(failed.at));
        notes.push(format!("its last failed render was {ago} ago: {}", failed.reason));
    }
    let Some(page) = facts.page.or(facts.void) else { return notes };
    let names: Vec<&str> = page.unkeyed_vary.iter().map(http::HeaderName::as_str).collect();
    if !names.is_empty() {
        notes.push(format!(
            "the page's Vary names {} and the route does not key on that: requests that carry it are bypasses; \
             `vary: {{ headers: [{}] }}` on the route stores a page for each value",
            names.join(", "),
            names.join(", ")
        ));
    }
    if facts.anonymous && vary::names(&page.fields).is_ok_and(|names| names.contains(&COOKIE)) {
        notes.push(
            "the page says `Vary: Cookie`, which does not matter here: renders carry none but the cookies that the \
             route keys on; `bypass: { cookies: [...] }` sends signed-in visitors to the origin"
                .to_owned(),
        );
    }
    if page.lifetime.while_revalidate_until <= page.lifetime.fresh_until && page.lifetime.has_ttl {
        notes.push("the page may not be served stale: its response or the route's `stale` forbids it".to_owned());
    }
    notes
}
