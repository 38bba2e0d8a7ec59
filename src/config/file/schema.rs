//! The keys of `proxy.yaml`, section by section: those that are read, and those of the design that
//! are built later and are refused by name. `config/reference.yaml` shows the same keys; a test holds
//! the two together.

/// One mapping of the file.
#[derive(Debug)]
pub(super) struct Section {
    /// Its path; `[]` stands for any element and `*` for any name. Empty for the whole file.
    pub(super) path: &'static str,
    /// The keys that are read.
    pub(super) keys: &'static [&'static str],
    /// The keys that are built later.
    pub(super) later: &'static [&'static str],
}

pub(super) const FILE: Section = Section {
    path: "",
    keys: &[
        "threads",
        "shutdown_timeout",
        "upgrade_sock",
        "trusted_proxies",
        "hosts",
        "tracking",
        "crawlers",
        "long_polls",
        "listeners",
        "admin",
        "origins",
        "store",
        "routes",
        "purge_from",
        "max_purge_rules",
        "purge_refresh",
        "deploy",
        "deploy_refresh",
        "immutable_assets",
        "log",
        "error_page",
        "compression",
        "warm",
    ],
    later: &[],
};

pub(super) const LOG: Section =
    Section { path: "log", keys: &["level", "format", "access", "redact", "buffer"], later: &[] };

pub(super) const LISTENER: Section =
    Section { path: "listeners[]", keys: &["address", "limits", "tls", "h2c"], later: &[] };

/// An entry of a list that is empty by default, so it is not among the keys that have defaults.
pub(super) const CERTIFICATE: Section = Section { path: "listeners[].tls", keys: &["certificate", "key"], later: &[] };

pub(super) const LIMITS: Section = Section {
    path: "listeners[].limits",
    keys: &[
        "head_timeout",
        "idle_timeout",
        "max_head",
        "max_headers",
        "max_streams",
        "handshake_timeout",
        "max_handshakes",
    ],
    later: &[],
};

pub(super) const ADMIN: Section = Section { path: "admin", keys: &["address", "token"], later: &[] };

pub(super) const ORIGIN: Section = Section {
    path: "origins.*",
    keys: &[
        "servers",
        "host_header",
        "public_scheme",
        "ca",
        "user_agent",
        "connect_timeout",
        "first_byte_timeout",
        "between_bytes_timeout",
        "render_timeout",
        "keepalive_timeout",
        "max_renders",
        "max_waiting",
        "queue_timeout",
    ],
    later: &["health_check", "health_checks"],
};

pub(super) const STORE: Section = Section { path: "store", keys: &["memory", "max_page", "disk"], later: &["shared"] };

pub(super) const DISK: Section =
    Section { path: "store.disk", keys: &["path", "capacity", "unwritten", "flush_timeout"], later: &[] };

pub(super) const COMPRESSION: Section = Section {
    path: "compression",
    keys: &["codings", "quality", "min_size", "types", "threads", "max_waiting"],
    later: &[],
};

pub(super) const COMPRESSION_QUALITY: Section =
    Section { path: "compression.quality", keys: &["br", "zstd", "gzip"], later: &[] };

pub(super) const ROUTE_COMPRESSION: Section = Section {
    path: "routes[].compression",
    keys: &["codings", "quality", "min_size", "types", "ignore_no_transform"],
    later: &[],
};

pub(super) const ROUTE_COMPRESSION_QUALITY: Section =
    Section { path: "routes[].compression.quality", keys: &["br", "zstd", "gzip"], later: &[] };

pub(super) const ROUTE: Section = Section {
    path: "routes[]",
    keys: &[
        "match",
        "host",
        "origin",
        "cache",
        "revalidate",
        "respect",
        "stale",
        "query",
        "vary",
        "bypass",
        "tags",
        "not_found_ttl",
        "uncacheable_ttl",
        "max_variants",
        "set_cookie",
        "client_cache_control",
        "honour_request_cache_control",
        "heuristic_max",
        "fallback",
        "invalidate",
        "paths",
        "error_page",
        "compression",
    ],
    later: &[],
};

pub(super) const REVALIDATE: Section = Section { path: "routes[].revalidate", keys: &["from", "default"], later: &[] };

pub(super) const STALE: Section =
    Section { path: "routes[].stale", keys: &["while_revalidate", "if_error"], later: &[] };

pub(super) const VARY: Section = Section { path: "routes[].vary", keys: &["headers", "cookies"], later: &[] };

pub(super) const BYPASS: Section = Section { path: "routes[].bypass", keys: &["cookies", "draft"], later: &[] };

pub(super) const DRAFT: Section = Section { path: "routes[].bypass.draft", keys: &["cookie"], later: &[] };

pub(super) const TAGS: Section = Section { path: "routes[].tags", keys: &["header", "add"], later: &[] };

pub(super) const FALLBACK: Section =
    Section { path: "routes[].fallback", keys: &["page", "after", "status", "hold", "preload"], later: &[] };

pub(super) const PRELOAD: Section = Section { path: "routes[].fallback.preload", keys: &["max", "from"], later: &[] };

pub(super) const LONG_POLLS: Section =
    Section { path: "long_polls", keys: &["per_token", "per_client", "total"], later: &[] };

/// An entry of a list that is empty by default, so it is not among the keys that have defaults.
pub(super) const INVALIDATE: Section =
    Section { path: "routes[].invalidate[]", keys: &["path", "tag", "host", "mode"], later: &[] };

pub(super) const WARM: Section = Section { path: "warm", keys: &["sitemap", "concurrency", "max_paths"], later: &[] };

/// As above: a route has no list by default.
pub(super) const PATHS: Section =
    Section { path: "routes[].paths", keys: &["file", "sitemap", "refresh", "max_paths", "unknown"], later: &[] };

const ALL: [&Section; 23] = [
    &FILE,
    &WARM,
    &LOG,
    &LISTENER,
    &LIMITS,
    &ADMIN,
    &ORIGIN,
    &STORE,
    &DISK,
    &ROUTE,
    &REVALIDATE,
    &STALE,
    &VARY,
    &BYPASS,
    &DRAFT,
    &TAGS,
    &FALLBACK,
    &PRELOAD,
    &LONG_POLLS,
    &COMPRESSION,
    &COMPRESSION_QUALITY,
    &ROUTE_COMPRESSION,
    &ROUTE_COMPRESSION_QUALITY,
];

/// Every key that is read, with its path: `threads`, `origins.*.servers`, `routes[].vary.headers`.
pub fn known_keys() -> Vec<String> {
    let keys = ALL.iter().flat_map(|section| section.keys.iter().map(|key| section.path_of(key)));
    keys.collect()
}

impl Section {
    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// What somebody who wrote `key` here most likely meant.
    pub(super) fn suggestion(&self, key: &str) -> String {
        let nearest = self.keys.iter().map(|known| (strsim::damerau_levenshtein(key, known), known)).min();
        if let Some((distance, known)) = nearest
            && distance <= known.len().div_ceil(3)
        {
            return format!("did you mean `{known}`?");
        }
        if let Some(home) = ALL.iter().find(|section| section.keys.contains(&key)) {
            return format!("it is known as `{}`", home.path_of(key));
        }
        format!("the keys here are {}", self.keys.join(", "))
    }
}
