//! The assets that stored pages link are fetched with them (`immutable_assets`): when the next build of
//! the origin is out and does not have them any more, the pages of the earlier one still work.

use super::purged::Room;
use super::{Asker, Engine, Order, gate};
use crate::config::CacheMode;
use crate::policy::admission::{Admission, Incoming, Wanted, admit};
use crate::policy::{Page, encoding, links, render_request};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HOST};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::sync::mpsc;
use url::Url;

/// Pages that wait for their assets; the assets of more are fetched when somebody asks for them.
const WAITING: usize = 256;

/// Where pages wait for their assets to be fetched.
pub(super) type Queue = mpsc::Receiver<Linking>;

/// A page and its body as the origin sent it.
pub(super) type Linking = (Arc<Page>, Bytes);

/// A queue of pages.
pub(super) fn queue() -> (mpsc::Sender<Linking>, Queue) {
    mpsc::channel(WAITING)
}

impl Engine {
    /// Has the assets of a page that was just stored fetched, where the file names any.
    pub(super) fn want_assets_of(&self, page: &Arc<Page>, body: &Bytes) {
        let wanted = !self.setup.load().config.deploys.immutable_assets.is_empty();
        if wanted
            && page.status == StatusCode::OK
            && gate::is_html(&page.fields)
            && !page.fields.contains(&CONTENT_ENCODING)
        {
            // A full queue means that the origin is busy with pages; they come first.
            let _ = self.asset_pages.try_send((Arc::clone(page), body.clone()));
        }
    }

    /// The order for an asset that is not stored, if anything of it would be.
    async fn order_asset(self: &Arc<Self>, page: &Page, target: &str) -> Option<Order> {
        let setup = self.setup();
        let uri = page.key.uri();
        let mut headers = as_a_browser(uri.host)?;
        let incoming = Incoming {
            method: &Method::GET,
            target: target.as_bytes(),
            headers: (&headers).into(),
            listener_scheme: uri.scheme,
            peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let Admission::Lookup(wanted) = admit(&setup.config, &setup.routes, &incoming) else { return None };
        encoding::ask_for_none(setup.route(wanted.route), &mut headers);
        let is_headers = setup.route(wanted.route).cache == CacheMode::Headers;
        self.store.recall(&wanted.key, &headers).await;
        let key = self.missing(&wanted, is_headers.then_some(&headers))?;
        let now = self.now();
        let waits = self.backing_off_until(&setup, &key, wanted.origin, now).is_some_and(|until| now < until);
        if waits || self.store.is_uncacheable(&key, now) {
            return None;
        }
        Some(Order {
            route: wanted.route,
            origin: wanted.origin,
            key,
            request: render_request::build(&setup.config, &wanted, &headers),
            asked_with: if is_headers { headers } else { HeaderMap::new() },
            asker: Asker::default(),
            prior: None,
            setup,
        })
    }

    /// The key of an asset, if it is not there.
    fn missing(&self, wanted: &Wanted, selecting: Option<&HeaderMap>) -> Option<crate::policy::Key> {
        let Some(headers) = selecting else {
            return self.store.get(&wanted.key).is_none().then(|| wanted.key.clone());
        };
        match self.store.find(&wanted.key, headers) {
            crate::store::Found::Page(_) => None,
            crate::store::Found::NoVariant(key) => Some(key),
            crate::store::Found::Nothing => Some(wanted.key.clone()),
        }
    }
}

/// What a browser of today sends for a script or a style; its variant is the one that will be asked for.
fn as_a_browser(host: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(host).ok()?);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"));
    Some(headers)
}

/// Fetches the assets of pages as they are stored; never ends while the engine lives.
pub(crate) async fn fetch_assets(engine: Arc<Engine>) {
    let Some(mut pages) = engine.asset_queue.lock().take() else { return };
    let mut room = Room::default();
    while let Some((page, body)) = pages.recv().await {
        let uri = page.key.uri();
        let Ok(url) = Url::parse(&format!("{}://{}{}", uri.scheme.as_str(), uri.host, uri.path)) else { continue };
        let found = {
            let setup = engine.setup();
            let patterns = &setup.config.deploys.immutable_assets;
            links::assets(&body, &url, |path| patterns.matches(path))
        };
        for target in found {
            let Some(order) = engine.order_asset(&page, &target).await else { continue };
            let (setup, origin, key) = (Arc::clone(&order.setup), order.origin, order.key.clone());
            room.wait(&setup, origin).await;
            let still_wanted = || engine.store.get(&key).is_none();
            let Some(flight) = engine.refresh(&key, order.renderer(), still_wanted, || order) else { continue };
            setup.metrics.fetched_asset();
            room.take(flight, Arc::clone(&setup.config.origin(origin).name));
        }
    }
}
