//! The caches whose memory is compared: each is started, filled, and asked for what it takes. Files that nginx keeps in
//! a memory file system count as its memory. What a cache takes before it has many pages is not counted for any of
//! them, and none keeps a log in memory.

use crate::origin;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(1800);
/// Memory stands still when it has changed by less than this over as many seconds as an allocator takes to give back
/// what it does not need.
const STILL: u64 = 1 << 20;
const STILL_FOR: u32 = 12;
/// Pages in front of those that are counted: threads are running then, and buffers are there.
const WARM_UP: usize = 1000;
/// Pages after which those that wait to be compressed are waited for. Breadbox leaves pages as they are that come
/// faster than it compresses them for long, and other caches compress them before they answer.
const PORTION: usize = 10_000;

/// One of them. Dropping it ends it.
struct Cache {
    child: Child,
    address: SocketAddr,
    /// Where Breadbox says whether it is done.
    admin: Option<SocketAddr>,
    /// Files that are its memory.
    files: Option<PathBuf>,
}

/// Prints a line for each that is installed and whose name begins with one of `wanted`, if that names any.
pub(crate) fn compare(pages: usize, wanted: &[String]) -> Result<()> {
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|start| name.starts_with(start.as_str()));
    let report =
        |name, start: &dyn Fn(&Path) -> Result<Cache>| if wants(name) { report(name, pages, start) } else { Ok(()) };
    let origin = origin::start()?;
    println!("Memory for each of {pages} pages of 16 KiB\n");
    println!("| {:<34} | {:>16} | {:>16} |", "", "bytes a page", "by its own count");
    println!("|{:-<36}|{:->17}:|{:->17}:|", "", "", "");
    let lines = [
        ("breadbox, br and gzip (default)", None),
        ("breadbox, br, zstd and gzip", Some("{ codings: [ br, zstd, gzip ] }")),
        ("breadbox, gzip", Some("{ codings: [ gzip ] }")),
        ("breadbox, compression: off", Some("off")),
    ];
    for (name, compression) in lines {
        report(name, &|dir| breadbox(dir, origin, compression))?;
    }
    if is_installed("nginx") {
        report("nginx, proxy_cache on tmpfs", &|dir| nginx(dir, origin, Compresses::No))?;
        report("nginx, the same of gzip", &|dir| nginx(dir, origin, Compresses::Yes))?;
    }
    if is_installed("varnishd") {
        report("varnish, malloc", &|dir| varnish(dir, origin, Compresses::No))?;
        report("varnish, malloc, do_gzip", &|dir| varnish(dir, origin, Compresses::Yes))?;
    }
    Ok(())
}

fn report(name: &str, pages: usize, start: &dyn Fn(&Path) -> Result<Cache>) -> Result<()> {
    let dir =
        tempfile::Builder::new().prefix("breadbox-bench-").tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let cache = start(dir.path()).with_context(|| format!("{name} does not start"))?;
    cache.wait_until_it_listens()?;
    origin::ask_for_all(cache.address, 0..WARM_UP)?;
    cache.wait_until_it_is_done()?;
    let before = cache.memory();
    for start in (WARM_UP..WARM_UP + pages).step_by(PORTION) {
        origin::ask_for_all(cache.address, start..(start + PORTION).min(WARM_UP + pages))?;
        cache.wait_until_all_are_compressed()?;
    }
    cache.wait_until_it_is_done()?;
    let each = (cache.memory() as f64 - before as f64) / pages as f64;
    let own = cache.counted()?.map(|all| format!("{:.0}", all / (WARM_UP + pages) as f64)).unwrap_or_default();
    println!("| {name:<34} | {each:>16.0} | {own:>16} |");
    Ok(())
}

