//! `breadbox demo`: Breadbox in front of a built-in shop, so that everything it does can be seen with no
//! file, no origin and no network. The shop is an origin like any other: Breadbox asks it over TCP and
//! knows nothing else of it.

mod catalogue;
mod origin;
mod pages;
mod shop;

use super::server::{Options, Source};
use crate::config::Config;
use crate::render::Notices;
use anyhow::Context;
use shop::Shop;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// What the shop runs behind; `LISTEN`, `ADMIN` and `SHOP` stand for addresses.
const CONFIG: &str = include_str!("demo/proxy.yaml");

/// How long the shop takes to render a page.
const RENDER_TIME: Duration = Duration::from_millis(600);

/// Run Breadbox in front of a built-in shop of 100,000 products.
#[derive(clap::Args)]
pub struct Args {
    /// Where the shop is served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where metrics and health are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9145")]
    admin: SocketAddr,
}

/// Starts the shop, says what to try, and serves until it is told to stop.
pub(super) fn demo(args: &Args) -> anyhow::Result<()> {
    let shop = origin::start(Shop::new(RENDER_TIME)).context("cannot start the shop")?;
    let config = config(args, shop)?;
    std::io::stdout().write_all(what_to_try(args).as_bytes())?;
    let notices = Notices::new(config.routes.len());
    super::run::serve(config, notices, Source::BuiltIn, Options::default())
}

fn config(args: &Args, shop: SocketAddr) -> anyhow::Result<Config> {
    let yaml = CONFIG
        .replace("LISTEN", &args.listen.to_string())
        .replace("ADMIN", &args.admin.to_string())
        .replace("SHOP", &shop.to_string());
    Ok(Config::parse(&yaml, Path::new("demo/proxy.yaml"), &super::run::no_variables)?)
}

/// The URLs to open and what to look for there.
fn what_to_try(args: &Args) -> String {
    let (site, admin) = (url(args.listen), url(args.admin));
    format!(
        "\
Breadbox in front of a shop of 100,000 products. Its pages take {render} ms to render.

In a browser (the foot of each page says when it was rendered, and how fast it came):

  {site}/                 the shop
  {site}/products/4711    nobody has asked for it: you see another page until it is rendered
  {site}/products/42      change its price and see who notices when
  {admin}/metrics          the numbers

In a terminal, a few times in a row, and again half a minute later:

  curl -sI {site}/products/42 | grep -i ^cache-status

  breadbox; fwd=uri-miss; stored         nobody had asked before: you waited for the render
  breadbox; hit; ttl=28                  served from memory; fresh for another 28 s
  breadbox; hit; ttl=-5; detail=stale    5 s too old: served at once all the same, while
                                         one render in the background makes the next one

Ctrl-C ends it.

",
        render = RENDER_TIME.as_millis(),
    )
}

/// How a browser on this machine reaches `address`.
fn url(address: SocketAddr) -> String {
    let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { host(address) };
    // The port that port 0 becomes is only known once it is bound; the log has it.
    if address.port() == 0 { format!("http://{host}:PORT") } else { format!("http://{host}:{}", address.port()) }
}

fn host(address: SocketAddr) -> String {
    if address.is_ipv6() { format!("[{}]", address.ip()) } else { address.ip().to_string() }
}

#[cfg(test)]
mod tests {
    use super::{Args, config, what_to_try};
    use crate::config::CacheMode;

    fn args(listen: &str) -> Args {
        let address = |text: &str| text.parse().expect("an address");
        Args { listen: address(listen), admin: address("127.0.0.1:0") }
    }

    #[test]
    fn the_built_in_configuration_has_a_page_of_each_kind() {
        let shop = "127.0.0.1:3000".parse().expect("an address");
        let config = config(&args("127.0.0.1:0"), shop).expect("the built-in configuration is right");
        for kind in [CacheMode::Off, CacheMode::Static, CacheMode::Isr, CacheMode::Headers] {
            assert!(config.routes.iter().any(|route| route.cache == kind), "{kind:?}");
        }
        assert_eq!(config.origins[0].servers[0].port, 3000);
    }

    #[test]
    fn the_urls_are_ones_that_a_browser_can_open() {
        for (listen, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/products/42"),
            ("0.0.0.0:80", "http://localhost:80/products/42"),
            ("[::1]:8080", "http://[::1]:8080/products/42"),
        ] {
            assert!(what_to_try(&args(listen)).contains(url), "{listen}");
        }
    }
}
