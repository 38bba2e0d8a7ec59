//! How a client's request is received and answered: the glue to pingora.
//!
//! A hook translates in, asks [`crate::policy`] or [`crate::render`], and translates out.

mod bypass;
mod connection;
mod error_page;
mod fallback;
mod farewell;
mod gather;
mod guard;
mod handler;
mod head_bytes;
mod head_check;
mod head_http2;
mod head_update;
mod hit_lane;
mod http2;
mod listen;
mod lookup;
mod not_found;
mod purge;
mod question;
mod receive;
mod respond;
mod tls;
mod transport;
mod tunnel;
mod wake;
mod warm;
mod watched;
mod wire;

pub(crate) use handler::{Proxy, proxy};
pub(crate) use hit_lane::Lane;
pub use hit_lane::check_reading;
pub(crate) use listen::{Accepted, Connections, LAST_REQUESTS, LiveLimits, Waiting, accept, bind};
pub(crate) use lookup::explain;
pub(crate) use receive::{Door, greet, receive};
pub(crate) use tls::Tls;
pub(crate) use warm::warm_at_start;
