//! What of a configuration cannot change while it is served. Everything else is taken by a reload.

use super::Config;
use std::fmt;

/// A key that the next configuration changes and a running process cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Its path.
    pub key: &'static str,
    /// What is running.
    pub running: String,
    /// What the file says.
    pub wanted: String,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fixed { key, running, wanted } = self;
        write!(
            f,
            "{key}: {running} is running and the file says {wanted}; this needs an upgrade \
             (SIGQUIT to the running process) or a restart, or put {key} back"
        )
    }
}

impl Config {
    /// What of `next` a process that serves `self` cannot take over.
    pub fn fixed(&self, next: &Config) -> Vec<Fixed> {
        let socket =
            |config: &Config| config.upgrade_sock.as_ref().map_or("~".to_owned(), |path| path.display().to_string());
        let disk = |config: &Config| match &config.store.disk {
            Some(disk) => format!("{} of {}B", disk.path.display(), disk.capacity),
            None => "~".to_owned(),
        };
        let pairs = [
            ("store.disk", disk(self), disk(next)),
            ("upgrade_sock", socket(self), socket(next)),
            ("threads", self.threads.to_string(), next.threads.to_string()),
            ("compression.threads", self.encoders.threads.to_string(), next.encoders.threads.to_string()),
            ("admin.address", self.admin.address.to_string(), next.admin.address.to_string()),
        ];
        let differs = pairs.into_iter().filter(|(_, running, wanted)| running != wanted);
        differs.map(|(key, running, wanted)| Fixed { key, running, wanted }).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::testing;

    #[test]
    fn what_cannot_change_is_named_with_what_runs_and_what_is_wanted() {
        let running = testing::config(vec![]);
        let mut next = running.clone();
        next.shutdown_timeout *= 2;
        assert_eq!(running.fixed(&next), []);
        next.threads = std::num::NonZeroUsize::new(7).expect("seven");
        next.admin.address = "127.0.0.1:1".parse().expect("an address");
        let said: Vec<String> = running.fixed(&next).iter().map(ToString::to_string).collect();
        assert!(said[0].starts_with("threads: 1 is running and the file says 7;"), "{said:?}");
        assert!(said[1].starts_with("admin.address: 127.0.0.1:9145 is running"), "{said:?}");
    }
}
