//! Reloading while clients ask without a pause: not one of them may notice.

use super::harness::{Ask, Breadbox, Config, Origin, crowd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// How often the file is changed. The same twenty times under `wrk`: `make handover`.
const RELOADS: usize = 8;
const CLIENTS: usize = 6;

/// The configuration of one generation: routes move, limits change, a listener comes and goes.
fn generation(origin: &Origin, number: usize) -> Config {
    let config = Config::new(origin).admin("token: t").listeners(1 + number % 2);
    let config = if number.is_multiple_of(2) { config.route("/extra", "static", &[]) } else { config };
    let config = config.route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &["revalidate: 50ms"]);
    config.origin(&format!("max_renders: {}", 8 + number)).store(&format!("memory: {}MiB", 64 + number))
}

#[test]
fn no_request_fails_while_the_file_changes() {
    // Hits, stale hits with their refreshes, misses and bypasses on connections that are kept, through several
    // reloads: every answer is whole and 200, and no connection is closed.
    let origin = Origin::start();
    let proxy = Breadbox::start(generation(&origin, 0));
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            crowd(proxy.addr(), CLIENTS, |n, client| {
                let mut turn = 0;
                while !over.load(Ordering::Relaxed) {
                    let target = match turn % 4 {
                        0 | 1 => format!("/page/{}", turn % 10),
                        2 => format!("/api/{n}/{turn}"),
                        _ => format!("/new/{n}/{turn}"),
                    };
                    let response = client.try_ask(&Ask::get(&target)).unwrap_or_else(|e| panic!("{target}: {e}"));
                    assert_eq!(response.status, 200, "{target}");
                    assert!(response.text().contains(&target), "{target}: {}", response.text());
                    assert_ne!(response.header("connection"), Some("close"), "{target}");
                    turn += 1;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        for number in 1..=RELOADS {
            let before = asked.load(Ordering::Relaxed);
            let answer = proxy.reload(generation(&origin, number));
            assert_eq!(answer.status, 200, "{}", answer.text());
            while asked.load(Ordering::Relaxed) < before + 20 * CLIENTS && !load.is_finished() {
                thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(proxy.metric("breadbox_config_generation", &[]), 1.0 + RELOADS as f64);
}
