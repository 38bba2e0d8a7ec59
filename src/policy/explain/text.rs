//! An explanation as text: one thing a line, its name in front.

use super::key::KeyParts;
use super::state::{Freshness, PageState, RenderUnderWay, State};
use super::words::human;
use super::{Explanation, RouteChoice};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "GET {}\n", clean(&self.url))?;
        line(f, "now", &format!("{}: {}", self.now.what, self.now.why))?;
        if let Some(route) = &self.route {
            of_route(f, route)?;
        }
        if let Some(key) = &self.key {
            of_key(f, key)?;
        }
        match &self.state {
            Some(state) => of_state(f, state)?,
            None if self.key.is_some() => line(f, "page", "unknown: this is said from the file alone")?,
            None => {}
        }
        if let Some(render) = &self.render {
            line(f, "render", &format!("GET {}", render.target))?;
            for (name, value) in &render.fields {
                line(f, "", &format!("{name}: {value}"))?;
            }
        }
        for note in &self.notes {
            line(f, "note", note)?;
        }
        if let Some(lines) = &self.proxy_yaml {
            line(
                f,
                "note",
                "HTML pages of this route could not be stored; these lines of proxy.yaml make them ISR; under bypass, name the cookies of signed-in visitors:",
            )?;
            writeln!(f, "\n{lines}")?;
        }
        Ok(())
    }
}

/// Nothing in a value may act on the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

fn line(f: &mut Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(f, "{name:<9}{}", clean(text))
}

fn of_route(f: &mut Formatter<'_>, route: &RouteChoice) -> fmt::Result {
    let pattern = if route.pattern == route.name { String::new() } else { format!(" by {}", route.pattern) };
    line(f, "route", &format!("{}{pattern} (cache: {}, origin {})", route.name, route.cache, route.origin))?;
    line(f, "", &route.why)?;
    line(f, "", &route.lifetime)
}

fn of_key(f: &mut Formatter<'_>, key: &KeyParts) -> fmt::Result {
    let query = key.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    line(f, "key", &format!("{}://{}{}{query}", key.scheme, key.host, key.path))?;
    for (weight, words) in [
        ("counts", "parameters that count"),
        ("tracking", "tracking, left out"),
        ("not-listed", "left out, as the route's `query` says"),
    ] {
        let of_weight: Vec<&str> =
            key.parameters.iter().filter(|one| one.weight == weight).map(|one| &*one.parameter).collect();
        if !of_weight.is_empty() {
            line(f, "", &format!("{words}: {}", of_weight.join(" ")))?;
        }
    }
    for keyed in &key.variant {
        let value = keyed.value.as_deref().map_or("not sent".to_owned(), |value| format!("`{value}`"));
        line(f, "", &format!("variant by {}: {value}", keyed.what))?;
    }
    if !key.ignored.is_empty() {
        line(f, "", &format!("sent, but does not count: {}", key.ignored.join(", ")))?;
    }
    Ok(())
}

fn of_state(f: &mut Formatter<'_>, state: &State) -> fmt::Result {
    match &state.page {
        Some(page) => of_page(f, page, state.purge_sequence)?,
        None => line(f, "page", "none is stored")?,
    }
    let render = match state.render {
        Some(RenderUnderWay::Waiting) => "one waits for its turn",
        Some(RenderUnderWay::Running) => "one is running",
        None => "none of this page is under way",
    };
    let backing_off = state.backing_off_ms.map(|millis| {
        format!("; the next is tried in {}, because the last one failed", human(Duration::from_millis(millis)))
    });
    line(f, "renders", &format!("{render}{}", backing_off.unwrap_or_default()))?;
    let (running, waiting) = (state.origin_renders_running, state.origin_renders_waiting);
    line(f, "", &format!("of the origin: {running} running, {waiting} waiting"))?;
    if state.uncacheable {
        line(f, "", "answers for this key are remembered as not to be shared")?;
    }
    Ok(())
}

fn of_page(f: &mut Formatter<'_>, page: &PageState, purge_sequence: u64) -> fmt::Result {
    let age = human(Duration::from_secs(page.age));
    let state = match (page.freshness, page.ttl) {
        (Freshness::Fresh, Some(ttl)) => format!("fresh, {age} old, for another {ttl} s"),
        (Freshness::Fresh, None) => format!("fresh, {age} old, until it is purged"),
        // What a purge or a deploy has made stale has time left on paper.
        (Freshness::Stale, None | Some(0..)) => format!("stale within its lifetime, {age} old"),
        (Freshness::Stale, Some(ttl)) => format!("stale by {} s, {age} old", -ttl),
        (Freshness::Expired, _) => format!("past all its windows, {age} old"),
        (Freshness::Void, _) => format!("purged, {age} old: never served as it is"),
    };
    line(f, "page", &state)?;
    let etag = page.etag.as_ref().map(|etag| format!(", ETag {etag}")).unwrap_or_default();
    line(
        f,
        "",
        &format!(
            "status {}, {} bytes ({} stored {}){etag}",
            page.status, page.body_bytes, page.stored_bytes, page.place
        ),
    )?;
    let coded = page.encodings.iter().map(|one| {
        format!("{} {} bytes{}", one.coding, one.bytes, if one.kept { "" } else { " (made when asked for)" })
    });
    let pending = if page.encodings_pending { "; others are being made" } else { "" };
    line(f, "", &format!("in {}{pending}", coded.collect::<Vec<_>>().join(", ")))?;
    let window = |seconds: Option<u64>| match seconds {
        None => "for ever".to_owned(),
        Some(0) => "not any more".to_owned(),
        Some(seconds) => format!("for another {}", human(Duration::from_secs(seconds))),
    };
    let (refreshed, fails) = (window(page.while_revalidate), window(page.if_error));
    line(f, "", &format!("may be served while it is refreshed: {refreshed}; if its refresh fails: {fails}"))?;
    if !page.tags.is_empty() {
        line(f, "", &format!("tags: {}", page.tags.join(" ")))?;
    }
    if !page.varies_on.is_empty() {
        line(f, "", &format!("varies on: {}", page.varies_on.join(", ")))?;
    }
    line(f, "", &format!("purge sequence {} (now {purge_sequence})", page.purge_sequence))
}
