//! Which paths of a route exist. A list from a file does not change while its configuration is in force;
//! a sitemap's is given in by whoever reads it ([`Lists::learn`]), and until one has been, every path is
//! let through: a site must not be gone because its sitemap is.

use crate::config::{Config, Paths, RouteId, Sitemap};
use crate::uri::PathSet;
use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// The lists of all routes.
#[derive(Clone, Debug, Default)]
pub struct Lists(Box<[List]>);

#[derive(Clone, Debug)]
enum List {
    /// The route has none.
    Any,
    /// From a file.
    Fixed(Arc<PathSet>),
    /// From a sitemap, once it has been read.
    Read(Arc<ArcSwapOption<PathSet>>),
}

impl Lists {
    /// The lists of this configuration; those of sitemaps have not been read yet.
    pub(super) fn new(config: &Config) -> Lists {
        let lists: Vec<List> = config.routes.iter().map(|route| List::of(route.paths.as_ref())).collect();
        let has_one = lists.iter().any(|list| !matches!(list, List::Any));
        Lists(if has_one { lists.into() } else { Box::default() })
    }

    /// Whether no route has a list.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a path in its normal form may exist on a route that takes it.
    pub fn allow(&self, route: RouteId, path: &str) -> bool {
        match self.0.get(route.0) {
            None | Some(List::Any) => true,
            Some(List::Fixed(set)) => set.contains(path),
            Some(List::Read(set)) => set.load().as_ref().is_none_or(|set| set.contains(path)),
        }
    }

    /// How many paths and patterns the list of a route has; `None` where it has none, or none yet.
    pub fn len(&self, route: RouteId) -> Option<usize> {
        match self.0.get(route.0)? {
            List::Any => None,
            List::Fixed(set) => Some(set.len()),
            List::Read(set) => set.load().as_ref().map(|set| set.len()),
        }
    }

    /// From now on the sitemap of this route says what is in `set`.
    pub fn learn(&self, route: RouteId, set: PathSet) {
        if let Some(List::Read(list)) = self.0.get(route.0) {
            list.store(Some(Arc::new(set)));
        }
    }

    /// Takes over what an earlier configuration has read of the same sitemaps, so that taking a new
    /// configuration lets nothing through that the old one did not.
    pub fn inherit(&mut self, config: &Config, earlier: &Lists, of: &Config) {
        for (index, list) in self.0.iter_mut().enumerate() {
            let Some(sitemap) = sitemap(config, index) else { continue };
            let same = |other: &usize| {
                let (mine, theirs) = (&config.routes[index], &of.routes[*other]);
                sitemap_of(theirs.paths.as_ref()).is_some_and(|other| other.source == sitemap.source)
                    && (&mine.name, &mine.host) == (&theirs.name, &theirs.host)
                    && config.hosts == of.hosts
            };
            let Some(other) = (0..of.routes.len()).find(same) else { continue };
            if let Some(List::Read(read)) = earlier.0.get(other) {
                *list = List::Read(Arc::new(ArcSwapOption::new(read.load_full())));
            }
        }
    }
}

impl List {
    fn of(paths: Option<&Paths>) -> List {
        match paths {
            None => List::Any,
            Some(Paths::File { set, .. }) => List::Fixed(Arc::clone(set)),
            Some(Paths::Sitemap(_)) => List::Read(Arc::default()),
        }
    }
}

fn sitemap(config: &Config, index: usize) -> Option<&Sitemap> {
    sitemap_of(config.routes[index].paths.as_ref())
}

fn sitemap_of(paths: Option<&Paths>) -> Option<&Sitemap> {
    match paths {
        Some(Paths::Sitemap(sitemap)) => Some(sitemap),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Route, SitemapSource};
    use crate::policy::testing;
    use std::time::Duration;

    const FIRST: RouteId = RouteId(0);

    fn set(paths: &[&str]) -> PathSet {
        let mut set = PathSet::new();
        paths.iter().for_each(|path| set.insert_line(path).expect("a path"));
        set
    }

    fn with_sitemap(target: &str) -> Config {
        let source = SitemapSource::Origin { scheme: None, host: None, target: target.into() };
        let sitemap = Sitemap { source, refresh: Duration::from_secs(600), max_paths: 9 };
        testing::config(vec![Route { paths: Some(Paths::Sitemap(sitemap)), ..testing::route("/docs/{*rest}") }])
    }

    #[test]
    fn a_sitemap_that_was_never_read_refuses_nothing_and_one_that_was_does() {
        let lists = Lists::new(&with_sitemap("/sitemap.xml"));
        assert!(!lists.is_empty() && lists.allow(FIRST, "/docs/a") && lists.len(FIRST).is_none());
        lists.learn(FIRST, set(&["/docs/a"]));
        assert!(lists.allow(FIRST, "/docs/a") && !lists.allow(FIRST, "/docs/b"));
        assert_eq!(lists.len(FIRST), Some(1));
    }

    #[test]
    fn a_new_configuration_begins_with_what_was_read_of_the_same_sitemap() {
        let config = with_sitemap("/sitemap.xml");
        let earlier = Lists::new(&config);
        earlier.learn(FIRST, set(&["/docs/a"]));
        let inherited = |later: &Config| {
            let mut lists = Lists::new(later);
            lists.inherit(later, &earlier, &config);
            lists
        };
        assert!(!inherited(&config).allow(FIRST, "/docs/b"));
        let other = inherited(&with_sitemap("/other.xml"));
        assert!(other.allow(FIRST, "/docs/b") && other.len(FIRST).is_none());
    }

    #[test]
    fn without_lists_everything_is_allowed() {
        let lists = Lists::new(&testing::config(vec![testing::route("/")]));
        assert!(lists.is_empty() && lists.allow(FIRST, "/"));
    }
}
