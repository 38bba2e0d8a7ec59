//! Apache Traffic Server with a RAM cache before a cache on tmpfs, one event thread, and no logs.

use crate::certificate::Certificate;
use crate::origin::{Behaviour, Origin};
use crate::process::Running;
use crate::server::{Server, free_address, wait_until_ready};
use anyhow::{Context, Result};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Starts it with everything it writes under `dir`.
pub(crate) fn start(dir: &Path, _: &Certificate) -> Result<Server> {
    let dir = dir.join("ats");
    let (address, origin) = (free_address()?, Origin::start()?);
    configure(&dir, address, origin.address())?;
    let log = dir.join("out");
    fs::write(&log, "")?;
    let mut command = Command::new("sh");
    // The shell only turns both outputs to one file, and becomes the program.
    command.args(["-c", "exec traffic_server --run-root=\"$0\" >\"$1\" 2>&1"]).arg(dir.join("runroot.yaml")).arg(&log);
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    let mut process = Running::start(&command, Stdio::null())?;
    wait_until_ready("ats", &mut process, address, &log)?;
    Ok(Server {
        name: "ats",
        address,
        tls: None,
        h2c: None,
        lacks: &["stale", "stampede", "failing", "gzip", "br"],
        origin,
        process,
        is_stale: |_| false,
        keeps_stale: Behaviour { status: 200, delay: Duration::ZERO },
    })
}

/// Where the system's package has its configuration.
const SHIPPED: &str = "/etc/trafficserver";

/// Makes a root of its own below `dir`, with the shipped files, and ours over them.
fn configure(dir: &Path, address: SocketAddr, origin: SocketAddr) -> Result<()> {
    for name in ["etc", "run", "log", "cache", "pages"] {
        fs::create_dir_all(dir.join(name))?;
    }
    let shipped = fs::read_dir(SHIPPED).with_context(|| format!("{SHIPPED} cannot be read"))?;
    for file in shipped.filter_map(Result::ok).filter(|file| file.path().is_file()) {
        fs::copy(file.path(), dir.join("etc").join(file.file_name()))?;
    }
    let root = dir.display();
    fs::write(
        dir.join("runroot.yaml"),
        format!(
            "prefix: /usr\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/sbin\nsysconfdir: {root}/etc\n\
             datadir: {root}/cache\nincludedir: /usr/include\nlibdir: /usr/lib/trafficserver\n\
             libexecdir: /usr/lib/trafficserver/modules\nlocalstatedir: {root}/run\nruntimedir: {root}/run\n\
             logdir: {root}/log\ncachedir: {root}/cache\n"
        ),
    )?;
    let write = |name: &str, text: String| fs::write(dir.join("etc").join(name), text);
    write("storage.config", format!("{root}/pages 4G\n"))?;
    write("remap.config", format!("map / http://{origin}/\n"))?;
    write("plugin.config", String::new())?;
    write("cache.config", "url_regex=/off/ action=never-cache\n".to_owned())?;
    write("logging.yaml", "logging: {}\n".to_owned())?;
    write(
        "records.config",
        format!(
            "CONFIG proxy.config.http.server_ports STRING {}:ip-in=127.0.0.1
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.exec_thread.autoconfig.enabled INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.exec_thread.affinity INT 0
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.cache.threads_per_disk INT 1
CONFIG proxy.config.cache.ram_cache.size INT 4294967296
CONFIG proxy.config.cache.ram_cache_cutoff INT 4194304
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.diags.debug.enabled INT 0
CONFIG proxy.config.http.insert_response_via_str INT 0
CONFIG proxy.config.http.insert_request_via_str INT 0
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 600
CONFIG proxy.config.http.cache.required_headers INT 0
CONFIG proxy.config.http.cache.ignore_client_cc_max_age INT 1
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
",
            address.port()
        ),
    )?;
    Ok(())
}
