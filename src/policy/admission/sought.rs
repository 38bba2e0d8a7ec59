//! What a request asks for, borrowed from it: enough to look a page up. What a render or a bypass needs is
//! written out only where there is one.

use super::{Bypass, BypassReason, Effect, Incoming, Wanted, counted};
use crate::config::{Config, OriginId, RouteId, Scheme};
use crate::policy::host::Host;
use crate::policy::key::KeyRef;
use crate::policy::query::Counted;
use crate::policy::target::Resource;
use http::Method;

/// A request that was understood.
#[derive(Debug)]
pub struct Understood<'a> {
    pub(super) route: Option<RouteId>,
    pub(super) origin: OriginId,
    pub(super) scheme: Scheme,
    pub(super) host: Host<'a>,
    /// Nothing where `*` was asked for.
    pub(super) resource: Option<Resource<'a>>,
}

impl Understood<'_> {
    /// The request as a bypass.
    pub(super) fn bypass(&self, incoming: &Incoming<'_>, reason: BypassReason) -> Bypass {
        Bypass {
            reason,
            origin: self.origin,
            route: self.route,
            scheme: self.scheme,
            host: self.host.authority(self.scheme).into(),
            target: self.resource.as_ref().map_or(&b"*"[..], |resource| &resource.origin_form).into(),
            effect: if incoming.method.is_safe() { Effect::Safe } else { Effect::Unsafe },
        }
    }
}

/// What identifies a page, and what was found on the way.
#[derive(Debug)]
pub(super) struct Found<'k> {
    pub(super) key: KeyRef<'k>,
    pub(super) query: Query,
    pub(super) is_rsc: bool,
}

/// What becomes of the query.
#[derive(Clone, Copy, Debug)]
pub(super) enum Query {
    /// What of it counts is in the key and sent.
    Counts {
        /// Whether there are tracking parameters, too.
        has_tracking: bool,
    },
    /// All of it is, as it came.
    Untouched,
}

/// The page a request asks for: a borrowed [`Wanted`].
#[derive(Debug)]
pub struct Sought<'a, 'k> {
    /// The route that takes it.
    pub route: RouteId,
    pub(super) understood: Understood<'a>,
    pub(super) found: Found<'k>,
}

impl<'k> Sought<'_, 'k> {
    /// What identifies the page.
    pub fn key(&self) -> KeyRef<'k> {
        self.found.key
    }

    /// Who renders it.
    pub fn origin(&self) -> OriginId {
        self.understood.origin
    }

    /// Whether the request has tracking parameters, which a redirect gets appended.
    pub fn has_tracking(&self) -> bool {
        matches!(self.found.query, Query::Counts { has_tracking: true })
    }

    /// All that a render needs to know.
    pub fn wanted(&self, config: &Config, incoming: &Incoming<'_>) -> Wanted {
        let Understood { origin, scheme, ref host, ref resource, .. } = self.understood;
        let resource = resource.as_ref().expect("what is looked up has a path");
        let counted = match (self.found.query, resource.raw_query) {
            // Most who look a page up need no more than its key, so what counted is not carried around.
            (Query::Counts { .. }, Some(query)) => {
                counted(config, config.route(self.route), query, self.found.is_rsc).unwrap_or_default()
            }
            _ => Counted::default(),
        };
        let sent = match self.found.query {
            Query::Counts { .. } => counted.sent(),
            Query::Untouched => resource.raw_query.map(|query| String::from_utf8_lossy(query).into_owned()),
        };
        Wanted {
            route: self.route,
            origin,
            key: self.found.key.into(),
            scheme,
            host: host.authority(scheme).into(),
            target: sent.map_or_else(|| resource.path.to_string(), |sent| format!("{}?{sent}", resource.path)),
            tracking: counted.tracking(),
            method_is_head: *incoming.method == Method::HEAD,
            is_rsc: self.found.is_rsc,
            otherwise: self.understood.bypass(incoming, BypassReason::Method),
        }
    }
}
