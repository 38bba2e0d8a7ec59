//! How paths and queries are written: their one normal form, and patterns of paths. It knows no request
//! and no route; what a path leads to is decided above.

pub(crate) mod path;
pub(crate) mod pattern;
pub mod percent;
