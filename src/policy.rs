//! Every caching decision, as pure functions: no clock, no I/O, no async, no globals. The edges
//! translate a request in, ask, and carry out what comes back; `now` is always an argument.

pub mod fields;
pub mod key;
pub mod lookup;
pub mod outcome;
pub mod page;
pub mod time;
pub mod vary;

pub use fields::Fields;
pub use key::Key;
pub use page::{Lifetime, Page, PurgeSeq, Validators};
pub use time::Timestamp;
