//! nginx with `proxy_cache`, set up by somebody who knows it: pages in memory, one worker, collapsed misses,
//! refreshes in the background, keep-alive on both sides, and no log.

use crate::certificate::Certificate;
use crate::origin::{Behaviour, Origin};
use crate::process::{Cores, Running};
use crate::server::{Server, free_address, wait_until_ready};
use anyhow::Result;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How pages leave.
#[derive(Clone, Copy)]
struct Sending {
    name: &'static str,
    /// Pages up to some 100 KiB.
    pages: &'static str,
    /// Larger ones.
    large: &'static str,
    lacks: &'static [&'static str],
}

/// As its manuals have it.
const BY_THE_BOOK: Sending =
    Sending { name: "nginx", pages: "sendfile on; tcp_nopush on;", large: "sendfile on; tcp_nopush on;", lacks: &[] };

/// As it measured best: a page of 16 KiB is copied faster than its memory is looked up, and head and body leave in one
/// call; and where the client is near, holding back what fills no segment costs a large page as much again. The other
/// cases do not depend on that.
const AS_MEASURED: Sending = Sending {
    name: "nginx-tuned",
    pages: "sendfile off; output_buffers 1 32k;",
    large: "sendfile on; tcp_nopush off;",
    lacks: &["stale", "stampede", "failing"],
};

/// Starts it with everything it writes under `dir`.
pub(crate) fn start(dir: &Path, certificate: &Certificate) -> Result<Server> {
    start_with(1, Cores::Own, dir, certificate)
}

/// The same, set up for this machine.
pub(crate) fn start_tuned(dir: &Path, certificate: &Certificate) -> Result<Server> {
    start_sending(AS_MEASURED, 1, Cores::Own, dir, certificate)
}

/// The same with so many workers on these cores.
pub(crate) fn start_with(workers: usize, on: Cores, dir: &Path, certificate: &Certificate) -> Result<Server> {
    start_sending(BY_THE_BOOK, workers, on, dir, certificate)
}

fn start_sending(sending: Sending, workers: usize, on: Cores, dir: &Path, certificate: &Certificate) -> Result<Server> {
    let dir = dir.join(sending.name);
    fs::create_dir_all(dir.join("temp"))?;
    let (address, origin, log) = (free_address()?, Origin::start()?, dir.join("error.log"));
    let file = dir.join("nginx.conf");
    let (tls, h2c) = (free_address()?, free_address()?);
    fs::write(&file, config(sending, workers, &dir, [address, tls, h2c], origin.address(), certificate)?)?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg(&log).arg("-p").arg(&dir).arg("-c").arg(&file).env("PATH", path());
    let mut process = Running::start_on(on, &command, Stdio::null())?;
    wait_until_ready(sending.name, &mut process, address, &log)?;
    Ok(Server {
        name: sending.name,
        address,
        tls: Some(tls),
        h2c: Some(h2c),
        lacks: sending.lacks,
        origin,
        process,
        is_stale: |answer| matches!(answer.header("x-cache-status").as_deref(), Some("STALE" | "UPDATING")),
        // nginx counts lifetimes in seconds, and a good render would make its page fresh for one. A render that fails
        // at its end takes as long and leaves the page stale.
        keeps_stale: Behaviour { status: 500, delay: crate::stale::RENDER },
    })
}

/// Waits until a page that lives as short as nginx can have it is stale for sure.
pub(crate) const SHORTEST: Duration = Duration::from_millis(2100);

/// How many files a process may open, however it asks.
fn most_files() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(20_000)
}

fn path() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}

fn config(
    sending: Sending,
    workers: usize,
    dir: &Path,
    [address, tls, h2c]: [SocketAddr; 3],
    origin: SocketAddr,
    certificate: &Certificate,
) -> Result<String> {
    // Workers of a root's nginx become somebody else, who could not write into our directory.
    let user = if fs::metadata("/proc/self")?.uid() == 0 { "user root;" } else { "" };
    // Of the files that a process may open some are left for connections.
    let files = most_files().min(131_072);
    let cached = files.saturating_sub(9_000).clamp(1_000, 120_000);
    let Sending { pages, large, .. } = sending;
    let dir = dir.display();
    let (chain, key) = (certificate.chain.display(), certificate.key.display());
    Ok(format!(
        r#"{user}
daemon off;
worker_processes {workers};
worker_rlimit_nofile {files};
error_log {dir}/error.log crit;
pid {dir}/nginx.pid;
events {{ worker_connections 8192; multi_accept on; accept_mutex off; }}
http {{
    access_log off;
    server_tokens off;
    {pages}
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    reset_timedout_connection on;
    open_file_cache max={cached} inactive=600s;
    open_file_cache_valid 600s;
    open_file_cache_min_uses 1;
    client_body_temp_path {dir}/temp/body;
    proxy_temp_path {dir}/temp/proxy;
    fastcgi_temp_path {dir}/temp/fastcgi;
    uwsgi_temp_path {dir}/temp/uwsgi;
    scgi_temp_path {dir}/temp/scgi;
    proxy_cache_path {dir}/pages levels=1:2 keys_zone=pages:64m max_size=4g inactive=1d use_temp_path=off;
    upstream origin {{ server {origin}; keepalive 128; keepalive_requests 1000000000; }}
    upstream packer {{ server unix:{dir}/packer; keepalive 128; keepalive_requests 1000000000; }}
    server {{
        listen {address} backlog=4096;
        listen {tls} ssl http2 backlog=4096;
        listen {h2c} http2 backlog=4096;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:4m;
        ssl_buffer_size 16k;
        ssl_conf_command Options KTLS;
        http2_chunk_size 16k;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_buffer_size 16k;
        proxy_buffers 8 32k;
        proxy_busy_buffers_size 64k;
        proxy_cache pages;
        proxy_cache_key $scheme$http_host$request_uri;
        proxy_ignore_headers Cache-Control Expires Vary Set-Cookie;
        proxy_cache_lock on;
        proxy_cache_lock_timeout 30s;
        proxy_cache_lock_age 30s;
        proxy_cache_use_stale updating error timeout http_500 http_502 http_503 http_504;
        proxy_cache_background_update on;
        add_header X-Cache-Status $upstream_cache_status;
        location / {{ proxy_cache_valid 200 1h; proxy_pass http://origin; }}
        location /large/ {{ {large} proxy_cache_valid 200 1h; proxy_pass http://origin; }}
        location /stale/ {{ proxy_cache_valid 200 1s; proxy_pass http://origin; }}
        location /fail/ {{ proxy_cache_valid 200 1s; proxy_pass http://origin; }}
        location /gzip/ {{
            gunzip on;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header Accept-Encoding gzip;
            proxy_cache_valid 200 1h;
            proxy_pass http://packer;
        }}
        location /nostore/ {{ proxy_ignore_headers Vary; proxy_cache_lock off; proxy_pass http://origin; }}
        location /off/ {{ proxy_cache off; proxy_pass http://origin; }}
    }}
    # What nginx compresses it does not store. This server compresses what the one above stores.
    server {{
        listen unix:{dir}/packer;
        gzip on;
        gzip_comp_level 6;
        gzip_proxied any;
        gzip_vary on;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        location / {{ proxy_pass http://origin; }}
    }}
}}
"#
    ))
}
