//! (to be written)

pub mod backoff;
pub mod origin;
pub mod scheduler;
