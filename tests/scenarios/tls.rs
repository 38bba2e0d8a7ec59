//! Listeners with TLS: which certificate a client is shown, which protocol it gets, what `check` says
//! about files that will not do, and what becomes of clients that do not shake hands.

use super::harness::{
    Answer, Ask, Breadbox, Client, Config, Http2, Identity, Origin, PATIENCE, Run, Trust, eventually,
};
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

const HTTP1: &[&str] = &["http/1.1"];
const BOTH: &[&str] = &["h2", "http/1.1"];

fn files(identity: &Identity) -> [(&'static str, &str); 2] {
    [("site.crt", &identity.pem), ("site.key", &identity.key)]
}

fn secured(config: Config, identity: &Identity) -> Breadbox {
    Breadbox::start_with(config.listener("tls: { certificate: site.crt, key: site.key }"), &[], &files(identity))
}

fn client(proxy: &Breadbox, trust: &Trust, name: &str) -> Client {
    let stream = trust.connect(proxy.addr(), name).expect("a handshake");
    Client::over(stream, proxy.addr())
}

#[test]
fn pages_and_bypasses_come_through_tls_with_the_scheme_of_the_listener() {
    // One listener speaks TLS; its pages are https pages: X-Forwarded-Proto says so, and both protocols share them.
    let (origin, identity) = (Origin::start(), Identity::localhost());
    let config = Config::new(&origin).route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &[]);
    let proxy = secured(config, &identity);
    let trust = Trust::new(&[&identity.pem], BOTH);
    let mut http2 = Http2::tls(proxy.addr(), &trust, "localhost");
    let first = http2.get("https://localhost/p");
    assert_eq!((first.status(), first.text()), (200, Origin::body("/p", 1)));
    let mut http1 = client(&proxy, &Trust::new(&[&identity.pem], HTTP1), "localhost");
    let second = http1.ask(&Ask::get("/p").header("Host", "localhost"));
    assert!(second.is_hit(), "{:?}", second.head);
    assert_eq!(http1.ask(&Ask::get("/api/x").header("Host", "localhost")).text(), Origin::body("/api/x", 1));
    assert_eq!(http2.get("https://localhost/api/y").text(), Origin::body("/api/y", 1));
    for path in ["/p", "/api/x", "/api/y"] {
        let seen = &origin.requests(path)[0];
        assert_eq!(seen.all("x-forwarded-proto"), ["https"], "{path}");
        assert_eq!(seen.all("x-forwarded-host"), ["localhost"], "{path}");
    }
    assert_eq!(proxy.metric("breadbox_tls_handshakes_total", &[("version", "1.3"), ("kind", "full")]), 2.0);
    assert!(proxy.metric("breadbox_tls_certificate_expiry_timestamp_seconds", &[]) > 1e9);
}

#[test]
fn the_client_chooses_the_protocol() {
    // HTTP/2 where the client knows it, HTTP/1.1 where it does not or says nothing; both versions of TLS.
    let (origin, identity) = (Origin::start(), Identity::localhost());
    let proxy = secured(Config::isr(&origin, &[]), &identity);
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        for (offer, alpn) in [(BOTH, Some("h2")), (HTTP1, Some("http/1.1")), (&[], None)] {
            let trust = Trust::with_versions(&[&identity.pem], offer, &[version]);
            let stream = trust.connect(proxy.addr(), "localhost").expect("a handshake");
            assert_eq!((stream.alpn(), stream.version()), (alpn, Some(name)));
            if alpn != Some("h2") {
                assert_eq!(Client::over(stream, proxy.addr()).get("/p").status, 200);
            }
        }
    }
    let odd = Trust::new(&[&identity.pem], &["spdy/3"]);
    assert!(odd.connect(proxy.addr(), "localhost").is_err(), "a protocol that nobody speaks");
    eventually("it is counted", PATIENCE, || failures(&proxy, "incompatible") == 1.0);
}

