//! nginx with `proxy_cache`, set up by somebody who knows it: pages in memory, one worker, collapsed misses,
//! refreshes in the background, keep-alive on both sides, and no log.

use crate::origin::{Behaviour, Origin};
use crate::process::Running;
use crate::server::{Server, free_address, wait_until_ready};
use anyhow::Result;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Starts it with everything it writes under `dir`.
pub(crate) fn start(dir: &Path) -> Result<Server> {
    let dir = dir.join("nginx");
    fs::create_dir_all(dir.join("temp"))?;
    let (address, origin, log) = (free_address()?, Origin::start()?, dir.join("error.log"));
    let file = dir.join("nginx.conf");
    fs::write(&file, config(&dir, address, origin.address())?)?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg(&log).arg("-p").arg(&dir).arg("-c").arg(&file).env("PATH", path());
    let mut process = Running::start(&command, Stdio::null())?;
    wait_until_ready("nginx", &mut process, address, &log)?;
    Ok(Server {
        name: "nginx",
        address,
        origin,
        process,
        is_stale: |answer| matches!(answer.header("x-cache-status").as_deref(), Some("STALE" | "UPDATING")),
        // nginx counts lifetimes in seconds, and a good render would make its page fresh for one. A render that fails
        // at its end takes as long and leaves the page stale.
        keeps_stale: Behaviour { status: 500, delay: crate::stale::RENDER },
    })
}

/// Its version, if it is installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("nginx").arg("-v").env("PATH", path()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("nginx version: ").to_owned())
}

/// Waits until a page that lives as short as nginx can have it is stale for sure.
pub(crate) const SHORTEST: Duration = Duration::from_millis(2100);

fn path() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}

fn config(dir: &Path, address: SocketAddr, origin: SocketAddr) -> Result<String> {
    // Workers of a root's nginx become somebody else, who could not write into our directory.
    let user = if fs::metadata("/proc/self")?.uid() == 0 { "user root;" } else { "" };
    let dir = dir.display();
    Ok(format!(
        r#"{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
error_log {dir}/error.log crit;
pid {dir}/nginx.pid;
events {{ worker_connections 8192; multi_accept on; accept_mutex off; }}
http {{
    access_log off;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    reset_timedout_connection on;
    open_file_cache max=20000 inactive=600s;
    open_file_cache_valid 600s;
    open_file_cache_min_uses 1;
    client_body_temp_path {dir}/temp/body;
    proxy_temp_path {dir}/temp/proxy;
    fastcgi_temp_path {dir}/temp/fastcgi;
    uwsgi_temp_path {dir}/temp/uwsgi;
    scgi_temp_path {dir}/temp/scgi;
    proxy_cache_path {dir}/pages levels=1:2 keys_zone=pages:32m max_size=512m inactive=1d use_temp_path=off;
    upstream origin {{ server {origin}; keepalive 128; keepalive_requests 1000000000; }}
    server {{
        listen {address} backlog=4096;
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
        location /stale/ {{ proxy_cache_valid 200 1s; proxy_pass http://origin; }}
        location /fail/ {{ proxy_cache_valid 200 1s; proxy_pass http://origin; }}
        location /off/ {{ proxy_cache off; proxy_pass http://origin; }}
    }}
}}
"#
    ))
}
