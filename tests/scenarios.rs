//! Black-box scenarios: the real binary between a scripted origin and clients that speak HTTP/1.1 byte
//! by byte. One test binary, so that linking happens once; a file for each promise.
//!
//! Nothing here waits by sleeping: the origin holds and releases its answers, and states that others
//! reach on their own are polled with a deadline.

mod scenarios {
    mod harness;

    mod admin;
    mod anonymity;
    mod bypass;
    mod collapse;
    mod config_errors;
    mod cookies;
    mod dashboard;
    mod deploys;
    mod disconnect;
    mod disk;
    mod draft;
    mod encodings;
    mod encodings_origin;
    mod error_pages;
    mod explain;
    mod failures;
    mod fallback;
    mod fallback_waits;
    mod greeting;
    mod harness_itself;
    mod hit_lane;
    mod hosts;
    mod http2;
    mod interim;
    mod limits;
    mod lists;
    mod logs;
    mod memory;
    mod origin_down;
    mod paths;
    mod purge;
    mod purge_foreign;
    mod query;
    mod reload;
    mod reload_origin;
    mod reload_under_load;
    mod request_id;
    mod revalidation;
    mod rfc9111;
    mod rfc9111_fields;
    mod rfc9111_laws;
    mod rfc9111_partial;
    mod rfc9111_requests;
    mod rfc9111_validation;
    mod run_origin;
    mod servers;
    mod serving;
    mod shutdown;
    mod sitemaps;
    mod smuggling;
    mod stale;
    mod streaming;
    mod tags;
    mod tls;
    mod ttl;
    mod uncacheable;
    mod unsafe_methods;
    mod upgrade;
    mod vary;
    mod warm;
    mod write_through;
}