#[test]
fn a_session_is_resumed() {
    // A client that comes back is spared the certificate and the signature, with either version.
    let (origin, identity) = (Origin::start(), Identity::localhost());
    let proxy = secured(Config::isr(&origin, &[]), &identity);
    for (version, name) in [(&TLS12, "1.2"), (&TLS13, "1.3")] {
        let trust = Trust::with_versions(&[&identity.pem], HTTP1, &[version]);
        for resumed in [false, true] {
            let stream = trust.connect(proxy.addr(), "localhost").expect("a handshake");
            assert_eq!(stream.is_resumed(), resumed, "{name}");
            // Tickets of TLS 1.3 come behind the handshake.
            assert_eq!(Client::over(stream, proxy.addr()).get("/p").status, 200);
        }
        assert_eq!(proxy.metric("breadbox_tls_handshakes_total", &[("version", name), ("kind", "resumed")]), 1.0);
    }
}

#[test]
fn the_name_chooses_the_certificate() {
    // The very name, then a wildcard of one label, whatever the case; the first is for everybody else.
    let origin = Origin::start();
    let (first, shop, wild) =
        (Identity::of(&["localhost"]), Identity::of(&["shop.test"]), Identity::of(&["*.in.test", "Two.Example"]));
    let tls = "tls: [ { certificate: a.crt, key: a.key }, { certificate: b.crt, key: b.key }, \
        { certificate: c.crt, key: c.key } ]";
    let files = [
        ("a.crt", &*first.pem),
        ("a.key", &first.key),
        ("b.crt", &shop.pem),
        ("b.key", &shop.key),
        ("c.crt", &wild.pem),
        ("c.key", &wild.key),
    ];
    let proxy = Breadbox::start_with(Config::isr(&origin, &[]).listener(tls), &[], &files);
    let trust = Trust::new(&[&first.pem, &shop.pem, &wild.pem], HTTP1);
    for (name, identity) in [
        ("localhost", &first),
        ("shop.test", &shop),
        ("SHOP.test", &shop),
        ("other.in.test", &wild),
        ("two.example", &wild),
    ] {
        let stream = trust.connect(proxy.addr(), name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(stream.shows(identity), "{name}");
    }
    for name in ["a.b.in.test", "in.test", "elsewhere.example"] {
        let error = trust.connect(proxy.addr(), name).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("certificate not valid for name"), "{name}: {error}");
    }
    eventually("refusals are counted", PATIENCE, || failures(&proxy, "refused") == 3.0);
}

#[test]
fn a_chain_is_shown_whole() {
    // A client that trusts the issuer alone needs what is between.
    let (origin, (identity, authority)) = (Origin::start(), Identity::issued());
    let proxy = secured(Config::isr(&origin, &[]), &identity);
    let trust = Trust::new(&[&authority], HTTP1);
    assert_eq!(client(&proxy, &trust, "localhost").get("/p").status, 200);
}

#[test]
fn a_host_that_is_not_served_is_misdirected() {
    // The certificate's name is one thing, the host another: 421 tells an HTTP/2 client to connect anew (RFC 9110 §15.5.20).
    let (origin, identity) = (Origin::start(), Identity::of(&["localhost", "b.test"]));
    let proxy = secured(Config::isr(&origin, &[]).top("hosts: [ localhost ]"), &identity);
    let mut http2 = Http2::tls(proxy.addr(), &Trust::new(&[&identity.pem], BOTH), "localhost");
    assert_eq!(http2.get("https://b.test/p").status(), 421);
    assert_eq!(http2.get("https://localhost/p").status(), 200);
    let mut http1 = client(&proxy, &Trust::new(&[&identity.pem], HTTP1), "localhost");
    assert_eq!(http1.ask(&Ask::get("/p").header("Host", "b.test")).status, 421);
}

#[test]
fn a_websocket_goes_through_tls() {
    // An upgrade over HTTP/1.1 is a tunnel in both directions.
    let (origin, identity) = (Origin::start(), Identity::localhost());
    origin.on("/ws", |x| {
        x.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")?;
        loop {
            let bytes = x.receive()?;
            if bytes.is_empty() {
                return Ok(());
            }
            x.send(&bytes.to_ascii_uppercase())?;
        }
    });
    let proxy = secured(Config::headers(&origin, &[]), &identity);
    let mut socket = client(&proxy, &Trust::new(&[&identity.pem], HTTP1), "localhost");
    let ask = Ask::get("/ws").header("Upgrade", "websocket").header("Connection", "Upgrade");
    socket.send(&ask).expect("the proxy reads");
    assert!(socket.head().expect("a head").start.contains("101"));
    let mut heard = Vec::new();
    while heard.len() < 5 {
        heard.extend(socket.receive().expect("the greeting"));
    }
    socket.send_raw(b"over tls").expect("the proxy reads");
    while heard.len() < 13 {
        heard.extend(socket.receive().expect("the echo"));
    }
    assert_eq!(heard, b"helloOVER TLS");
}

