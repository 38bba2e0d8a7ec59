//! (to be written)

pub mod bind;
