//! The values that labels can have: those of one configuration.

use crate::config::{Config, OriginId};
use std::net::SocketAddr;
use std::sync::Arc;

/// The values that labels can have.
pub(super) struct Names {
    pub(super) routes: Vec<Arc<str>>,
    /// By route: who renders its pages.
    pub(super) route_origins: Vec<OriginId>,
    pub(super) origins: Vec<Arc<str>>,
    pub(super) listeners: Vec<String>,
    pub(super) threads: usize,
}

impl Names {
    /// Who renders which route.
    pub(super) fn rendered(&self) -> impl Iterator<Item = (&str, &str)> {
        let ids = self.route_origins.iter();
        self.routes.iter().zip(ids).map(|(route, origin)| (&*self.origins[origin.0], &**route))
    }

    pub(super) fn of(config: &Config) -> Names {
        Names {
            routes: config.routes.iter().map(|route| route.name.clone()).collect(),
            route_origins: config.routes.iter().map(|route| route.origin).collect(),
            origins: config.origins.iter().map(|origin| origin.name.clone()).collect(),
            listeners: listener_names(config.listeners.iter().map(|listener| listener.address)),
            threads: config.threads.get(),
        }
    }
}

/// What listeners are called: the addresses as in the file; repeated ones, which only port 0 allows, are numbered.
pub fn listener_names(addresses: impl Iterator<Item = SocketAddr>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for address in addresses.map(|address| address.to_string()) {
        let repeats = names.iter().filter(|name| name.split('#').next() == Some(&address)).count();
        names.push(if repeats == 0 { address } else { format!("{address}#{}", repeats + 1) });
    }
    names
}
