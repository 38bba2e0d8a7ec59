//! What the pages of each route had browsers load the last time one was rendered.

use crate::config::{Preload, Route};
use crate::policy::preloads::{Candidate, candidates};
use crate::policy::{Key, Page};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Routes that are remembered; a configuration that is loaded again may bring others.
const MOST: usize = 4096;

/// By the names of routes.
#[derive(Default)]
pub(crate) struct Preloads(Mutex<HashMap<Arc<str>, Arc<Learned>>>);

struct Learned {
    /// The page they stood in.
    key: Key,
    latest: Vec<Candidate>,
    /// Of another page of the route.
    before: Vec<Candidate>,
}

impl Preloads {
    /// Remembers what a page that was just rendered has loaded; `body` is as the origin sent it.
    pub(crate) fn learn(&self, route: &Route, page: &Page, body: &Bytes) {
        let (key, fields) = (&page.key, &page.fields);
        let wanted = route.fallback.as_ref().is_some_and(|fallback| fallback.preload.max > 0);
        if !wanted || page.status != StatusCode::OK || !super::is_html(fields) {
            return;
        }
        let plain = !fields.contains(&header::CONTENT_ENCODING);
        let latest = candidates(key, fields, if plain { body } else { b"" });
        let mut known = self.0.lock();
        let before = match known.get(&route.name) {
            Some(last) if last.key == *key => last.before.clone(),
            Some(last) if last.key.uri().host == key.uri().host => last.latest.clone(),
            _ => Vec::new(),
        };
        if known.len() >= MOST && !known.contains_key(&route.name) {
            known.clear();
        }
        known.insert(Arc::clone(&route.name), Arc::new(Learned { key: key.clone(), latest, before }));
    }

    /// `Link` values for a page of this route that is not there yet: only what was learned on the same site.
    pub(crate) fn links(&self, route: &Route, key: &Key, rule: &Preload) -> Vec<HeaderValue> {
        let Some(learned) = self.0.lock().get(&route.name).cloned() else { return Vec::new() };
        let (there, here) = (learned.key.uri(), key.uri());
        if (there.scheme, there.host) != (here.scheme, here.host) {
            return Vec::new();
        }
        let likely =
            learned.latest.iter().filter(|found| found.is_likely(&learned.before) && found.is_from(&rule.from));
        likely.take(rule.max).map(Candidate::link).collect()
    }
}
