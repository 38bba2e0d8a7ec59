//! Breadbox with one thread and a `proxy.yaml` that asks for the same as nginx's configuration.

use crate::origin::{Behaviour, Origin};
use crate::process::Running;
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
pub(crate) fn start(dir: &Path) -> Result<Server> {
    let dir = dir.join("breadbox");
    fs::create_dir_all(&dir)?;
    let (address, origin, log) = (free_address()?, Origin::start()?, dir.join("log"));
    let file = dir.join("proxy.yaml");
    fs::write(&file, config(address, free_address()?, origin.address()))?;
    let mut command = Command::new("sh");
    // The shell only turns both outputs to one file, and becomes the program.
    command.args(["-c", "exec \"$0\" run --config \"$1\" >\"$2\" 2>&1"]).arg(binary()).arg(&file).arg(&log);
    command.env("BREADBOX_LOG", "warn");
    File::create(&log).context("cannot write Breadbox' log")?;
    let mut process = Running::start(&command, Stdio::null())?;
    wait_until_ready("breadbox", &mut process, address, &log)?;
    Ok(Server {
        name: "breadbox",
        address,
        origin,
        process,
        is_stale: |answer| answer.header("cache-status").is_some_and(|status| status.contains("detail=stale")),
        keeps_stale: Behaviour { status: 200, delay: crate::stale::RENDER },
    })
}

fn config(address: SocketAddr, admin: SocketAddr, origin: SocketAddr) -> String {
    format!(
        r#"threads: 1
shutdown_timeout: 1s
listeners:
  - address: {address}
admin:
  address: {admin}
origins:
  web:
    servers: [ "http://{origin}" ]
    max_renders: 256
store:
  memory: 512MiB
routes:
  - match: "/stale/{{*rest}}"
    cache: isr
    revalidate: 1ms
  - match: "/fail/{{*rest}}"
    cache: isr
    revalidate: 1s
  - match: "/off/{{*rest}}"
    cache: off
  - match: "/{{*rest}}"
    cache: isr
    revalidate: 1h
"#
    )
}
