//! A device that fails: full, broken, read-only, gone. Clients see nothing of it, the log says it once, and
//! when the device works again the tier does. A library between the binary and the system makes it fail.

use super::*;
use std::fs;
use std::process::Command;
use std::time::Duration;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// A proxy on a disk that fails on command.
struct Rig {
    origin: Origin,
    data: TempDir,
    /// The library and its control file.
    tools: TempDir,
    config: Config,
}

impl Rig {
    fn new() -> Self {
        Rig::of(20_000)
    }

    /// With pages of about so many bytes.
    fn of(size: usize) -> Self {
        let (origin, data, tools) = (Origin::start(), directory(), directory());
        origin.otherwise(move |x| x.answer(&Answer::html(format!("{} {}", x.seen.target, "z".repeat(size)))));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/disk/faults.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(tools.path().join("faults.so")).arg(source);
        assert!(compiler.arg("-ldl").status().expect("there is a C compiler").success());
        let config = Config::isr(&origin, &["revalidate: never"]).store("memory: 2MiB").store("max_page: 256KiB");
        let config = config.top("compression: off");
        let config = on_disk(config, &data.path().join("pages"));
        Rig { origin, data, tools, config }
    }

    fn start(&self) -> Breadbox {
        let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let (library, control) = (path(&self.tools.path().join("faults.so")), path(&self.tools.path().join("control")));
        let dir = path(self.data.path());
        let env = [("LD_PRELOAD", &*library), ("FAULTS_CONTROL", &*control), ("FAULTS_DIR", &*dir)];
        Breadbox::start_with(self.config.clone(), &env, &[])
    }

    fn fail(&self, kind: &str, number: i32) {
        fs::write(self.tools.path().join("control"), format!("{kind} {number}")).expect("a file");
    }

    fn mend(&self) {
        fs::remove_file(self.tools.path().join("control")).expect("a file");
    }
}

/// Every request is answered with its page.
fn ask(proxy: &Breadbox, pages: std::ops::Range<usize>) {
    let (start, end) = (pages.start, pages.end);
    crowd(proxy.addr(), 4, |c, client| {
        for i in (start + c..end).step_by(4) {
            let path = format!("/p/{i}");
            let answer = client.ask(&of(&path));
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.text().starts_with(&format!("{path} z")), "{path}");
        }
    });
}

fn is_up(proxy: &Breadbox) -> bool {
    proxy.metric("breadbox_disk_up", &[]) == 1.0
}

#[track_caller]
fn until(proxy: &Breadbox, up: bool) {
    let what = if up { "the tier is back" } else { "the tier is off" };
    eventually(what, Duration::from_secs(40), || is_up(proxy) == up);
}

/// The disk fails in this way while requests come, and works again.
fn fails_and_comes_back(rig: &Rig, kind: &str, number: i32) {
    let proxy = rig.start();
    ask(&proxy, 0..150);
    until_written(&proxy, 150);
    rig.fail(kind, number);
    eventually("the tier is off", PATIENCE, || {
        ask(&proxy, 0..200);
        !is_up(&proxy)
    });
    ask(&proxy, 0..200);
    let ready = proxy.admin_ask(&Ask::get("/readyz"));
    assert!(ready.status == 200 && ready.text().contains("degraded"), "{}", ready.text());
    assert!(ready.text().contains("the disk tier is off"), "{}", ready.text());
    assert_eq!(proxy.count_logged("WARN", "the disk tier is off"), 1);
    rig.mend();
    until(&proxy, true);
    ask(&proxy, 0..200);
    until_written(&proxy, 1);
    assert_eq!(proxy.count_logged("WARN", "the disk tier is off"), 1);
    assert!(proxy.metric("breadbox_disk_errors_total", &[]) >= 1.0);
    stop(&proxy);
    let renders = rig.origin.count();
    let again = rig.start();
    ask(&again, 0..1);
    assert!(rig.origin.count() <= renders + 1);
}

#[test]
fn a_full_disk_costs_no_request() {
    fails_and_comes_back(&Rig::new(), "write", ENOSPC);
}

#[test]
fn a_disk_that_fails_to_write_costs_no_request() {
    fails_and_comes_back(&Rig::new(), "write", EIO);
}

#[test]
fn a_disk_that_fails_to_read_costs_no_request() {
    // The pages are too large to be read from the system's cache, past the library.
    fails_and_comes_back(&Rig::of(150_000), "read", EIO);
}

#[test]
fn a_purge_during_a_failure_is_safe_or_refused() {
    // On a full disk the pages are given up before it is answered; on a read-only one it is in force, and
    // answered with 503; in both cases nothing it covers is served, now or after a restart.
    for (number, status) in [(ENOSPC, 200), (EROFS, 503)] {
        let rig = Rig::new();
        let proxy = rig.start();
        ask(&proxy, 0..4);
        until_written(&proxy, 4);
        rig.fail("write", number);
        let before = rig.origin.renders("/p/1");
        if status == 503 {
            proxy.expect_error("a restart could undo it");
        }
        assert_eq!(purge(&proxy, r#"{"path": "/p/1", "mode": "delete"}"#), status, "errno {number}");
        assert_eq!(proxy.ask(&of("/p/1")).status, 200);
        assert_eq!(rig.origin.renders("/p/1"), before + 1);
        proxy.kill();
        rig.mend();
        if status == 200 {
            let again = rig.start();
            assert_eq!(again.ask(&of("/p/1")).status, 200);
            assert_eq!(rig.origin.renders("/p/1"), before + 2);
        }
    }
}

#[test]
fn a_disk_that_cannot_be_used_at_the_start_is_used_later() {
    // The process serves at once; when the disk is mended the pages that were on it are back.
    let rig = Rig::new();
    let first = rig.start();
    ask(&first, 0..40);
    stop(&first);
    rig.fail("all", EIO);
    let proxy = rig.start();
    ask(&proxy, 100..110);
    until(&proxy, false);
    rig.mend();
    until(&proxy, true);
    let renders = rig.origin.count();
    ask(&proxy, 0..40);
    assert_eq!(rig.origin.count(), renders, "the pages are back");
}

#[test]
fn a_directory_that_vanishes_is_made_again() {
    let rig = Rig::new();
    let proxy = rig.start();
    ask(&proxy, 0..40);
    until_written(&proxy, 40);
    fs::remove_dir_all(rig.data.path().join("pages")).expect("it is there");
    eventually("the directory is there again", PATIENCE, || {
        ask(&proxy, 0..60);
        rig.data.path().join("pages/purges.journal").exists() && is_up(&proxy)
    });
    assert_eq!(proxy.count_logged("WARN", "the disk tier is off"), 1);
    ask(&proxy, 60..80);
    stop(&proxy);
    let renders = rig.origin.count();
    let again = rig.start();
    ask(&again, 60..80);
    assert_eq!(rig.origin.count(), renders);
}
