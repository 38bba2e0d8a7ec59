//! What a command line says in the place of a file.

use breadbox::config::{CacheMode, Config};

#[test]
fn an_origin_on_the_command_line_needs_no_file() {
    let config = Config::for_origin("http://127.0.0.1:3000", None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        (&*config.origins[0].name, config.listeners[0].address.to_string()),
        ("web", "127.0.0.1:8080".to_owned())
    );
    assert_eq!((&*config.routes[0].name, config.routes[0].cache), ("/{*rest}", CacheMode::Headers));
    assert!(config.warnings.is_empty());
    let listen = "0.0.0.0:0".parse().ok();
    let config = Config::for_origin("https://app.internal", listen).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Some(config.listeners[0].address), listen);
}

#[test]
fn mistakes_on_the_command_line_are_said_in_its_terms() {
    let said = |url, listen| Config::for_origin(url, listen).expect_err("a mistake").to_string();
    let path = said("http://127.0.0.1:3000/app", None);
    assert!(path.starts_with("breadbox run: --origin: \"http://127.0.0.1:3000/app\" has a path; "), "{path}");
    let password = said("http://u:hunter2@127.0.0.1", None);
    assert!(
        password.starts_with("breadbox run: --origin: holds credentials") && !password.contains("hunter2"),
        "{password}"
    );
    let taken = said("http://127.0.0.1:3000", "127.0.0.1:9145".parse().ok());
    assert!(taken.starts_with("breadbox run: --listen: the address is taken by the admin listener; "), "{taken}");
}
