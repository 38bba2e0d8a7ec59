//! What would become of a request, and why, in plain words: what `breadbox explain` and `GET /-/explain`
//! say. It asks the functions that decide about requests ([`admit`], [`super::lookup::decide`],
//! [`render_request::build`]) and puts their answers into words; it decides nothing itself.
//!
//! [`of_request`] says what follows from the configuration alone. Who can look into a store adds the
//! rest with [`Explanation::add_state`].

mod asked;
mod key;
mod state;
mod text;
mod words;

pub use asked::{Asked, AskedError};
pub(crate) use key::parameters_that_count;
pub use key::{KeyParts, Keyed, Parameter};
pub use state::{Facts, Failed, Freshness, PageState, RenderUnderWay, State};
pub use words::human;

use super::admission::{Admission, Bypass, Wanted, admit};
use super::host::Host;
use super::render_request;
use super::route::{RouteTable, candidates};
use super::target::Target;
use crate::config::{CacheMode, Config, RouteId};
use serde::Serialize;

/// What would become of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What was asked, as a URL.
    pub url: String,
    /// What would happen.
    pub now: Now,
    /// The route that takes it, if one does.
    pub route: Option<RouteChoice>,
    /// What identifies its page, if it is looked up.
    pub key: Option<KeyParts>,
    /// What a render of it would ask the origin.
    pub render: Option<RenderAsks>,
    /// What is stored and under way; nothing without a running Breadbox.
    pub state: Option<State>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// Lines of `proxy.yaml` that would have pages of the route stored, where they were not.
    pub proxy_yaml: Option<String>,
}

/// What would happen.
#[derive(Clone, Debug, Serialize)]
pub struct Now {
    /// A word of a closed set: `hit`, `stale`, `render`, `backoff`, `not-cached`, `bypass`, `refused`,
    /// `not-found`, `lookup`.
    pub what: &'static str,
    /// Why, as a sentence.
    pub why: String,
}

/// The route that takes a path.
#[derive(Clone, Debug, Serialize)]
pub struct RouteChoice {
    /// Which one.
    #[serde(skip)]
    pub id: RouteId,
    /// Its name.
    pub name: String,
    /// The pattern of it that takes the path.
    pub pattern: String,
    /// `isr`, `static`, `headers` or `off`.
    pub cache: &'static str,
    /// Who renders.
    pub origin: String,
    /// Why it goes before the others.
    pub why: String,
    /// Who says how long its pages live.
    pub lifetime: String,
}

/// What a render would ask.
#[derive(Clone, Debug, Serialize)]
pub struct RenderAsks {
    /// The request-target.
    pub target: String,
    /// All fields, `host` first; `authorization` without its value.
    pub fields: Vec<(String, String)>,
}

/// What follows from the configuration, and the page that the request asks for where it asks for one.
pub fn of_request(config: &Config, table: &RouteTable, asked: &Asked) -> (Explanation, Option<Box<Wanted>>) {
    let mut explanation = Explanation {
        url: asked.url().to_owned(),
        now: Now { what: "refused", why: String::new() },
        route: None,
        key: None,
        render: None,
        state: None,
        notes: Vec::new(),
        proxy_yaml: None,
    };
    match admit(config, table, &asked.incoming()) {
        Admission::Malformed(what) => {
            explanation.now.why = format!("it is answered 400: its {what} cannot be understood in exactly one way");
        }
        Admission::Misdirected => {
            explanation.now.why = "it is answered 421: the host is not among `hosts`".to_owned();
        }
        Admission::Unlisted { by, .. } => explanation.describe_unlisted(config, table, asked, by),
        Admission::Own(_) => {
            explanation.now.why = "it is Breadbox's own: no route has it and no origin hears of it".to_owned();
        }
        Admission::Bypass(bypass) => explanation.describe_bypass(config, asked, &bypass),
        Admission::Lookup(wanted) => {
            explanation.describe_lookup(config, table, asked, &wanted);
            return (explanation, Some(wanted));
        }
    }
    (explanation, None)
}

impl Explanation {
    fn describe_bypass(&mut self, config: &Config, asked: &Asked, bypass: &Bypass) {
        self.route = bypass.route.and_then(|id| choice(config, asked, id));
        let origin = &config.origin(bypass.origin).name;
        let route = bypass.route.map(|id| &**config.route(id));
        let why = words::of_bypass(bypass.reason, route, asked.headers());
        self.now = Now { what: "bypass", why: format!("it goes to origin {origin} as it is: {why}") };
    }

    fn describe_unlisted(&mut self, config: &Config, table: &RouteTable, asked: &Asked, by: RouteId) {
        self.route = choice(config, asked, by);
        let route = config.route(by);
        let read_as = if self.route.is_none() { ", as which another server might read this one" } else { "" };
        let list = words::of_list(route, table.lists().len(by));
        let why = format!(
            "it is answered 404 and the origin is not asked: {list} has no such path of route {}{read_as}",
            route.name
        );
        self.now = Now { what: "not-found", why };
    }

    fn describe_lookup(&mut self, config: &Config, table: &RouteTable, asked: &Asked, wanted: &Wanted) {
        let route = config.route(wanted.route);
        self.route = choice(config, asked, wanted.route);
        self.key = Some(key::parts(config, asked, wanted));
        if route.paths.is_some() {
            self.notes.push(words::of_listed(route, table.lists().len(wanted.route)));
        }
        let request = render_request::build(config, wanted, asked.headers());
        let shown = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let fields = request.fields.iter().map(|(name, value)| {
            let secret = name == http::header::AUTHORIZATION;
            (name.to_string(), if secret { "…".to_owned() } else { shown(value) })
        });
        let host = ("host".to_owned(), shown(&request.host));
        self.render = Some(RenderAsks { target: request.target, fields: [host].into_iter().chain(fields).collect() });
        let why = if route.cache == CacheMode::Headers {
            "its page is looked up; without one it waits for the origin's answer, whose headers say whether it is kept"
        } else {
            "its page is looked up: a fresh one is served, a stale one is served while one render refreshes it, \
             and without one it waits for a render"
        };
        self.now = Now { what: "lookup", why: why.to_owned() };
    }

    /// Adds what is stored and under way for the page, and what that means for the request.
    pub fn add_state(&mut self, facts: &Facts<'_>) {
        self.now = words::of_verdict(facts);
        self.state = Some(state::describe(facts));
        self.notes.extend(state::notes(facts));
    }
}

/// The route `id`, which took the request, and why it did.
fn choice(config: &Config, asked: &Asked, id: RouteId) -> Option<RouteChoice> {
    let Ok(Target::Resource(resource)) = Target::parse(asked.target()) else { return None };
    let host = Host::parse(asked.headers().get(http::header::HOST)?.as_bytes()).ok()?;
    let found = candidates(config, &host, &resource.path);
    let winner = found.iter().find(|candidate| candidate.route == id)?;
    let why = match found.iter().find(|candidate| candidate.route != id) {
        None => "no other route takes the path".to_owned(),
        Some(next) => {
            let (name, pattern) = (&config.route(next.route).name, &next.pattern);
            let shown = if **name == **pattern { name.to_string() } else { format!("{name} ({pattern})") };
            format!("goes before {shown}: {}", winner.why_before(next))
        }
    };
    let route = config.route(id);
    Some(RouteChoice {
        id,
        name: route.name.to_string(),
        pattern: winner.pattern.to_string(),
        cache: words::of_mode(route.cache),
        origin: config.origin(route.origin).name.to_string(),
        why,
        lifetime: words::of_lifetime(route),
    })
}

#[cfg(test)]
mod tests;
