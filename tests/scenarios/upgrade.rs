//! Upgrading the binary: a successor takes the listening sockets over while clients ask without a pause.

use super::harness::{Answer, Ask, Breadbox, Client, Config, Gate, Http2, Origin, PATIENCE, crowd, eventually, get};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// How often one process takes over from another. The same twenty times under `wrk`: `make handover`.
const UPGRADES: usize = 3;
const CLIENTS: usize = 4;

fn config(origin: &Origin) -> Config {
    let config = Config::new(origin).admin("token: t").top("upgrade_sock: upgrade.sock").top("shutdown_timeout: 20s");
    config.route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &["revalidate: 1h"])
}

#[test]
fn no_request_fails_while_one_process_takes_over_from_another() {
    // Clients with connections that are kept ask on while successors come: every answer is whole and 200, on the
    // same port, and each process that was taken over from ends by itself with 0.
    let origin = Origin::start();
    let mut running = Breadbox::start(config(&origin));
    let addr = running.addr();
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            crowd(addr, CLIENTS, |n, client| {
                let mut turn = 0;
                while !over.load(Ordering::Relaxed) {
                    let target =
                        if turn % 3 == 0 { format!("/api/{n}/{turn}") } else { format!("/page/{}", turn % 10) };
                    let response = client.try_ask(&Ask::get(&target)).unwrap_or_else(|e| panic!("{target}: {e}"));
                    assert_eq!(response.status, 200, "{target}");
                    assert!(response.text().contains(&target), "{target}: {}", response.text());
                    turn += 1;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        for _ in 0..UPGRADES {
            running.may_end();
            let successor = running.successor();
            assert_eq!((successor.addr(), successor.admin_addr()), (addr, running.admin_addr()));
            assert_eq!(running.wait_exit(PATIENCE).code(), Some(0));
            running = successor;
            let before = asked.load(Ordering::Relaxed);
            while asked.load(Ordering::Relaxed) < before + 20 * CLIENTS && !load.is_finished() {
                thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn no_stream_fails_while_one_process_takes_over_from_another() {
    // Eight streams at once on one connection after the other: every stream that GOAWAY does not name as untouched
    // (RFC 9113 §6.8) is answered whole, and only those are sent again.
    let origin = Origin::start();
    let mut running = Breadbox::start(config(&origin).listener("h2c: true"));
    let addr = running.addr();
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (mut connections, mut again) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let mut http2 = Http2::plain(addr);
                connections += 1;
                let mut says_goodbye = false;
                while !says_goodbye && !over.load(Ordering::Relaxed) {
                    let targets: Vec<String> = (0..8).map(|n| format!("/{}/{n}", ["page", "api"][n % 2])).collect();
                    let sent: Vec<_> =
                        targets.iter().map(|target| http2.send(get(&format!("http://a.test{target}")))).collect();
                    for (target, sent) in targets.iter().zip(sent) {
                        match http2.answer(sent) {
                            Ok(answer) => assert_eq!((answer.status(), answer.text().contains(target)), (200, true)),
                            Err(error) if error.is_go_away() && error.is_remote() => {
                                assert_eq!(error.reason(), Some(h2::Reason::NO_ERROR), "{target}");
                                (says_goodbye, again) = (true, again + 1);
                            }
                            Err(error) => panic!("{target}: {error}"),
                        }
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            (connections, again)
        });
        for _ in 0..UPGRADES {
            running.may_end();
            let successor = running.successor();
            assert_eq!(running.wait_exit(PATIENCE).code(), Some(0));
            running = successor;
            let before = asked.load(Ordering::Relaxed);
            while asked.load(Ordering::Relaxed) < before + 200 && !load.is_finished() {
                thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
        let (connections, again) = load.join().expect("no stream fails");
        assert!(connections > UPGRADES && again <= 8 * connections, "{connections} connections, {again} sent again");
    });
}

#[test]
fn what_is_in_flight_is_finished_by_the_process_it_is_in() {
    // A render that is half-way when a successor takes over ends whole; the successor answers meanwhile.
    let gate = Gate::closed();
    let origin = Origin::start();
    let held = gate.clone();
    origin.on("/held", move |x| x.answer_held(&Answer::html("held to the end"), 4, &held));
    let old = Breadbox::start(config(&origin));
    let mut client = old.client();
    client.send(&Ask::get("/held")).expect("the proxy reads");
    client.head().expect("a head");
    old.may_end();
    let new = old.successor();
    assert_eq!(new.get("/p").status, 200);
    assert_eq!(new.admin_ask(&Ask::get("/readyz")).status, 200);
    gate.open();
    assert_eq!(String::from_utf8_lossy(&client.rest().expect("the rest")), "held to the end");
    assert_eq!(old.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_request_on_the_admin_listener_is_answered_by_the_process_it_is_in() {
    // Bug: the process ended as soon as nothing public was in flight, and cut the answer to whoever scraped it.
    let origin = Origin::start();
    let old = Breadbox::start(config(&origin));
    let mut client = Client::connect(old.admin_addr());
    assert_eq!(client.get("/healthz").status, 200);
    let head = "POST /-/deploy HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\nContent-Length: 12\r\n\r\n";
    client.send_raw(format!("{head}{{\"id\":").as_bytes()).expect("the proxy reads");
    old.may_end();
    let new = old.successor();
    for n in 0..50 {
        assert_eq!(new.get(&format!("/p/{n}")).status, 200);
    }
    client.send_raw(b"\"v42\"}").expect("the process is there");
    assert_eq!(client.response().expect("an answer").status, 200);
    assert_eq!(old.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_purge_that_ends_in_the_old_process_is_in_force_in_the_new_one() {
    // Bug: what was purged there, or by a write that it passed on, left the pages as they were that the new process
    // had rendered by then.
    let (gate, origin) = (Gate::closed(), Origin::start());
    let held = gate.clone();
    origin.on("/api/held", move |x| {
        x.hold(&held)?;
        x.answer(&Answer::new("written"))
    });
    let config = Config::new(&origin).admin("token: t").top("upgrade_sock: upgrade.sock").top("shutdown_timeout: 20s");
    let config = config.route("/api/{*rest}", "off", &["invalidate: [ { path: /written } ]"]);
    let old = Breadbox::start(config.route("/{*rest}", "isr", &["revalidate: 1h"]));
    let mut writer = old.client();
    writer.send(&Ask::new("POST", "/api/held").body("x")).expect("the proxy reads");
    origin.wait_for_requests("/api/held", 1);
    let mut admin = Client::connect(old.admin_addr());
    assert_eq!(admin.get("/healthz").status, 200);
    let document = r#"{"path":"/purged","mode":"delete"}"#;
    let (begun, rest) = document.split_at(9);
    let head = "POST /-/purge HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\n";
    admin.send_raw(format!("{head}Content-Length: {}\r\n\r\n{begun}", document.len()).as_bytes()).expect("it reads");
    old.may_end();
    let new = old.successor();
    let pages = ["/purged", "/written", "/other"];
    for _ in 0..2 {
        assert_eq!(pages.map(|path| new.get(path).text()), pages.map(|path| Origin::body(path, 1)));
    }
    admin.send_raw(rest.as_bytes()).expect("the process is there");
    let answer = admin.response().expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(new.get("/purged").text(), Origin::body("/purged", 2));
    gate.open();
    assert_eq!(writer.response().expect("an answer").text(), "written");
    assert_eq!(new.get("/written").text(), Origin::body("/written", 2));
    assert!(new.get("/other").is_hit());
    assert_eq!(old.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_purge_in_the_new_process_is_in_force_in_the_old_one() {
    // Bug: connections that the old process has still were answered with its pages as they were, although whoever
    // purged, and had been answered by the new one, was told that it was done.
    let origin = Origin::start();
    let old = Breadbox::start(config(&origin));
    let mut kept = old.client();
    for _ in 0..2 {
        assert_eq!(kept.get("/purged").text(), Origin::body("/purged", 1));
    }
    // One that has begun with a request is not closed before it has ended.
    let request = format!("GET /purged HTTP/1.1\r\nHost: {}\r\n\r\n", old.addr());
    let (begun, rest) = request.split_at(9);
    kept.send_raw(begun.as_bytes()).expect("it reads");
    old.may_end();
    let new = old.successor();
    let purge = || {
        let purge = Ask::new("POST", "/-/purge").header("Authorization", "Bearer t");
        let answer = Client::connect(new.admin_addr()).ask(&purge.body(r#"{"path":"/purged","mode":"delete"}"#));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    purge();
    kept.send_raw(rest.as_bytes()).expect("the process is there");
    let answer = kept.response().expect("an answer");
    assert_ne!(answer.text(), Origin::body("/purged", 1));
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    drop(kept);
    assert_eq!(old.wait_exit(PATIENCE).code(), Some(0));
    purge();
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    // One with a mistake in its file, and one that cannot have an address, end with 1; the old process serves on,
    // and a good one takes over after that.
    let origin = Origin::start();
    let old = Breadbox::start(config(&origin));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let good = String::from(config(&origin));
    let bad =
        [good.replace("20s", "soon"), good.replace("listeners:\n", &format!("listeners:\n  - address: {address}\n"))];
    for yaml in bad {
        old.write("proxy.yaml", yaml);
        assert_eq!(old.failed_successor().code, Some(1));
        assert_eq!(old.get("/p").status, 200);
    }
    old.write("proxy.yaml", good);
    old.may_end();
    let new = old.successor();
    assert_eq!(old.wait_exit(PATIENCE).code(), Some(0));
    assert_eq!(Client::connect(new.addr()).get("/p").status, 200);
}

#[test]
fn a_successor_may_listen_where_the_process_before_it_does_otherwise() {
    // Bug: `0.0.0.0:80` could not become `127.0.0.1:80`, nor the admin listener's `127.0.0.1:9145` become
    // `0.0.0.0:9145`, because the process that was to go had the port.
    let origin = Origin::start();
    let all = String::from(config(&origin));
    let old = Breadbox::start(all.replacen("127.0.0.1:0", "0.0.0.0:0", 1));
    let (port, admin) = (old.addr().port(), old.admin_addr().port());
    let narrow = all.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1);
    old.write("proxy.yaml", narrow.replacen("127.0.0.1:0", &format!("0.0.0.0:{admin}"), 1));
    old.may_end();
    let new = old.successor();
    assert_eq!(old.wait_exit(PATIENCE).code(), Some(0));
    assert_eq!((new.addr(), new.admin_addr().port()), (([127, 0, 0, 1], port).into(), admin));
    assert_eq!(new.get("/p").status, 200);
    let others = std::net::SocketAddr::from(([127, 0, 0, 2], port));
    assert!(std::net::TcpStream::connect(others).is_err(), "nobody listens there any more");
    assert_eq!(Client::connect(([127, 0, 0, 2], admin).into()).get("/healthz").status, 200);
}

#[test]
fn where_nothing_runs_there_is_nothing_to_take_over() {
    // `run --upgrade` says so and what to do, and ends with 1.
    let origin = Origin::start();
    let old = Breadbox::start(config(&origin));
    old.sigterm();
    old.wait_exit(PATIENCE);
    let failed = old.failed_successor();
    assert_eq!(failed.code, Some(1));
    assert!(failed.output.contains("start without --upgrade"), "{}", failed.output);
}

/// Has the process start its successor, and ends that when it serves.
fn is_taken_over_on_sigquit(old: Breadbox) {
    old.signal("QUIT");
    assert_eq!(old.wait_exit(PATIENCE).code(), Some(0));
    assert_eq!(Client::connect(old.addr()).get("/p").status, 200);
    let ended = std::process::Command::new("sh").args(["-c", &format!("kill {}", old.successor_id())]).status();
    assert!(ended.expect("there is a shell").success(), "the successor is there");
    eventually("the successor has ended", PATIENCE, || std::net::TcpStream::connect(old.addr()).is_err());
}

#[test]
fn sigquit_starts_the_successor() {
    // The running process starts the program again by itself and ends when that has taken over.
    let origin = Origin::start();
    let old = Breadbox::start(config(&origin));
    old.get("/p");
    old.may_end();
    is_taken_over_on_sigquit(old);
}

#[test]
fn sigquit_takes_what_a_reload_cannot() {
    // Bug: the successor looked for the running process where the new file says, and did not find it; the refusal of the
    // reload had sent the operator there.
    let origin = Origin::start();
    let old = Breadbox::start(config(&origin));
    old.expect_error("the configuration was refused");
    let elsewhere = String::from(config(&origin)).replace("upgrade.sock", "other.sock") + "threads: 3\n";
    let refused = old.reload(elsewhere);
    assert!(refused.status == 409 && refused.text().contains("SIGQUIT"), "{}", refused.text());
    old.may_end();
    is_taken_over_on_sigquit(old);
}

#[test]
fn watching_takes_what_changed_and_nothing_else() {
    // `run --watch`: a file that is put in the place of the old one counts, a link that is turned elsewhere does,
    // one with mistakes is refused, and the same text written again is no change.
    let origin = Origin::start();
    let proxy = Breadbox::start_watching(config(&origin));
    proxy.expect_error("the configuration was refused");
    let generation = || proxy.metric("breadbox_config_generation", &[]);
    let off = |n: usize| {
        String::from(Config::new(&origin).top("upgrade_sock: upgrade.sock").route(
            "/{*rest}",
            "off",
            &[&format!("origin: web # {n}")],
        ))
    };
    proxy.write("proxy.yaml", off(1));
    eventually("a replaced file counts", PATIENCE, || proxy.get("/p").is_bypass() && generation() == 2.0);
    proxy.write("proxy.yaml", "origins: {}\n");
    eventually("mistakes are refused", PATIENCE, || proxy.metric("breadbox_config_last_reload_success", &[]) == 0.0);
    // As Kubernetes mounts a ConfigMap: proxy.yaml -> ..data/proxy.yaml, ..data -> v1, and then ..data -> v2.
    for (folder, n) in [("v1", 2), ("v2", 3)] {
        std::fs::create_dir(proxy.file(folder)).expect("the directory is writable");
        std::fs::write(proxy.file(folder).join("proxy.yaml"), off(n)).expect("the directory is writable");
    }
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, proxy.file("link.new")).expect("the directory is writable");
        std::fs::rename(proxy.file("link.new"), proxy.file(name)).expect("the directory is writable");
    };
    link("v1", "..data");
    link("..data/proxy.yaml", "proxy.yaml");
    eventually("a link counts", PATIENCE, || generation() == 3.0);
    link("v2", "..data");
    eventually("a link that is turned elsewhere counts", PATIENCE, || generation() == 4.0);
    std::fs::write(proxy.file("v2/proxy.yaml"), off(3)).expect("the directory is writable");
    std::fs::write(proxy.file("v2/proxy.yaml"), off(4)).expect("the directory is writable");
    eventually("what is written in place counts", PATIENCE, || generation() == 5.0);
}
