//! The configuration of `breadbox run --origin URL`, where there is no file.

use super::mistake::{ConfigError, Mistake};
use crate::config::Config;
use std::net::SocketAddr;
use std::path::Path;

/// What stands in for a file. The URL and the address come as variables: a variable cannot add
/// anything but its own text.
const FILE: &str = "\
origins: { web: { servers: [ \"${URL}\" ] } }
listeners: [ { address: \"${LISTEN:-127.0.0.1:8080}\" } ]
";

impl Config {
    /// The configuration of a Breadbox without a file: one origin `web`, one listener (by default
    /// `127.0.0.1:8080`), one route for everything on which the response's headers decide.
    ///
    /// # Errors
    /// The URL is no server (scheme, host and port alone), or the address is the admin listener's.
    pub fn for_origin(url: &str, listen: Option<SocketAddr>) -> Result<Config, ConfigError> {
        let env = |name: &str| match name {
            "URL" => Some(url.to_owned()),
            "LISTEN" => listen.map(|address| address.to_string()),
            _ => None,
        };
        let config = Config::parse(FILE, Path::new("breadbox run"), &env);
        let config = config.map_err(|error| error.map(|mistake| of_argument(mistake, url)))?;
        // There is no file in which hosts could be listed.
        Ok(Config { warnings: Vec::new(), ..config })
    }
}

/// The same mistake in terms of the command line.
fn of_argument(mistake: Mistake, url: &str) -> Mistake {
    let mistake = Mistake { line: 0, ..mistake };
    if mistake.key.starts_with("origins") {
        let problem = mistake.problem.replace("${URL}", url);
        return Mistake { key: "--origin".to_owned(), problem, ..mistake };
    }
    Mistake {
        key: "--listen".to_owned(),
        problem: "the address is taken by the admin listener".to_owned(),
        remedy: "choose another port".to_owned(),
        ..mistake
    }
}
