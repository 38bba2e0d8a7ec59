//! Varnish with pages in memory, set up by somebody who knows it: cookies do not count, stale pages are served in grace
//! while one fetch refreshes them, one pool of threads on one core, and no log of requests, as the others keep none.

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

/// What it writes down of every request, and of every fetch.
const UNLOGGED: [&str; 40] = [
    "Begin",
    "End",
    "Link",
    "Timestamp",
    "SessOpen",
    "SessClose",
    "ReqStart",
    "ReqMethod",
    "ReqURL",
    "ReqProtocol",
    "ReqHeader",
    "ReqUnset",
    "ReqAcct",
    "RespMethod",
    "RespURL",
    "RespProtocol",
    "RespStatus",
    "RespReason",
    "RespHeader",
    "RespUnset",
    "VCL_call",
    "VCL_return",
    "VCL_use",
    "Hit",
    "HitMiss",
    "HitPass",
    "Filters",
    "BereqMethod",
    "BereqURL",
    "BereqProtocol",
    "BereqHeader",
    "BereqUnset",
    "BereqAcct",
    "BerespProtocol",
    "BerespStatus",
    "BerespReason",
    "BerespHeader",
    "BerespUnset",
    "TTL",
    "Storage",
];

/// Starts it with everything it writes under `dir`. It speaks no TLS.
pub(crate) fn start(dir: &Path, _: &Certificate) -> Result<Server> {
    let dir = dir.join("varnish");
    fs::create_dir_all(&dir)?;
    let (address, origin, log) = (free_address()?, Origin::start()?, dir.join("log"));
    let file = dir.join("site.vcl");
    fs::write(&file, vcl(origin.address()))?;
    fs::write(&log, "")?;
    let mut command = Command::new("sh");
    // The shell only turns both outputs to one file, and becomes the program.
    command.args(["-c", "log=$0; exec varnishd \"$@\" >$log 2>&1"]).arg(&log);
    command.args(["-F", "-j", "none", "-n"]).arg(&dir).arg("-f").arg(&file);
    command.args(["-a", &address.to_string(), "-s", "malloc,4G", "-p", "feature=+http2"]);
    for parameter in
        ["thread_pools=1", "thread_pool_min=100", "thread_pool_max=1000", "listen_depth=4096", "timeout_idle=600"]
    {
        command.args(["-p", parameter]);
    }
    let unlogged: Vec<String> = UNLOGGED.iter().map(|tag| format!("-{tag}")).collect();
    command.args(["-p", &format!("vsl_mask={}", unlogged.join(","))]);
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    let mut process = Running::start(&command, Stdio::null())?;
    wait_until_ready("varnish", &mut process, address, &log)?;
    Ok(Server {
        name: "varnish",
        address,
        tls: None,
        h2c: Some(address),
        lacks: &[],
        origin,
        process,
        is_stale: |answer| answer.header("x-stale").is_some(),
        keeps_stale: Behaviour { status: 200, delay: crate::stale::RENDER },
    })
}

fn vcl(origin: SocketAddr) -> String {
    let connect = Duration::from_secs(5).as_secs();
    format!(
        r#"vcl 4.1;
backend origin {{ .host = "{}"; .port = "{}"; .connect_timeout = {connect}s; }}
sub vcl_recv {{
    unset req.http.Cookie;
    if (req.url ~ "^/off/") {{ return (pass); }}
    if (req.method == "GET" || req.method == "HEAD") {{ return (hash); }}
}}
sub vcl_backend_response {{
    if (beresp.status >= 500) {{ return (abandon); }}
    if (bereq.url ~ "^/nostore/") {{ set beresp.uncacheable = true; set beresp.ttl = 10s; return (deliver); }}
    unset beresp.http.Vary;
    set beresp.grace = 1d;
    if (bereq.url ~ "^/stale/") {{ set beresp.ttl = 1ms; }}
    elsif (bereq.url ~ "^/fail/") {{ set beresp.ttl = 1s; }}
    else {{ set beresp.ttl = 1h; }}
    if (bereq.url ~ "^/gzip/") {{ set beresp.do_gzip = true; }}
    return (deliver);
}}
sub vcl_hit {{ if (obj.ttl < 0s) {{ set req.http.x-stale = "1"; }} }}
sub vcl_deliver {{ if (req.http.x-stale) {{ set resp.http.x-stale = "1"; }} }}
"#,
        origin.ip(),
        origin.port()
    )
}
