//! The admin listener: it answers for as long as the process does, and ends without cutting an answer off.

use super::upgrade::{self, Inherited, Sockets};
use super::{ServerError, announce, bind};
use crate::admin::AdminApp;
use crate::config::{Config, Limits};
use crate::front::{self, Connections, Door, LiveLimits, Waiting};
use crate::metrics::Metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long the process waits in the end for requests that are under way.
const FAREWELL: Duration = Duration::from_secs(5);

/// Its socket: that of the process that is taken over from, if there is one and it has the address.
pub(super) fn socket(
    config: &Config,
    inherited: Option<&mut Inherited>,
    sockets: &Sockets,
) -> Result<(Waiting, SocketAddr), ServerError> {
    let address = config.admin.address;
    let (mut same, others) = inherited.map(|inherited| inherited.take_admin(address)).unwrap_or_default();
    let socket = match same.pop() {
        Some(socket) => socket,
        None => bind(address, &others)?,
    };
    let bound = socket.local_addr()?;
    let served = Waiting::at(socket.try_clone()?)?;
    sockets.keep(upgrade::ADMIN, socket);
    Ok((served, bound))
}

/// The listener while it is served.
pub(super) struct AdminListener {
    accepting: JoinHandle<()>,
    connections: Arc<Connections>,
    stop: watch::Sender<bool>,
}

impl AdminListener {
    /// Serves it.
    pub(super) fn serve((socket, address): (Waiting, SocketAddr), app: AdminApp, metrics: Arc<Metrics>) -> Self {
        announce("admin", address);
        let app = Arc::new(app);
        let door = Arc::new(Door { tls: None, h2c: false, limits: LiveLimits::new(Limits::DEFAULT), lane: None });
        let connections = Arc::new(Connections::default());
        let (stop, stopping) = watch::channel(false);
        let open = Arc::clone(&connections);
        let accepting = tokio::spawn(front::accept(socket, stopping.clone(), move |accepted| {
            let (app, door, metrics) = (Arc::clone(&app), Arc::clone(&door), Arc::clone(&metrics));
            let (stopping, open) = (stopping.clone(), open.enter());
            tokio::spawn(async move {
                front::receive(&door, &app, accepted.into(), &metrics, &stopping).await;
                drop(open);
            });
        }));
        AdminListener { accepting, connections, stop }
    }

    /// A successor answers who connects from here on. Connections that are open may bring one more request.
    pub(super) fn hand_over(&self) {
        self.accepting.abort();
        let _ = self.stop.send(true);
    }

    /// Takes no more connections and finishes what is under way.
    pub(super) async fn end(self) {
        let _ = self.stop.send(true);
        let _ = self.accepting.await;
        if tokio::time::timeout(FAREWELL, self.connections.closed()).await.is_err() {
            tracing::warn!(open = self.connections.open(), "requests on the admin listener are cut");
        }
    }
}
