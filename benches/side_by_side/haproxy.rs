//! HAProxy with its small-object cache, as far as that goes: no stale pages, no refreshes, no collapsed misses, and half a
//! GiB of pages, because it writes all of its memory when it starts.

use crate::certificate::Certificate;
use crate::origin::{Behaviour, Origin};
use crate::process::Running;
use crate::server::{Server, free_address, wait_until_ready};
use anyhow::Result;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Starts it with everything it writes under `dir`.
pub(crate) fn start(dir: &Path, certificate: &Certificate) -> Result<Server> {
    let dir = dir.join("haproxy");
    fs::create_dir_all(&dir)?;
    let (address, origin, log) = (free_address()?, Origin::start()?, dir.join("log"));
    let (tls, h2c) = (free_address()?, free_address()?);
    let file = dir.join("haproxy.cfg");
    fs::write(&file, config([address, tls, h2c], origin.address(), certificate))?;
    fs::write(&log, "")?;
    let mut command = Command::new("sh");
    // The shell only turns both outputs to one file, and becomes the program.
    command.args(["-c", "exec haproxy -db -f \"$0\" >\"$1\" 2>&1"]).arg(&file).arg(&log);
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    let mut process = Running::start(&command, Stdio::null())?;
    wait_until_ready("haproxy", &mut process, address, &log)?;
    Ok(Server {
        name: "haproxy",
        address,
        tls: Some(tls),
        h2c: Some(h2c),
        lacks: &["stale", "stampede", "failing", "gzip", "br", "uniform"],
        origin,
        process,
        is_stale: |_| false,
        keeps_stale: Behaviour { status: 200, delay: Duration::ZERO },
    })
}

fn config([address, tls, h2c]: [SocketAddr; 3], origin: SocketAddr, certificate: &Certificate) -> String {
    let both = certificate.both.display();
    format!(
        r#"global
    nbthread 1
    maxconn 8192
    tune.bufsize 65536
    tune.ssl.default-dh-param 2048
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 60s
    timeout http-keep-alive 600s
cache pages
    total-max-size 512
    max-object-size 1000000
    max-age 3600
    process-vary on
frontend site
    bind {address} backlog 4096
    bind {tls} backlog 4096 ssl crt {both} alpn h2,http/1.1
    bind {h2c} backlog 4096 proto h2
    acl cached path_beg /hot/ /small/ /large/ /zipf/ /uniform/ /nostore/
    http-request cache-use pages if cached
    http-response cache-store pages
    default_backend origin
backend origin
    http-reuse always
    server origin {origin}
"#
    )
}
