//! Breadbox with a disk tier, and nginx with its cache on the same disk.

use crate::client::Connection;
use crate::process::{Running, is_installed};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START: Duration = Duration::from_secs(60);

/// A running Breadbox.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    process: Running,
}

impl Proxy {
    /// Starts it with everything under `dir`, and waits until it answers.
    pub(crate) fn start(dir: &Path, capacity: Option<&str>, memory: &str, origin: SocketAddr) -> Result<Proxy> {
        let proxy = Proxy::spawn(dir, capacity, memory, origin)?;
        proxy.first_answer("/ready")?;
        Ok(proxy)
    }

    /// Starts it on the addresses that it had, if it was started there before: they are part of what is kept.
    pub(crate) fn spawn(dir: &Path, capacity: Option<&str>, memory: &str, origin: SocketAddr) -> Result<Proxy> {
        fs::create_dir_all(dir)?;
        let (file, ports) = (dir.join("proxy.yaml"), dir.join("ports"));
        if !ports.exists() {
            fs::write(&ports, format!("{} {}", free_address()?, free_address()?))?;
        }
        let ports = fs::read_to_string(ports)?;
        let (address, admin) = ports.split_once(' ').context("two addresses")?;
        let (address, admin): (SocketAddr, SocketAddr) = (address.parse()?, admin.parse()?);
        let disk = capacity.map(|capacity| format!("disk: {{ path: data, capacity: {capacity} }}")).unwrap_or_default();
        let yaml = format!(
            "threads: 1\ncompression: off\nhosts: [ 127.0.0.1 ]\nlisteners: [ {{ address: \"{address}\" }} ]\nadmin: {{ address: \"{admin}\" }}\n\
             origins: {{ web: {{ servers: [ \"http://{origin}\" ] }} }}\n\
             store:\n  memory: {memory}\n  max_page: 1MiB\n  {disk}\n\
             routes: [ {{ match: \"/{{*rest}}\", cache: isr, revalidate: 1d }} ]\n"
        );
        fs::write(&file, yaml)?;
        let log = File::create(dir.join("log"))?;
        let binary =
            std::env::var_os("BREADBOX_BIN").map_or_else(|| env!("CARGO_BIN_EXE_breadbox").into(), PathBuf::from);
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(&file).env("BREADBOX_LOG", "error");
        let process = Running::start(&command, Stdio::from(log))?;
        Ok(Proxy { address, admin, process })
    }

    /// When it first answered with this page.
    pub(crate) fn first_answer(&self, path: &str) -> Result<Instant> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            let answer = Connection::open(self.address).and_then(|mut connection| connection.get(path, &[]));
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return Ok(Instant::now());
            }
            thread::sleep(Duration::from_millis(1));
        }
        bail!("breadbox does not answer on {}", self.address)
    }

    /// The sum of all series with this name.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let answer = Connection::open(self.admin)?.get("/metrics", &[])?;
        let text = String::from_utf8_lossy(answer.bytes()).into_owned();
        let values = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Waits until so many pages are found.
    pub(crate) fn wait_for_pages(&self, n: usize) -> Result<()> {
        let deadline = Instant::now() + START;
        while self.metric("breadbox_disk_pages")? < n as f64 {
            if Instant::now() > deadline {
                bail!("{} of {n} pages are there", self.metric("breadbox_disk_pages")?);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends it in good order; how long that took.
    pub(crate) fn stop(mut self) -> Result<Duration> {
        let started = Instant::now();
        let pid = self.process.child().id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        while !self.process.has_ended() {
            if started.elapsed() > START {
                bail!("breadbox does not end");
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(started.elapsed())
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    pub(crate) fn resident(&self) -> u64 {
        self.process.resident()
    }
}

/// A running nginx.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    process: Running,
}

impl Nginx {
    /// Starts it with everything under `dir`, if it is installed.
    pub(crate) fn start(dir: &Path, origin: SocketAddr) -> Result<Option<Nginx>> {
        if !is_installed("nginx") {
            return Ok(None);
        }
        fs::create_dir_all(dir.join("temp"))?;
        let (address, file) = (free_address()?, dir.join("nginx.conf"));
        fs::write(&file, config(dir, address, origin)?)?;
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("nginx");
        command.arg("-e").arg(dir.join("error.log")).arg("-p").arg(dir).arg("-c").arg(&file).env("PATH", path);
        let process = Running::start(&command, Stdio::null())?;
        let deadline = Instant::now() + START;
        while Connection::open(address).and_then(|mut connection| connection.get("/ready", &[])).is_err() {
            if Instant::now() > deadline {
                bail!("nginx does not answer on {address}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(Nginx { address, process }))
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.process.cpu()
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn config(dir: &Path, address: SocketAddr, origin: SocketAddr) -> Result<String> {
    // Workers of a root's nginx become somebody else, who could not write into our directory.
    let user = if fs::metadata("/proc/self")?.uid() == 0 { "user root;" } else { "" };
    let dir = dir.display();
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {dir}/temp/{kind};"))
        .concat();
    Ok(format!(
        "{user} daemon off; worker_processes 1; error_log {dir}/error.log crit; pid {dir}/nginx.pid;
         events {{ worker_connections 1024; }}
         http {{
             access_log off; keepalive_requests 1000000000; {temp}
             proxy_cache_path {dir}/pages levels=1:2 keys_zone=pages:256m max_size=32g inactive=1d use_temp_path=off;
             upstream origin {{ server {origin}; keepalive 128; keepalive_requests 1000000000; }}
             server {{
                 listen {address};
                 proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;
                 proxy_cache pages; proxy_cache_key $scheme$http_host$request_uri; proxy_cache_lock on;
                 location / {{ proxy_cache_valid 200 1d; proxy_pass http://origin; }}
             }}
         }}"
    ))
}
