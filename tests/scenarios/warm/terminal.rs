//! What somebody sees who warms from a terminal: a bar, and Ctrl-C. `script` makes the terminal; where it is
//! missing these say so and pass.

use super::*;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

const PAGES: usize = 20;

/// A command on a terminal.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs `breadbox ARGS…` on one.
    fn run(args: &[String]) -> Option<Terminal> {
        let quoted: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
        let line = format!("stty cols 100; exec '{}' {}", env!("CARGO_BIN_EXE_breadbox"), quoted.join(" "));
        let mut command = Command::new("script");
        command.args(["-qefc", &line, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            eprintln!("skipped: there is no script(1)");
            return None;
        };
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut out, all) = (child.stdout.take().expect("it is piped"), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut chunk) {
                all.lock().expect("nobody panics while holding it").extend_from_slice(&chunk[..n]);
            }
        });
        Some(Terminal { child, shown })
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("nobody panics while holding it")).into_owned()
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        eventually(&format!("the terminal shows {text:?}"), PATIENCE, || self.shown().contains(text));
    }

    /// Somebody presses Ctrl-C.
    fn interrupt(&mut self) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(b"\x03").and_then(|()| stdin.flush()).expect("the terminal takes it");
    }

    #[track_caller]
    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the command ends", PATIENCE, || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An origin that holds every page from the fifth on until the gate opens; its proxy; a list of pages, and where
/// a run remembers what is done.
struct Rig {
    origin: Origin,
    gate: Gate,
    proxy: Breadbox,
    dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let (origin, gate) = (Origin::start(), Gate::closed());
        let held = gate.clone();
        origin.otherwise(move |x| {
            if x.seen.target.trim_start_matches("/p/").parse().is_ok_and(|n: usize| n >= 5) {
                x.hold(&held)?;
            }
            x.answer(&Answer::html("page"))
        });
        let proxy = Breadbox::start(isr(&origin));
        let dir = tempfile::tempdir().expect("a directory");
        let list: String = (0..PAGES).map(|n| format!("/p/{n}\n")).collect();
        std::fs::write(dir.path().join("list"), list).expect("the directory is writable");
        std::fs::write(dir.path().join("proxy.yaml"), String::from(isr(&origin))).expect("the directory is writable");
        Rig { origin, gate, proxy, dir }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let url = format!("http://{}", self.proxy.addr());
        let fixed =
            ["warm", "--url", &url, "--config", &file("proxy.yaml"), "--file", &file("list")].map(str::to_owned);
        fixed.into_iter().chain(more.iter().map(|&arg| arg.to_owned())).collect()
    }
}

#[test]
fn a_bar_shows_how_far_it_is_and_ctrl_c_ends_it_so_that_it_can_go_on() {
    // The pages under way are waited for, the others left; the same command then does these alone.
    let rig = Rig::new();
    let state = rig.state().display().to_string();
    let more = ["--concurrency", "3", "--state", &state];
    let Some(mut terminal) = Terminal::run(&rig.args(&more)) else { return };
    terminal.shows("5/20 pages, ");
    terminal.shows(" left");
    rig.origin.wait_for_in_flight(3);
    terminal.interrupt();
    terminal.shows("interrupted; waiting for 3 pages under way");
    rig.gate.open();
    assert_eq!(terminal.ended().code(), Some(130), "{}", terminal.shown());
    terminal.shows("8 pages in ");
    terminal.shows("the same command goes on where it was");
    assert!(terminal.shown().contains("\x1b["), "a bar is drawn");
    assert_eq!(rig.origin.count(), 8);

    let rest = warm(&rig.proxy, &rig.args(&more).iter().skip(3).map(String::as_str).collect::<Vec<_>>());
    assert_eq!(rest.code, Some(0), "{}", rest.output);
    assert!(rest.output.contains("12 pages in ") && rest.output.contains("8 were done by an earlier run"));
    assert!(!rest.output.contains('\x1b'), "no bar where there is no terminal: {}", rest.output);
    assert_eq!(rig.origin.count(), PAGES);
    assert!(!rig.state().exists());
}

/// Runs `breadbox warm ARGS…`, which name everything.
#[track_caller]
fn warm(proxy: &Breadbox, args: &[&str]) -> Run {
    let url = format!("http://{}", proxy.addr());
    Run::of_args(&[&["warm", "--url", &url], args].concat())
}

#[test]
fn ctrl_c_twice_waits_for_nobody() {
    // Although the origin never answers; without a state file it says how the next run could go on.
    let rig = Rig::new();
    let Some(mut terminal) = Terminal::run(&rig.args(&["--concurrency", "2"])) else { return };
    rig.origin.wait_for_in_flight(2);
    terminal.interrupt();
    terminal.shows("again to leave them");
    terminal.interrupt();
    assert_eq!(terminal.ended().code(), Some(130), "{}", terminal.shown());
    terminal.shows("with --state FILE the same command would go on where it was");
    rig.gate.open();
}

#[test]
fn a_listener_that_speaks_tls_is_warmed_through_it() {
    // The certificate is checked: with the wrong one nothing is asked for.
    let origin = Origin::start();
    let identity = crate::scenarios::harness::Identity::localhost();
    let files = [("site.crt", &*identity.pem), ("site.key", &*identity.key)];
    let config = isr(&origin).listener("tls: { certificate: site.crt, key: site.key }");
    let proxy = Breadbox::start_with(config.clone(), &[], &files);
    let dir = tempfile::tempdir().expect("a directory");
    let ca = dir.path().join("ca.pem");
    let url = format!("https://localhost:{}", proxy.addr().port());
    let args = ["warm", "/a", "/b", "--url", &url, "--ca", ca.to_str().expect("a path of ASCII")];
    for (pem, code, said) in [
        (crate::scenarios::harness::Identity::localhost().pem, 1, "2 failed"),
        (identity.pem.clone(), 0, "2 rendered"),
        (identity.pem.clone(), 0, "2 there already"),
    ] {
        std::fs::write(&ca, pem).expect("the directory is writable");
        let run = Run::with_config(&args, &String::from(isr(&origin)));
        assert_eq!(run.code, Some(code), "{}", run.output);
        assert!(run.output.contains(said), "{said}: {}", run.output);
    }
    assert_eq!(origin.count(), 2);
    let seen = origin.requests("/a");
    assert_eq!(seen[0].header("x-forwarded-proto"), Some("https"));
}
