//! Pingora's own proxy with nothing added: what a bypass costs before Breadbox does anything. It is this program
//! again, in a process of its own.

use crate::process::Running;
use crate::server::free_address;
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::proxy::{ProxyHttp, Session, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The argument that makes this program the proxy.
pub(crate) const ARGUMENT: &str = "--plain-proxy";

/// A running proxy.
pub(crate) struct PlainProxy {
    /// Its process.
    pub(crate) process: Running,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl PlainProxy {
    /// Starts it in front of an origin, on the core of the servers.
    pub(crate) fn start(origin: SocketAddr) -> Result<PlainProxy> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args([ARGUMENT, &address.to_string(), &origin.to_string()]);
        let process = Running::start(&command, Stdio::null())?;
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(address).is_err() {
            if Instant::now() > until {
                bail!("pingora's proxy does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(PlainProxy { process, address })
    }
}

struct To(SocketAddr);

#[async_trait]
impl ProxyHttp for To {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

/// The proxy itself, on one thread, until it is killed.
pub(crate) fn serve(mut words: impl Iterator<Item = OsString>) -> Result<()> {
    let mut address = || {
        let word = words.next().context("two addresses are needed")?;
        anyhow::Ok(word.to_string_lossy().parse::<SocketAddr>()?)
    };
    let (own, origin) = (address()?, address()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let app = Arc::new(http_proxy(&Arc::new(ServerConf::default()), To(origin)));
        let listener = tokio::net::TcpListener::bind(own).await?;
        let (_stop, stopping) = tokio::sync::watch::channel(false);
        loop {
            let (tcp, _) = listener.accept().await?;
            let _ = tcp.set_nodelay(true);
            let (app, stopping) = (Arc::clone(&app), stopping.clone());
            tokio::spawn(async move {
                let stream = Box::new(pingora::protocols::l4::stream::Stream::from(tcp));
                app.process_new(stream, &stopping).await
            });
        }
    })
}
