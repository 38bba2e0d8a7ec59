//! What `proxy.yaml` means, from the outside: a fixture for every kind of mistake with the messages it
//! must give, the defaults, and that `config/reference.yaml` shows every key that is read.

use breadbox::config::file::known_keys;
use breadbox::config::{
    AccessLog, BypassCookies, CacheMode, ClientCacheControl, Config, ConfigError, ErrorPage, Invalidated, Invalidation,
    Log, LogFormat, LogLevel, NamePatterns, Paths, PurgeMode, QueryRule, Redact, Respect, Revalidate, Route, Scheme,
    SetCookie, Sitemap, SitemapSource, StaleWindows, Template, Window,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[path = "config/command_line.rs"]
mod command_line;
#[path = "config/deployments.rs"]
mod deployments;
#[path = "config/shipped.rs"]
mod shipped;

/// The secret that stands in the environment of every test; no message may show it.
const SECRET: &str = "correct-horse-battery-staple!";

const MINIMAL: &str = "origins: { web: { servers: [ \"http://127.0.0.1:3000\" ] } }\n";

fn env(name: &str) -> Option<String> {
    match name {
        "TEST_SECRET" => Some(SECRET.to_owned()),
        "TEST_HOST" => Some("shop.example.com".to_owned()),
        "TEST_EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures(directory: &str) -> Vec<PathBuf> {
    let directory = repository().join("tests/fixtures/config").join(directory);
    let entries = fs::read_dir(directory).expect("the fixtures are in the repository");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable directory").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("proxy.yaml"), &env)
}

fn parse_file(file: &Path) -> Result<Config, ConfigError> {
    Config::parse(&fs::read_to_string(file).expect("a readable fixture"), file, &env)
}

fn valid(name: &str) -> Config {
    let file = repository().join("tests/fixtures/config/valid").join(name);
    parse_file(&file).unwrap_or_else(|error| panic!("{error}"))
}

/// The messages of an error without the directory of the fixtures, which differs from machine to machine.
fn messages(error: &ConfigError, file: &Path) -> String {
    let directory = format!("{}/", file.parent().expect("a fixture is in a directory").display());
    error.to_string().replace(&directory, "")
}

#[test]
fn every_kind_of_mistake_gives_its_messages() {
    // Each fixture `x.yaml` must give exactly the lines of `x.txt`: file, line, key, what is wrong, what would be right.
    let files = fixtures("mistakes");
    assert!(files.len() >= 80, "only {} fixtures were found", files.len());
    for file in files {
        let error = parse_file(&file).expect_err(&file.display().to_string());
        let expected = fs::read_to_string(file.with_extension("txt")).unwrap_or_default();
        assert_eq!(messages(&error, &file), expected.trim_end(), "\n{}", file.display());
    }
}

#[test]
fn mistakes_come_in_the_order_of_the_lines() {
    // Those of files that the file names come behind its own.
    for file in fixtures("mistakes") {
        let error = parse_file(&file).expect_err(&file.display().to_string());
        assert!(
            error.mistakes().is_sorted_by_key(|mistake| (mistake.file != file, &mistake.file, mistake.line)),
            "{}",
            file.display()
        );
        assert!(!error.to_string().contains(SECRET), "{}", file.display());
    }
}

#[test]
fn ten_mistakes_are_reported_at_once() {
    let file = repository().join("tests/fixtures/config/mistakes/ten-at-once.yaml");
    let error = parse_file(&file).expect_err("ten mistakes");
    let keys: Vec<_> = error.mistakes().iter().map(|mistake| (mistake.line, mistake.key.as_str())).collect();
    let expected = [
        (4, "thread"),
        (5, "shutdown_timeout"),
        (6, "hosts[0]"),
        (9, "listeners[0].h2c"),
        (10, "admin.address"),
        (11, "store.memory"),
        (15, "routes[0].revalidate"),
        (16, "routes[1].match"),
        (18, "routes[1].query"),
        (20, "routes[2].origin"),
    ];
    assert_eq!(keys, expected);
}

#[test]
fn reference_yaml_shows_every_key_that_is_read_and_no_other() {
    let text = fs::read_to_string(repository().join("config/reference.yaml")).expect("the reference");
    let tree: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
    let mut shown = BTreeSet::new();
    collect_keys(&tree, "", &mut shown);
    // The name of the origin is no key.
    shown.remove("origins.*");
    assert_eq!(shown, known_keys().into_iter().collect());
}

fn collect_keys(value: &serde_yaml::Value, path: &str, keys: &mut BTreeSet<String>) {
    if let Some(items) = value.as_sequence() {
        items.iter().for_each(|item| collect_keys(item, &format!("{path}[]"), keys));
    }
    for (key, value) in value.as_mapping().into_iter().flatten() {
        let key = if path == "origins" { "*" } else { key.as_str().expect("keys are text") };
        let key = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        collect_keys(value, &key, keys);
        keys.insert(key);
    }
}

#[test]
fn reference_yaml_shows_the_defaults() {
    // The same routes with nothing said about them must come out the same.
    let shown = parse_file(&repository().join("config/reference.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let routes = "routes:
        - { match: \"/isr/{*rest}\", cache: isr }
        - { match: \"/shown/{*rest}\", cache: isr, fallback: { page: builtin } }
        - { match: \"/static/{*rest}\", cache: static }
        - { match: \"/off/{*rest}\", cache: off }
        - { match: \"/{*rest}\" }";
    let mut defaults = parse(&format!("{MINIMAL}{routes}")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(defaults.warnings.len(), 1, "hosts are not set: {:?}", defaults.warnings);
    defaults.warnings.clone_from(&shown.warnings);
    assert_eq!(format!("{shown:#?}"), format!("{defaults:#?}"));
}

#[test]
fn a_file_that_names_an_origin_alone_has_every_default() {
    let config = parse(MINIMAL).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!((config.store.memory, config.store.max_page), (512 << 20, 8 << 20));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(30));
    assert!(config.hosts.is_none() && config.admin.token.is_none() && config.trusted_proxies.is_empty());
    assert!(config.tracking.matches("utm_source") && config.tracking.matches("gclid"));
    let [route] = &config.routes[..] else { panic!("{:?}", config.routes) };
    assert_eq!(
        (&*route.name, route.cache, &route.bypass_cookies),
        ("/{*rest}", CacheMode::Headers, &BypassCookies::Any)
    );
    assert!(route.honour_request_cache_control && route.tag_headers.is_empty());
}

#[test]
fn defaults_depend_on_who_decides_what_is_kept() {
    let routes = "routes: [ { match: /i, cache: isr }, { match: /s, cache: static } ]";
    let config = parse(&format!("{MINIMAL}{routes}")).unwrap_or_else(|error| panic!("{error}"));
    let [isr, fixed] = &config.routes[..] else { panic!("{:?}", config.routes) };
    let forever = StaleWindows { while_revalidate: Window::Forever, if_error: Window::Forever };
    assert_eq!(isr.revalidate, Revalidate::FromHeaders { default: Duration::from_secs(60) });
    assert_eq!(fixed.revalidate, Revalidate::Never);
    for route in [isr, fixed] {
        assert_eq!((route.stale, &route.query, route.max_variants), (forever, &QueryRule::All, 128));
        assert_eq!((&route.bypass_cookies, route.set_cookie), (&BypassCookies::None, SetCookie::Uncacheable));
        assert_eq!(route.tag_headers, ["cache-tag", "surrogate-key", "xkey"]);
        assert_eq!(cache_control(route), "public, max-age=0, must-revalidate");
    }
}

fn cache_control(route: &Route) -> &str {
    match &route.client_cache_control {
        ClientCacheControl::Origin => "origin",
        ClientCacheControl::Set(value) => value.to_str().expect("ASCII"),
    }
}

#[test]
fn every_key_of_the_file_and_its_listeners_and_origins_is_read() {
    let config = valid("every-key.yaml");
    let millis = Duration::from_millis;
    assert_eq!((config.threads.get(), config.shutdown_timeout), (3, millis(5000)));
    assert_eq!(format!("{:?}", config.trusted_proxies), "[10.0.0.0/8, fd00::1/128]");
    assert_eq!(config.hosts.as_deref(), Some(&["shop.example.com".into(), "api.example.com".into()][..]));
    assert_eq!(config.tracking.iter().collect::<Vec<_>>(), ["utm_*", "ref"]);
    assert_eq!(config.listeners[1].address.to_string(), "[::1]:8081");
    let purging = &config.purging;
    assert_eq!(format!("{:?}", purging.from), "[10.0.0.7/32]");
    assert_eq!((purging.max_rules.get(), purging.refresh), (100, 0));
    let Log { level, format, access, redact, buffer } = &config.log;
    assert_eq!((level, format, access), (&LogLevel::Debug, &LogFormat::Json, &AccessLog::Sampled(25_000)));
    assert_eq!((redact, *buffer), (&Redact::Named(NamePatterns::new(["ticket", "*_id"])), 64 << 10));
    let warmed: Vec<String> = config.warm.sitemaps.iter().map(ToString::to_string).collect();
    assert!(warmed[0] == "/sitemap.xml" && warmed[1].ends_with("lists/sitemap.xml"), "{warmed:?}");
    assert_eq!((config.warm.concurrency.get(), config.warm.max_paths), (2, 10));
    let limits = &config.listeners[0].limits;
    assert_eq!((limits.head_timeout, limits.idle_timeout), (millis(1000), millis(2000)));
    assert_eq!((limits.max_head, limits.max_headers, limits.max_streams), (32 << 10, 50, 10));
    let [plain, secure] = &config.listeners[..] else { panic!("{:?}", config.listeners) };
    assert_eq!((plain.h2c, plain.scheme(), secure.h2c, secure.scheme()), (true, Scheme::Http, false, Scheme::Https));
    assert_eq!((secure.limits.handshake_timeout, secure.limits.max_handshakes.get()), (millis(3000), 4));
    let names: Vec<_> = secure.tls.iter().map(|certificate| &certificate.names[..]).collect();
    assert_eq!(names[1], ["other.example.com".into(), "*.other.example.com".into()]);
    assert!(secure.tls[0].is_for("site.example.com") && secure.tls[0].is_for("a.site.example.com"));
    assert!(!secure.tls[0].is_for("a.b.site.example.com") && !secure.tls[0].is_for("example.com"));
    assert_eq!(config.admin.token.as_deref(), Some(SECRET));
    assert!(!format!("{config:?}").contains(SECRET));
    assert_eq!((config.store.memory, config.store.max_page), (64 << 20, 1_000_000));

    let web = &config.origins[0];
    assert_eq!(web.servers.iter().map(|server| server.authority()).collect::<Vec<_>>(), ["app.internal", "[::1]:8443"]);
    assert_eq!(web.host_header.as_ref().map(|host| host.as_bytes()), Some(&b"shop.example.com"[..]));
    assert_eq!((web.public_scheme, web.user_agent.as_bytes()), (Some(Scheme::Https), &b"agent/1"[..]));
    let ca = web.ca.as_ref().expect("the file of certificates");
    assert!(ca.pem.starts_with(b"-----BEGIN CERTIFICATE-----") && ca.path.is_file());
    let timeouts = [web.connect_timeout, web.first_byte_timeout, web.between_bytes_timeout, web.render_timeout];
    assert_eq!(timeouts, [1, 2, 3, 4].map(millis));
    assert_eq!((web.keepalive_timeout, web.queue_timeout), (millis(5), millis(8)));
    assert_eq!((web.max_renders.get(), web.max_waiting), (6, 0));
    assert_eq!(&*config.origins[1].name, "api");
}

#[test]
fn every_key_of_a_route_is_read() {
    let config = valid("every-key.yaml");
    let route = &config.routes[0];
    assert_eq!(&*route.name, "shop.example.com/products/{id}");
    assert_eq!(route.patterns, ["/products/{id}".into(), "/products".into()]);
    assert_eq!((route.host.as_deref(), route.origin.0, route.cache), (Some("shop.example.com"), 1, CacheMode::Isr));
    assert_eq!(route.revalidate, Revalidate::After(Duration::from_secs(90)));
    assert_eq!(route.respect, Respect { private: false, no_store: true });
    let hour = Window::For(Duration::from_secs(3600));
    assert_eq!(route.stale, StaleWindows { while_revalidate: hour, if_error: Window::For(Duration::ZERO) });
    assert_eq!(route.query, QueryRule::Only(vec!["page".into(), "sort".into()]));
    assert_eq!(route.vary.headers, ["accept-language", "rsc"]);
    assert_eq!(route.vary.cookies, ["currency".into()]);
    assert!(matches!(&route.bypass_cookies, BypassCookies::Names(names) if names.matches("wp_1")));
    assert_eq!(
        (route.draft_cookie.as_deref(), &route.tag_headers[..]),
        (Some("preview"), &["x-tags".parse().expect("a name")][..])
    );
    let path = |text: &str, host: Option<&str>| Invalidated::Path { path: template(text), host: host.map(Into::into) };
    let entry = |what, mode| Invalidation { what, mode };
    let expected = [
        entry(path("/sitemap.xml", None), PurgeMode::Delete),
        entry(path("/feed", Some("api.example.com")), PurgeMode::Stale),
        entry(Invalidated::Tag(template("products")), PurgeMode::Delete),
    ];
    assert_eq!(route.invalidate, expected);
    assert_eq!((route.not_found_ttl, route.uncacheable_ttl), (Duration::from_secs(1), Duration::from_secs(2)));
    assert_eq!((route.max_variants, route.set_cookie), (7, SetCookie::Strip));
    assert_eq!((cache_control(route), route.honour_request_cache_control), ("no-cache", true));
    assert_eq!(route.error_page, Some(ErrorPage::Builtin));
    let Some(Paths::Sitemap(sitemap)) = &route.paths else { panic!("{:?}", route.paths) };
    assert_eq!(sitemap.source.to_string(), "https://shop.example.com/sitemap.xml?all");
    assert_eq!((sitemap.refresh, sitemap.max_paths), (Duration::from_secs(60), 1000));
    let fallback = route.fallback.as_ref().expect("a page");
    assert_eq!((fallback.after, fallback.hold), (Duration::ZERO, Duration::from_secs(1)));
    assert_eq!((fallback.status.as_u16(), fallback.preload.max), (503, 1));
    assert_eq!(fallback.preload.from, ["https://cdn.example.com".into()]);
    assert!(fallback.page.body("t").starts_with(b"<!doctype html>\n<html lang=\"en\"><head><title>One moment"));
}

fn template(text: &str) -> Template {
    Template::parse(text).expect("a template")
}

#[test]
fn tags_may_be_a_list_of_those_that_every_page_has() {
    let routes = "routes: [ { match: \"/p/{id}\", cache: isr, tags: [ \"p-{id}\", p ] } ]";
    let config = parse(&format!("{MINIMAL}{routes}")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.routes[0].tags, [template("p-{id}"), template("p")]);
    assert_eq!(config.routes[0].tag_headers, ["cache-tag", "surrogate-key", "xkey"]);
    assert_eq!(config.routes[0].draft_cookie.as_deref(), Some("__prerender_bypass"));
}

#[test]
fn every_other_form_of_a_route_is_read() {
    let config = valid("every-key.yaml");
    let [_, headers, from_headers, never, off] = &config.routes[..] else { panic!("{:?}", config.routes) };
    assert_eq!((&headers.bypass_cookies, headers.heuristic_max), (&BypassCookies::None, Duration::ZERO));
    assert_eq!((cache_control(headers), headers.honour_request_cache_control), ("max-age=5", false));
    assert_eq!(headers.tag_headers, ["cache-tag"]);
    assert_eq!(from_headers.revalidate, Revalidate::FromHeaders { default: Duration::from_secs(5) });
    let fallback = from_headers.fallback.as_ref().expect("the page that is shipped");
    assert_eq!((fallback.after, fallback.hold), (Duration::from_secs(1), Duration::from_secs(30)));
    assert!(never.fallback.is_none());
    assert_eq!((&from_headers.query, &from_headers.bypass_cookies), (&QueryRule::None, &BypassCookies::Any));
    let day = Window::For(Duration::from_secs(86_400));
    assert_eq!(from_headers.stale, StaleWindows { while_revalidate: day, if_error: day });
    assert_eq!((never.revalidate, &never.query), (Revalidate::Never, &QueryRule::None));
    assert_eq!(never.respect, Respect { private: true, no_store: false });
    assert_eq!(
        (headers.draft_cookie.as_deref(), &headers.tags[..]),
        (None, &[template("all"), template("headers")][..])
    );
    assert_eq!((off.cache, off.invalidate.len()), (CacheMode::Off, 1));
    let Some(Paths::File { path, set }) = &off.paths else { panic!("{:?}", off.paths) };
    assert!(path.ends_with("lists/off.txt") && set.len() == 2 && set.contains("/off/2"));
    let Some(Paths::Sitemap(Sitemap { source: SitemapSource::File(path), refresh, max_paths })) = &never.paths else {
        panic!("{:?}", never.paths)
    };
    assert!(path.ends_with("lists/sitemap.xml"));
    assert_eq!((*refresh, *max_paths), (Duration::from_secs(600), 5_000_000));
    for page in [Some(&config.error_page), off.error_page.as_ref()] {
        let Some(ErrorPage::File { path, html }) = page else { panic!("{page:?}") };
        assert!(path.ends_with("lists/error.html") && html.contains("{{detail}}"));
    }
    assert!(headers.error_page.is_none() && headers.paths.is_none());
}

#[test]
fn anchors_aliases_and_merges_share_what_routes_have_in_common() {
    let config = valid("anchors.yaml");
    let renders: Vec<usize> = config.origins.iter().map(|origin| origin.max_renders.get()).collect();
    assert_eq!(renders, [4, 2]);
    for route in &config.routes {
        assert_eq!(route.revalidate, Revalidate::After(Duration::from_secs(1)), "{}", route.name);
    }
    assert_eq!((&*config.routes[1].name, config.routes[1].origin.0), ("/b", 1));
}

#[test]
fn the_value_of_a_variable_cannot_add_structure() {
    let trick = |_: &str| Some("a.example, evil.example ]\nthreads: 7".to_owned());
    let error = Config::parse(&format!("{MINIMAL}hosts: [ \"${{X}}\" ]"), Path::new("proxy.yaml"), &trick);
    let error = error.expect_err("one host that is none");
    assert_eq!(error.mistakes().len(), 1);
    assert!(
        error.to_string().contains("hosts[0]: \"${X}\" has a port; write it without")
            && !error.to_string().contains("evil"),
        "{error}"
    );
}

#[test]
fn what_is_legal_but_hardly_meant_is_a_warning_with_its_line() {
    let text = "trusted_proxies: [ 0.0.0.0/0 ]\nroutes:\n  - match: /\n    cache: isr\n    vary: { headers: [ User-Agent ] }\n";
    let config = parse(&format!("{MINIMAL}{text}")).unwrap_or_else(|error| panic!("{error}"));
    let starts =
        ["proxy.yaml: hosts: is not set", "proxy.yaml:2: trusted_proxies: ", "proxy.yaml:6: routes[0].vary.headers: "];
    assert_eq!(config.warnings.len(), starts.len(), "{:?}", config.warnings);
    for (warning, start) in config.warnings.iter().zip(starts) {
        assert!(warning.starts_with(start), "{warning}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = Config::load(&directory.path().join("none.yaml")).expect_err("no file");
    assert!(missing.to_string().contains("none.yaml: cannot be read: "), "{missing}");
    let unreadable = Config::load(directory.path()).expect_err("a directory");
    assert!(unreadable.to_string().contains("cannot be read: "), "{unreadable}");

    let file = directory.path().join("proxy.yaml");
    fs::write(&file, b"threads: 2\n# caf\xe9\n").expect("a file");
    let latin1 = Config::load(&file).expect_err("not UTF-8");
    assert!(latin1.to_string().contains("proxy.yaml:2: is not UTF-8"), "{latin1}");

    fs::write(&file, "# long\n".repeat(200_000)).expect("a file");
    let long = Config::load(&file).expect_err("too long");
    assert!(long.to_string().contains("is larger than 1MiB"), "{long}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_key() {
    assert!(parse(&format!("\u{feff}{MINIMAL}")).is_ok());
}
