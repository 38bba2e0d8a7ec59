//! Breadbox: a caching reverse proxy that gives any server-side renderer Incremental Static
//! Regeneration.
//!
//! The rooms of the house, from the top down; a room may use the rooms below it, never those above:
//!
//! | room | decides |
//! |---|---|
//! | [`cli`] | what the commands do |
//! | [`admin`] | what the admin listener answers |
//! | [`front`] | how a client's request is received and answered; the glue to pingora |
//! | [`render`] | when the origin is asked, by whom, how often, and what of its answers counts |
//! | `sitemap` | which pages a site says it has |
//! | [`store`] | where pages are kept and when a kept page is void |
//! | [`policy`] | every caching decision, pure: no clock, no I/O, no async, no globals |
//! | [`config`] | what `proxy.yaml` means |
//! | [`metrics`] | every series |
//! | [`telemetry`] | logs |
//! | [`uri`] | how paths are written: their normal form, patterns and sets of them |

pub mod admin;
pub mod cli;
pub mod config;
pub mod front;
pub mod metrics;
pub mod policy;
pub mod render;
mod sitemap;
pub mod store;
pub mod telemetry;
pub mod uri;
