//! What the lanes are.

use crate::process::is_installed;
use crate::server::Server;
use crate::wrk::Pages;
use std::net::SocketAddr;

/// A kind of request.
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) path: &'static str,
    pub(crate) head: Head,
    pub(crate) pages: Pages,
    pub(crate) over: Over,
    /// Whether a responder that understands nothing can stand beside the caches.
    pub(crate) has_bare: bool,
}

/// Header fields besides `Host`.
pub(crate) enum Head {
    None,
    Lines(&'static [&'static str]),
    Validator,
}

/// What carries the requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Plain,
    /// HTTP/1.1.
    Tls,
    /// With TLS.
    Http2,
    /// Without.
    Http2Plain,
}

pub(crate) const LANES: [Lane; 16] = [
    Lane { name: "hot", title: "one page of 16 KiB", path: "/hot/page", ..LANE },
    Lane { name: "apart", title: "the same, no two requests alike", pages: Pages::Apart, ..LANE },
    Lane {
        name: "browser",
        title: "the same, a browser's request heads",
        head: Head::Lines(&BROWSER),
        pages: Pages::Apart,
        ..LANE
    },
    Lane { name: "small", title: "one page of 1 KiB", path: "/small/page", pages: Pages::Apart, ..LANE },
    Lane { name: "large", title: "one page of 256 KiB", path: "/large/page", pages: Pages::Apart, ..LANE },
    Lane {
        name: "304",
        title: "one page of 16 KiB, If-None-Match",
        head: Head::Validator,
        pages: Pages::Apart,
        ..LANE
    },
    Lane { name: "zipf", title: "10,000 pages of 16 KiB, Zipf 1.0", path: "/zipf/1", pages: Pages::Zipf, ..NO_BARE },
    Lane {
        name: "uniform",
        title: "100,000 pages of 16 KiB, all as likely",
        path: "/uniform/1",
        pages: Pages::Uniform,
        ..NO_BARE
    },
    Lane {
        name: "gzip",
        title: "one page of 16 KiB, a client that takes gzip",
        path: "/gzip/page",
        head: Head::Lines(&["Accept-Encoding: gzip"]),
        pages: Pages::Apart,
        ..NO_BARE
    },
    Lane {
        name: "br",
        title: "one page of 16 KiB, a client that takes what a browser does",
        path: "/gzip/page",
        head: Head::Lines(&["Accept-Encoding: gzip, deflate, br, zstd"]),
        pages: Pages::Apart,
        ..NO_BARE
    },
    Lane { name: "bypass", title: "16 KiB, not cached", path: "/off/page", ..NO_BARE },
    Lane { name: "nostore", title: "16 KiB, answers that say no-store", path: "/nostore/page", ..NO_BARE },
    Lane {
        name: "churn",
        title: "one page of 1 KiB, a connection for each request",
        path: "/small/page",
        head: Head::Lines(&["Connection: close"]),
        ..NO_BARE
    },
    Lane {
        name: "tls",
        title: "one page of 16 KiB over TLS, HTTP/1.1",
        over: Over::Tls,
        pages: Pages::Apart,
        ..NO_BARE
    },
    Lane { name: "h2", title: "one page of 16 KiB over TLS, HTTP/2, 4 streams", over: Over::Http2, ..NO_BARE },
    Lane { name: "h2c", title: "one page of 16 KiB over HTTP/2, 4 streams", over: Over::Http2Plain, ..NO_BARE },
];

const LANE: Lane = Lane {
    name: "",
    title: "",
    path: "/hot/page",
    head: Head::None,
    pages: Pages::One,
    over: Over::Plain,
    has_bare: true,
};
const NO_BARE: Lane = Lane { has_bare: false, ..LANE };

/// GiB that have to be free for the pages of the uniform lane in every server.
const UNIFORM_GIB: u64 = 12;

/// What a navigation sends, without an `Accept-Encoding`: bodies are compared as they are.
const BROWSER: [&str; 10] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"",
    "sec-ch-ua-mobile: ?0",
    "sec-ch-ua-platform: \"Linux\"",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Upgrade-Insecure-Requests: 1",
];

impl Lane {
    /// Where a server takes these requests, if it does.
    pub(crate) fn address(&self, server: &Server) -> Option<SocketAddr> {
        let address = match self.over {
            Over::Plain => Some(server.address),
            Over::Tls | Over::Http2 => server.tls,
            Over::Http2Plain => server.h2c,
        };
        address.filter(|_| !server.lacks.contains(&self.name))
    }

    /// The status of its answers.
    pub(crate) fn status(&self) -> u16 {
        if matches!(self.head, Head::Validator) { 304 } else { 200 }
    }

    /// Whether every request goes to the origin.
    pub(crate) fn is_proxied(&self) -> bool {
        matches!(self.name, "bypass" | "nostore")
    }

    /// Why it cannot be run here.
    pub(crate) fn obstacle(&self) -> Option<String> {
        if matches!(self.over, Over::Http2 | Over::Http2Plain) && !is_installed("h2load") {
            return Some("h2load is not installed (make setup-bench)".to_owned());
        }
        let free = free_gib();
        if self.pages == Pages::Uniform && free < UNIFORM_GIB {
            return Some(format!("it needs {UNIFORM_GIB} GiB of memory, and {free} are free"));
        }
        None
    }
}

fn free_gib() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or_default() >> 20
}