#[test]
fn a_large_upload_and_a_large_answer_go_through_tls() {
    let (origin, identity) = (Origin::start(), Identity::localhost());
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let answered = body.clone();
    origin.on("/up", move |x| {
        x.read_body()?;
        x.answer(&Answer::new(answered.clone()))
    });
    let proxy = secured(Config::headers(&origin, &[]), &identity);
    let mut http1 = client(&proxy, &Trust::new(&[&identity.pem], HTTP1), "localhost");
    assert!(http1.ask(&Ask::new("POST", "/up").body(body.clone())).body == body);
    let mut http2 = Http2::tls(proxy.addr(), &Trust::new(&[&identity.pem], BOTH), "localhost");
    let post = http::Request::post("https://localhost/up").body(()).expect("a request");
    assert!(http2.ask(post, &body).expect("an answer").body == body);
    let hash = xxhash_rust::xxh3::xxh3_64(&body);
    assert!(origin.requests("/up").iter().all(|seen| seen.body_hash == hash));
}

#[test]
fn plain_http_is_told_that_the_port_speaks_https() {
    let (origin, identity) = (Origin::start(), Identity::localhost());
    let proxy = secured(Config::isr(&origin, &[]), &identity);
    let answer = proxy.get("/p");
    assert_eq!((answer.status, answer.text().contains("HTTPS")), (400, true));
    eventually("it is counted", PATIENCE, || failures(&proxy, "plain_http") == 1.0);
    let mut odd = TcpStream::connect(proxy.addr()).expect("the proxy listens");
    odd.write_all(&[0x16, 0x03, 0x01, 0x00, 0x05, 0xff, 0xff, 0xff, 0xff, 0xff]).expect("the proxy reads");
    let _ = odd.read_to_end(&mut Vec::new());
    eventually("garbage is counted", PATIENCE, || failures(&proxy, "malformed") == 1.0);
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_client_that_does_not_shake_hands_is_cut_off() {
    // With room for one handshake a silent client holds it for `handshake_timeout` and no longer; others get their turn.
    let (origin, identity) = (Origin::start(), Identity::localhost());
    let config = Config::isr(&origin, &[]).listener("limits: { handshake_timeout: 2s, max_handshakes: 1 }");
    let proxy = secured(config, &identity);
    let mut silent = proxy.client();
    eventually("it is taken", PATIENCE, || proxy.metric("breadbox_connections", &[]) == 1.0);
    let mut late = proxy.client();
    assert!(silent.is_closed_by_server());
    assert!(late.is_closed_by_server());
    eventually("both are counted", PATIENCE, || failures(&proxy, "timeout") + failures(&proxy, "busy") == 2.0);
    let trust = Trust::new(&[&identity.pem], HTTP1);
    eventually("others get their turn", PATIENCE, || trust.connect(proxy.addr(), "localhost").is_ok());
}

#[test]
fn a_connection_that_ends_is_said_to_end() {
    // SIGTERM: HTTP/2 clients get GOAWAY and finish what is in flight, HTTP/1.1 clients a close_notify.
    let (origin, identity) = (Origin::start(), Identity::localhost());
    let proxy = secured(Config::isr(&origin, &[]).top("shutdown_timeout: 10m"), &identity);
    let mut http2 = Http2::tls(proxy.addr(), &Trust::new(&[&identity.pem], BOTH), "localhost");
    assert_eq!(http2.get("https://localhost/p").status(), 200);
    proxy.sigterm();
    http2.ended().expect("GOAWAY with NO_ERROR ends it");
    assert_eq!(proxy.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_renewed_certificate_is_shown_after_a_reload_and_a_bad_one_is_not() {
    // New handshakes get it, connections that are open go on; files that do not match change nothing.
    let (origin, old, new) = (Origin::start(), Identity::localhost(), Identity::localhost());
    let config = Config::isr(&origin, &[]).admin("token: t");
    let reloaded = config.clone().listener("tls: { certificate: site.crt, key: site.key }");
    let proxy = secured(config, &old);
    // A new client each time: one that resumes a session is shown no certificate.
    let trust = || Trust::new(&[&old.pem, &new.pem], HTTP1);
    let shows = |identity| trust().connect(proxy.addr(), "localhost").expect("a handshake").shows(identity);
    let mut open = client(&proxy, &trust(), "localhost");
    assert_eq!(open.get("/p").status, 200);
    proxy.expect_error("the configuration was refused");
    proxy.write("site.key", new.key.clone());
    let refused = proxy.reload(reloaded.clone());
    assert!((400..500).contains(&refused.status) && refused.text().contains("is not the certificate's"), "{refused:?}");
    assert!(shows(&old));
    proxy.write("site.crt", new.pem.clone());
    assert_eq!(proxy.reload(reloaded).status, 200);
    assert!(shows(&new));
    assert!(open.get("/p").is_hit());
}

#[test]
fn files_that_will_not_do_are_named_with_their_line() {
    // `check` reads every file and compares key and certificate, so that no client has to find out.
    let (identity, other) = (Identity::localhost(), Identity::of(&["localhost"]));
    let (issued, authority) = Identity::issued();
    let own = issued.pem.replace(&authority, "");
    let mistakes: [(&str, &str, &str, &str); 7] = [
        (&identity.pem, &other.key, "key", "is not the certificate's"),
        (&format!("{authority}{own}"), &issued.key, "certificate", "not the site's own"),
        ("nothing", &identity.key, "certificate", "holds no certificate"),
        (&identity.key, &identity.key, "certificate", "holds no certificate"),
        (&identity.pem, &identity.pem, "key", "holds no private key"),
        (
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
            &identity.key,
            "certificate",
            "not a PEM file",
        ),
        (
            &identity.pem,
            &identity.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
            "key",
            "is protected by a passphrase",
        ),
    ];
    for (certificate, key, at, problem) in mistakes {
        let run = check(certificate, key);
        assert_eq!(run.code, Some(1), "{problem}: {}", run.output);
        let place = format!("proxy.yaml:6: listeners[0].tls.{at}: ");
        assert!(run.output.contains(&place) && run.output.contains(problem), "{problem}: {}", run.output);
        let secret = key.lines().nth(1).unwrap_or_default();
        assert!(!run.output.contains(secret), "a key is in a message: {}", run.output);
    }
}

#[test]
fn what_clients_will_not_accept_is_warned_of() {
    // An expired certificate, one for another name, and a key that everybody can read do not keep it from starting.
    let identity = Identity::expired();
    let run = check(&identity.pem, &identity.key);
    assert_eq!(run.code, Some(0), "{}", run.output);
    for warning in ["has expired", "everybody on this machine can read the key", "no certificate here is for shop.test"]
    {
        assert!(run.output.contains(warning), "{warning}: {}", run.output);
    }
}

/// `breadbox check` of a listener with this certificate and key, both readable by everybody.
fn check(certificate: &str, key: &str) -> Run {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("the directory is writable");
        open_to_all(&path);
        path
    };
    let (certificate, key) = (write("site.crt", certificate), write("site.key", key));
    let yaml = format!(
        "hosts: [ localhost, shop.test ]\nlisteners:\n  - address: 127.0.0.1:0\n    tls:\n      \
         # The same line for both.\n      {{ certificate: {}, key: {} }}\norigins:\n  web: {{ servers: http://127.0.0.1:1 }}\n",
        certificate.display(),
        key.display()
    );
    Run::with_config(&["check"], &yaml)
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("the file is ours");
}

fn failures(proxy: &Breadbox, reason: &str) -> f64 {
    proxy.metric("breadbox_tls_handshake_failures_total", &[("reason", reason)])
}
