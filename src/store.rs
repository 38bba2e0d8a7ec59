//! (to be written)

pub mod popularity;
pub mod purge_clock;
