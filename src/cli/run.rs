//! `breadbox run`: finds the configuration that the arguments name and serves it.

use super::server::{Options, Reloader, Server, Source};
use crate::config::Config;
use crate::render::Notices;
use crate::telemetry;
use anyhow::bail;
use http::Uri;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The configuration that is read where none is named.
pub(super) const DEFAULT_CONFIG: &str = "proxy.yaml";

/// Serve what a configuration says, or any one origin.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "origin")]
    config: PathBuf,
    /// Run without a file in front of this origin; its response headers say what is kept.
    #[arg(long, value_name = "URL", value_parser = origin_url)]
    origin: Option<String>,
    /// Where to listen, together with --origin.
    #[arg(long, value_name = "ADDR", requires = "origin")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    options: Options,
}

/// Serves until it is told to stop. Fails where the configuration is wrong or an address cannot be used.
pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let config = config(&args)?;
    let routes = config.routes.len();
    let notices = if args.origin.is_some() { Notices::plain(routes) } else { Notices::new(routes) };
    let source = if args.origin.is_some() { Source::BuiltIn } else { Source::File(args.config) };
    serve(config, notices, source, args.options)
}

fn config(args: &Args) -> anyhow::Result<Config> {
    if let Some(origin) = &args.origin {
        return Ok(Config::parse(&yaml_for(origin, args.listen), Path::new("--origin"), &no_variables)?);
    }
    if args.config == Path::new(DEFAULT_CONFIG) && !args.config.exists() {
        bail!(
            "there is no {DEFAULT_CONFIG} in this directory: name one with --config, \
             or try `breadbox run --origin http://127.0.0.1:3000` or `breadbox demo`"
        );
    }
    Ok(Config::load(&args.config)?)
}

/// The whole configuration of a Breadbox in front of one origin that nothing is known about. A JSON string
/// is a YAML string, so nothing in the URL can end it early.
fn yaml_for(origin: &str, listen: Option<SocketAddr>) -> String {
    let server = serde_json::Value::from(origin);
    let listeners = listen.map(|address| format!("listeners: [ {{ address: \"{address}\" }} ]\n")).unwrap_or_default();
    format!(
        "{listeners}origins: {{ web: {{ servers: [ {server} ] }} }}\nroutes: [ {{ match: \"/{{*rest}}\", cache: headers }} ]\n"
    )
}

/// Nothing in a built-in configuration stands for a variable.
pub(super) fn no_variables(_name: &str) -> Option<String> {
    None
}

/// Takes `http://HOST[:PORT]` and `https://HOST[:PORT]`.
fn origin_url(text: &str) -> Result<String, String> {
    let right = "it should look like http://127.0.0.1:3000 or https://shop.example.com";
    let uri: Uri = text.parse().map_err(|_| format!("not a URL; {right}"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if !matches!(scheme, "http" | "https") || uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err(right.to_owned());
    }
    if uri.path() != "/" || uri.query().is_some() {
        return Err(format!("an origin has no path; {right}"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Serves `config` until it is told to stop.
pub(super) fn serve(config: Config, notices: Notices, source: Source, options: Options) -> anyhow::Result<()> {
    let telemetry = telemetry::start(&config.log)?;
    Ok(Server::new(config, notices, Reloader { source, telemetry }, options).run()?)
}

#[cfg(test)]
mod tests {
    use super::{no_variables, origin_url, yaml_for};
    use crate::config::{CacheMode, Config};
    use std::path::Path;

    #[test]
    fn one_origin_without_a_file_is_a_plain_shared_cache() {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let yaml = yaml_for("https://shop.example.com:8443", Some(listen));
        let config = Config::parse(&yaml, Path::new("--origin"), &no_variables).expect("the configuration is right");
        assert_eq!(config.listeners[0].address, listen);
        assert_eq!(&*config.origins[0].servers[0].host, "shop.example.com");
        assert_eq!(config.origins[0].servers[0].port, 8443);
        assert_eq!(config.routes.len(), 1);
        assert_eq!(config.routes[0].cache, CacheMode::Headers);
    }

    #[test]
    fn only_the_url_of_a_server_is_an_origin() {
        for url in ["http://127.0.0.1:3000", "http://127.0.0.1:3000/", "https://[::1]", "http://backend"] {
            assert_eq!(origin_url(url).as_deref(), Ok(url.trim_end_matches('/')));
        }
        for url in ["", "127.0.0.1:3000", "ftp://a", "http://a/b", "http://a/?b", "http://a:b@c", "http://"] {
            assert!(origin_url(url).is_err(), "{url}");
        }
    }
}
