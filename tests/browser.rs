//! What a visitor sees: the real binary in front of a headless Chromium. A test binary of its own, so that
//! whoever has no browser can leave it out (`cargo nextest run -E 'not binary(browser)'`).
//!
//! `browser::chromium` is a small driver that knows nothing of Breadbox; `scenarios::harness` starts the
//! binary and the origin.

// The paths are what they would be without them; rustfmt looks elsewhere for nested modules otherwise.
#[expect(dead_code, unused_imports, reason = "the scenarios use the rest of it")]
#[path = "scenarios"]
mod scenarios {
    pub(crate) mod harness;
}

#[path = "browser"]
mod browser {
    mod chromium;

    mod chromium_itself;
    mod dashboard;
    mod error_page;
    mod swap;
    mod tabs;
}
