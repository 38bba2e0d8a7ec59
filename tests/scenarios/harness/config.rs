//! `proxy.yaml` of a scenario: everything on loopback and port 0, one origin, the keys that matter.

use super::origin::Origin;

/// A configuration in the making.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    servers: Vec<String>,
    top: Vec<String>,
    admin: Vec<String>,
    origin: Vec<String>,
    store: Vec<String>,
    routes: String,
    listeners: usize,
    listener: Vec<String>,
}

impl Config {
    /// One listener and one origin, no routes yet.
    pub(crate) fn new(origin: &Origin) -> Self {
        Config {
            servers: vec![origin.url()],
            top: Vec::new(),
            admin: Vec::new(),
            origin: Vec::new(),
            store: Vec::new(),
            routes: String::new(),
            listeners: 1,
            listener: Vec::new(),
        }
    }

    /// All paths on one `isr` route with these keys (`"revalidate: 300ms"`).
    pub(crate) fn isr(origin: &Origin, keys: &[&str]) -> Self {
        Config::new(origin).route("/{*rest}", "isr", keys)
    }

    /// All paths on one `headers` route with these keys.
    pub(crate) fn headers(origin: &Origin, keys: &[&str]) -> Self {
        Config::new(origin).route("/{*rest}", "headers", keys)
    }

    /// One more route.
    pub(crate) fn route(mut self, path: &str, cache: &str, keys: &[&str]) -> Self {
        self.routes += &format!("  - match: {path}\n    cache: {cache}\n");
        for key in keys {
            self.routes += &format!("    {key}\n");
        }
        self
    }

    /// A key of the origin (`"max_renders: 8"`).
    pub(crate) fn origin(mut self, key: &str) -> Self {
        self.origin.push(key.to_owned());
        self
    }

    /// One more server of the origin.
    pub(crate) fn server(mut self, origin: &Origin) -> Self {
        self.servers.push(origin.url());
        self
    }

    /// A key of the store (`"memory: 64MiB"`).
    pub(crate) fn store(mut self, key: &str) -> Self {
        self.store.push(key.to_owned());
        self
    }

    /// A key of the admin listener.
    pub(crate) fn admin(mut self, key: &str) -> Self {
        self.admin.push(key.to_owned());
        self
    }

    /// A key at the top (`"hosts: [ a.test ]"`).
    pub(crate) fn top(mut self, key: &str) -> Self {
        self.top.push(key.to_owned());
        self
    }

    /// A key of every public listener (`"h2c: true"`).
    pub(crate) fn listener(mut self, key: &str) -> Self {
        self.listener.push(key.to_owned());
        self
    }

    /// This many public listeners.
    pub(crate) fn listeners(mut self, n: usize) -> Self {
        self.listeners = n;
        self
    }
}

impl From<Config> for String {
    fn from(config: Config) -> String {
        let mut yaml: String = config.top.iter().map(|key| format!("{key}\n")).collect();
        yaml += "listeners:\n";
        let listener = format!("  - address: 127.0.0.1:0\n{}", section("  ", &config.listener));
        yaml += &listener.repeat(config.listeners);
        yaml += "admin:\n  address: 127.0.0.1:0\n";
        yaml += &section("", &config.admin);
        let servers: Vec<_> = config.servers.iter().map(|url| format!("{url:?}")).collect();
        yaml += &format!("origins:\n  web:\n    servers: [ {} ]\n", servers.join(", "));
        yaml += &section("  ", &config.origin);
        if !config.store.is_empty() {
            yaml += "store:\n";
            yaml += &section("", &config.store);
        }
        if !config.routes.is_empty() {
            yaml += "routes:\n";
            yaml += &config.routes;
        }
        yaml
    }
}

fn section(indent: &str, keys: &[String]) -> String {
    keys.iter().map(|key| format!("{indent}  {key}\n")).collect()
}
