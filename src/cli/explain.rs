//! `breadbox explain`: what would become of a request, and why. It asks the running Breadbox of the file; where
//! none runs, or with `--offline`, the file alone. It sends no request to any origin.

use super::admin_client::AdminClient;
use crate::config::Config;
use crate::policy::explain::{Asked, of_request};
use crate::policy::route::RouteTable;
use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::io::Write;
use std::path::PathBuf;

/// Say what would become of a request, and why.
#[derive(clap::Args)]
pub struct Args {
    /// The URL, or a path on the first of `hosts`.
    url: String,
    /// A field of the request: 'Accept-Language: de'.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// A cookie of the request: currency=EUR.
    #[arg(long, value_name = "NAME=VALUE")]
    cookie: Vec<String>,
    /// The configuration, which says where the admin listener is.
    #[arg(long, value_name = "FILE", default_value = super::run::DEFAULT_CONFIG)]
    config: PathBuf,
    /// The admin listener, such as http://127.0.0.1:9145.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The token of the admin listener.
    #[arg(long, value_name = "TOKEN", env = "BREADBOX_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Ask the file alone: everything but what is stored and under way. So is done where nobody answers and
    /// --admin names nobody.
    #[arg(long, conflicts_with = "admin")]
    offline: bool,
}

/// Prints the explanation on `out`. Fails where nobody can be asked or the question makes no sense.
pub(super) fn explain(args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let text = if args.offline { offline(args)? } else { online(args)? };
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn offline(args: &Args) -> anyhow::Result<String> {
    let config = Config::load(&args.config)?;
    let host = config.hosts.as_ref().and_then(|hosts| hosts.first());
    let asked = Asked::new(&args.url, &args.header, &args.cookie, host.map(AsRef::as_ref))?;
    let routes = RouteTable::new(&config)?;
    Ok(of_request(&config, &routes, &asked).0.to_string())
}

fn online(args: &Args) -> anyhow::Result<String> {
    let client = match &args.admin {
        Some(url) => AdminClient::of_url(url, args.token.clone())?,
        None => AdminClient::of_config(&Config::load(&args.config)?, args.token.clone())?,
    };
    let answer = match client.get(&target(args), "text/plain") {
        Ok(answer) => answer,
        Err(error) if args.admin.is_none() => return Ok(format!("{}\n{error:#}\n", offline(args)?.trim_end())),
        Err(error) => return Err(error).context("--offline explains from the file alone"),
    };
    if answer.status != 200 {
        bail!("the admin listener refuses ({}): {}", answer.status, answer.body.trim_end());
    }
    Ok(answer.body)
}

fn target(args: &Args) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut target = format!("/-/explain?url={}", encoded(&args.url));
    for (name, values) in [("header", &args.header), ("cookie", &args.cookie)] {
        for value in values {
            target += &format!("&{name}={}", encoded(value));
        }
    }
    target
}
