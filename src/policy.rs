//! Every caching decision, as pure functions: no clock, no I/O, no async, no globals. The edges
//! translate a request in, ask, and carry out what comes back; `now` is always an argument.

pub mod admission;
pub(crate) mod again;
pub mod cache_control;
pub mod cache_status;
pub(crate) mod connection;
pub(crate) mod cookies;
pub mod date;
pub mod draft;
pub mod encoding;
pub mod explain;
pub mod fallback;
pub mod fields;
pub mod forwarded;
pub mod freshness;
pub mod hop_by_hop;
pub mod host;
pub mod key;
pub mod links;
pub(crate) mod list;
pub mod lookup;
pub mod merge;
pub mod outcome;
pub mod page;
pub mod parameters;
pub(crate) mod preloads;
pub mod purge;
pub(crate) mod query;
pub mod range;
pub mod render_request;
pub mod request_fields;
pub mod request_id;
pub mod route;
#[cfg(test)]
pub(crate) mod sample;
pub mod storability;
pub mod tags;
pub mod target;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod validation;
pub mod vary;

pub(crate) use crate::uri::percent;
pub use fields::Fields;
pub use key::Key;
pub use page::{Lifetime, Page, PurgeSeq, Validators};
pub use purge::{PurgeMemo, Standing};
pub use request_fields::RequestFields;
pub use request_id::RequestId;
pub use time::Timestamp;
