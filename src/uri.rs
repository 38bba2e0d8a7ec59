//! How paths and queries are written: their one normal form, patterns and sets of paths. It knows no
//! request and no route; what a path leads to is decided above.

pub(crate) mod path;
pub mod path_set;
pub(crate) mod pattern;
pub mod percent;

pub use path_set::{PathError, PathSet};