impl Cache {
    fn wait_until_it_listens(&self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            if Instant::now() > until {
                bail!("nobody listens on {}", self.address);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn wait_until_all_are_compressed(&self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.figure("breadbox_encodings_waiting")?.is_some_and(|waiting| waiting > 0.0) {
            if Instant::now() > until {
                bail!("pages wait to be compressed for longer than {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Until memory stands still.
    fn wait_until_it_is_done(&self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let (mut first, mut seconds) = (self.memory(), 0);
        while Instant::now() < until {
            thread::sleep(Duration::from_secs(1));
            let memory = self.memory();
            if memory.abs_diff(first) < STILL {
                seconds += 1;
            } else {
                (first, seconds) = (memory, 0);
            }
            if seconds == STILL_FOR {
                return Ok(());
            }
        }
        bail!("it is not done after {PATIENCE:?}")
    }

    /// What Breadbox says that its pages weigh.
    fn counted(&self) -> Result<Option<f64>> {
        self.figure("breadbox_store_bytes")
    }

    /// The value of a series without labels, of those that have an admin listener.
    fn figure(&self, series: &str) -> Result<Option<f64>> {
        let Some(admin) = self.admin else { return Ok(None) };
        let text = origin::fetch(admin, "/metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.with_context(|| format!("there is no series {series}"))?;
        Ok(Some(value.trim().parse()?))
    }

    /// Resident bytes of it and its children, shared pages divided among them, and of its files.
    fn memory(&self) -> u64 {
        let resident: u64 = tree(self.child.id()).into_iter().map(resident).sum();
        resident + self.files.as_deref().map_or(0, size)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let pids = tree(self.child.id());
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        for pid in pids {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        let _ = self.child.wait();
    }
}

fn breadbox(dir: &Path, origin: SocketAddr, compression: Option<&str>) -> Result<Cache> {
    // Both are there at once, so they are two.
    let both = [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
    let (address, admin) = (both[0].local_addr()?, both[1].local_addr()?);
    drop(both);
    let compression = compression.map(|said| format!("compression: {said}\n")).unwrap_or_default();
    let config = format!(
        "shutdown_timeout: 1s\nlisteners: [ {{ address: \"{address}\" }} ]\nadmin: {{ address: \"{admin}\" }}\n{compression}\
         origins: {{ web: {{ servers: [ \"http://{origin}\" ] }} }}\nstore: {{ memory: 8GiB }}\n\
         routes: [ {{ match: \"/{{*rest}}\", cache: isr, revalidate: 1d }} ]\n"
    );
    let file = dir.join("proxy.yaml");
    fs::write(&file, config)?;
    let binary = std::env::var_os("BREADBOX_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_breadbox").into());
    let mut command = Command::new(binary);
    command.args(["run", "--config"]).arg(file).env("BREADBOX_LOG", "error");
    Ok(Cache { child: spawn(&mut command)?, address, admin: Some(admin), files: None })
}

/// With or without a second server in front of the origin, which compresses what the first one stores: nginx has no
/// other way to keep what it has compressed itself.
fn nginx(dir: &Path, origin: SocketAddr, compresses: Compresses) -> Result<Cache> {
    let address = free_address()?;
    // Workers of a root's nginx become somebody else, who could not write into our directory.
    let user = if fs::metadata("/proc/self")?.uid() == 0 { "user root;" } else { "" };
    let at = dir.display();
    let (to, accepts) = match compresses {
        Compresses::No => ("origin", ""),
        Compresses::Yes => ("packer", "proxy_set_header Accept-Encoding gzip; gunzip on;"),
    };
    let config = format!(
        "{user}\ndaemon off; worker_processes 1; error_log {at}/log crit; pid {at}/pid;\nevents {{ }}\nhttp {{\n\
         access_log off; proxy_temp_path {at}/temp; client_body_temp_path {at}/body; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         proxy_cache_path {at}/pages levels=1:2 keys_zone=pages:64m max_size=8g inactive=1d use_temp_path=off;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         upstream origin {{ server {origin}; keepalive 16; }}\n\
         upstream packer {{ server unix:{at}/packer; keepalive 16; }}\n\
         server {{ listen {address}; proxy_cache pages; proxy_cache_valid 200 1d; {accepts}\n\
         proxy_set_header Connection \"\"; location / {{ proxy_pass http://{to}; }} }}\n\
         server {{ listen unix:{at}/packer; gzip on; gzip_comp_level 6; gzip_proxied any;\n\
         location / {{ proxy_pass http://origin; }} }} }}\n"
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, config)?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg(dir.join("log")).arg("-p").arg(dir).arg("-c").arg(file).env("PATH", path());
    Ok(Cache { child: spawn(&mut command)?, address, admin: None, files: Some(dir.join("pages")) })
}

fn varnish(dir: &Path, origin: SocketAddr, compresses: Compresses) -> Result<Cache> {
    let address = free_address()?;
    let gzip = if compresses == Compresses::Yes { "set beresp.do_gzip = true;" } else { "" };
    let vcl = format!(
        "vcl 4.1;\nbackend default {{ .host = \"{}\"; .port = \"{}\"; }}\nsub vcl_backend_response {{ {gzip} }}\n",
        origin.ip(),
        origin.port()
    );
    let file = dir.join("default.vcl");
    fs::write(&file, vcl)?;
    let mut command = Command::new("varnishd");
    command.args(["-F", "-n"]).arg(dir.join("work")).arg("-a").arg(address.to_string()).arg("-f").arg(file);
    // Its log is a ring in shared memory that fills while pages are fetched; it is no part of a page.
    command.args(["-s", "malloc,8g", "-T", "none", "-p", "thread_pools=1", "-p", "vsl_space=1M"]).env("PATH", path());
    Ok(Cache { child: spawn(&mut command)?, address, admin: None, files: None })
}

/// Whether what is stored is compressed first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compresses {
    No,
    Yes,
}

fn spawn(command: &mut Command) -> Result<Child> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().with_context(|| format!("cannot start {name}"))
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn path() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&path()).any(|dir| dir.join(program).is_file())
}

/// A process and all that it started.
fn tree(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        at += 1;
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<u32> = children.flat_map(|text| numbers(&text)).collect();
        all.extend(children);
    }
    all
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// Bytes that the files below a directory take, in whole blocks.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let one = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(one).sum()
}
