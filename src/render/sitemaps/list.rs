//! From a sitemap to the list of a route: which of its URLs are the route's.

use super::{Reading, SiteFetch};
use crate::config::{RouteId, Sitemap};
use crate::policy::host::Host;
use crate::policy::target::{Encoding, Target};
use crate::render::Setup;
use crate::sitemap::{Bounds, walk};
use crate::uri::PathSet;
use std::sync::Arc;

/// Reads the whole sitemap. One without a path of the route counts as none: it would make every page
/// of the route a 404.
pub(super) async fn read(setup: &Arc<Setup>, route: RouteId, sitemap: &Sitemap) -> Reading {
    let fetch = SiteFetch::new(setup, setup.route(route).origin, &sitemap.source, setup.route(route).host.as_deref());
    let mut list = List { setup, route, set: PathSet::new() };
    let bounds = Bounds { pages: sitemap.max_paths };
    let walked = walk(&sitemap.source.to_string(), &fetch, bounds, &mut |url| list.take(&url)).await;
    let walked = walked.map_err(|error| error.to_string())?;
    if list.set.is_empty() {
        return Err(format!("none of its {} URLs is one that the route takes", walked.pages));
    }
    Ok((list.set, walked))
}

/// The list in the making.
struct List<'a> {
    setup: &'a Setup,
    route: RouteId,
    set: PathSet,
}

impl List<'_> {
    fn take(&mut self, url: &str) {
        let url = url.split('#').next().unwrap_or_default();
        let Ok(Target::Resource(resource)) = Target::parse(url.as_bytes()) else { return };
        let route = self.setup.route(self.route);
        // Without a host of its own a URL is of the site that the route is for.
        let host = match resource.authority {
            Some(authority) => Host::parse(authority),
            None => Host::parse(route.host.as_deref().unwrap_or("localhost").as_bytes()),
        };
        let Ok(host) = host else { return };
        let config = &self.setup.config;
        let is_served = |host: &Host| match &config.hosts {
            Some(hosts) => resource.authority.is_none() || hosts.iter().any(|entry| host.is_meant_by(entry)),
            None => true,
        };
        let is_own = self.setup.routes.find(&host, &resource.path) == Some(self.route);
        if resource.encoding == Encoding::Valid && is_served(&host) && is_own {
            // Too long a path is one that no request gets an answer for anyway.
            let _ = self.set.insert_path(&resource.path);
        }
    }
}
