//! Breadbox, with one thread where nothing else is said, and a `proxy.yaml` that asks for the same as nginx's configuration.

use crate::certificate::Certificate;
use crate::origin::{Behaviour, Origin};
use crate::process::{Cores, Running};
use crate::server::{Server, free_address, wait_until_ready};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The binary under measurement: `BREADBOX_BIN`, or the one that was built with this benchmark.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("BREADBOX_BIN").map_or_else(|| env!("CARGO_BIN_EXE_breadbox").into(), PathBuf::from)
}

/// Starts it with everything it writes under `dir`.
pub(crate) fn start(dir: &Path, certificate: &Certificate) -> Result<Server> {
    start_with(1, Cores::Own, dir, certificate)
}

/// The same with so many threads on these cores.
pub(crate) fn start_with(threads: usize, on: Cores, dir: &Path, certificate: &Certificate) -> Result<Server> {
    let dir = dir.join("breadbox");
    fs::create_dir_all(&dir)?;
    let (address, origin, log) = (free_address()?, Origin::start()?, dir.join("log"));
    let file = dir.join("proxy.yaml");
    let (tls, h2c) = (free_address()?, free_address()?);
    fs::write(&file, config(threads, [address, tls, h2c], free_address()?, origin.address(), certificate))?;
    let mut command = Command::new("sh");
    // The shell only turns both outputs to one file, and becomes the program.
    command.args(["-c", "exec \"$0\" run --config \"$1\" >\"$2\" 2>&1"]).arg(binary()).arg(&file).arg(&log);
    command.env("BREADBOX_LOG", "warn");
    File::create(&log).context("cannot write Breadbox' log")?;
    let mut process = Running::start_on(on, &command, Stdio::null())?;
    wait_until_ready("breadbox", &mut process, address, &log)?;
    Ok(Server {
        name: "breadbox",
        address,
        tls: Some(tls),
        h2c: Some(h2c),
        lacks: &[],
        origin,
        process,
        is_stale: |answer| answer.header("cache-status").is_some_and(|status| status.contains("detail=stale")),
        keeps_stale: Behaviour { status: 200, delay: crate::stale::RENDER },
    })
}

fn config(
    threads: usize,
    [address, tls, h2c]: [SocketAddr; 3],
    admin: SocketAddr,
    origin: SocketAddr,
    certificate: &Certificate,
) -> String {
    let (chain, key) = (certificate.chain.display(), certificate.key.display());
    format!(
        r#"threads: {threads}
shutdown_timeout: 1s
listeners:
  - address: {address}
  - address: {tls}
    tls: {{ certificate: {chain}, key: {key} }}
  - address: {h2c}
    h2c: true
admin:
  address: {admin}
origins:
  web:
    servers: [ "http://{origin}" ]
    max_renders: 256
store:
  memory: 4GiB
routes:
  - match: "/stale/{{*rest}}"
    cache: isr
    revalidate: 1ms
  - match: "/fail/{{*rest}}"
    cache: isr
    revalidate: 1s
  - match: "/off/{{*rest}}"
    cache: "off"
  - match: "/nostore/{{*rest}}"
    cache: headers
  - match: "/{{*rest}}"
    cache: isr
    revalidate: 1h
"#
    )
}
