//! A real file system that is full, read-only, or has another one mounted over it, in a namespace of its own
//! so that it takes no privilege and leaves nothing behind. Where that is not allowed these say so and pass.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const REMOUNT: &str = "mount --options-mode ignore -o remount";

/// A small file system in memory that exists until this is dropped.
struct Device {
    /// Keeps the namespace; it ends when its stdin does.
    holder: Child,
    dir: TempDir,
}

impl Device {
    /// Mounts it.
    fn of(size: &str) -> Option<Device> {
        let dir = directory();
        // The options that are in force name users of another namespace, which this one could not name again.
        let again = format!("{REMOUNT},rw tmpfs \"$0\"");
        let script =
            format!("mount -t tmpfs -o mode=0777,size={size} tmpfs \"$0\" && {again} && echo mounted && exec cat >&2");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(dir.path());
        let holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mounted = holder.ok().and_then(|mut holder| {
            let mut said = String::new();
            BufReader::new(holder.stdout.take()?).read_line(&mut said).ok()?;
            let device = Device { holder, dir };
            (said == "mounted\n").then_some(device)
        });
        if mounted.is_none() {
            eprintln!("skipped: nothing can be mounted here");
        }
        mounted
    }

    /// A command that starts what stands behind it where this file system is.
    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--mount", "--preserve-credentials", "--target", &self.holder.id().to_string()]);
        command
    }

    /// Runs a script there; `$0` is where the file system is.
    #[track_caller]
    fn run(&self, script: &str) {
        let status = self.enter().args(["sh", "-ec", script]).arg(self.dir.path()).status();
        assert!(status.expect("nsenter is there").success(), "{script}");
    }

    fn start(&self, config: &Config) -> Breadbox {
        Breadbox::start_by(self.enter(), config.clone())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// An origin whose pages take 20 KB and are never the same twice, and a proxy's file for it.
fn rig(device: &Device, capacity: &str) -> (Origin, Config) {
    let origin = Origin::start();
    origin.otherwise(|x| x.answer(&Answer::html(format!("{} {}", x.seen.target, "z".repeat(20_000)))));
    let config = Config::isr(&origin, &["revalidate: never"]).store("memory: 2MiB").store("max_page: 64KiB");
    let config = config.top("compression: off");
    (origin, on_disk_of(config, device.dir.path(), capacity))
}

/// Every request is answered with its page.
#[track_caller]
fn ask(proxy: &Breadbox, pages: std::ops::Range<usize>) {
    let mut client = proxy.client();
    for i in pages {
        let path = format!("/p/{i}");
        let answer = client.ask(&of(&path));
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text().starts_with(&format!("{path} z")) && answer.body.len() > 20_000, "{path}");
    }
}

#[track_caller]
fn until(proxy: &Breadbox, up: f64) {
    let what = if up > 0.0 { "the tier is back" } else { "the tier is off" };
    eventually(what, Duration::from_secs(60), || {
        ask(proxy, 0..3);
        proxy.metric("breadbox_disk_up", &[]) == up
    });
}

#[track_caller]
fn is_degraded(proxy: &Breadbox) {
    let ready = proxy.admin_ask(&Ask::get("/readyz"));
    assert!(ready.status == 200 && ready.text().contains("the disk tier is off"), "{}", ready.text());
}

#[test]
fn a_file_system_that_fills_up_costs_no_request() {
    // There is less room than the capacity says; later there is more. Then the pages from before are there.
    let Some(device) = Device::of("12m") else { return };
    let (origin, config) = rig(&device, "64MiB");
    let proxy = device.start(&config);
    ask(&proxy, 0..100);
    until_written(&proxy, 100);
    ask(&proxy, 100..900);
    until(&proxy, 0.0);
    is_degraded(&proxy);
    ask(&proxy, 0..900);
    assert_eq!(purge(&proxy, r#"{"path": "/p/7", "mode": "delete"}"#), 200);
    let renders = origin.renders("/p/7");
    ask(&proxy, 7..8);
    assert_eq!(origin.renders("/p/7"), renders + 1);
    device.run(&format!("{REMOUNT},size=256m tmpfs \"$0\""));
    until(&proxy, 1.0);
    assert_eq!(proxy.count_logged("WARN", "the disk tier is off"), 1);
    ask(&proxy, 0..900);
    until_written(&proxy, 800);
    stop(&proxy);
    let renders = origin.count();
    let again = device.start(&config);
    ask(&again, 0..900);
    assert!(origin.count() <= renders + 100, "{} rendered again", origin.count() - renders);
}

#[test]
fn a_file_system_without_a_byte_free_at_the_start_costs_no_request() {
    let Some(device) = Device::of("8m") else { return };
    device.run("dd if=/dev/zero of=\"$0\"/theirs bs=4k 2>/dev/null || true");
    let (origin, config) = rig(&device, "6MiB");
    let proxy = device.start(&config);
    ask(&proxy, 0..50);
    until(&proxy, 0.0);
    is_degraded(&proxy);
    device.run("rm \"$0\"/theirs");
    until(&proxy, 1.0);
    ask(&proxy, 50..100);
    until_written(&proxy, 50);
    stop(&proxy);
    let renders = origin.count();
    let again = device.start(&config);
    ask(&again, 50..100);
    assert_eq!(origin.count(), renders);
}

#[test]
fn a_file_system_that_is_read_only_at_the_start_is_used_once_it_can_be_written() {
    // Nothing is lost by it: the pages from before are there again.
    let Some(device) = Device::of("64m") else { return };
    let (origin, config) = rig(&device, "32MiB");
    let first = device.start(&config);
    ask(&first, 0..200);
    stop(&first);
    device.run(&format!("{REMOUNT},ro tmpfs \"$0\""));
    let renders = origin.count();
    let proxy = device.start(&config);
    ask(&proxy, 200..220);
    until(&proxy, 0.0);
    is_degraded(&proxy);
    proxy.expect_error("a restart could undo it");
    assert_eq!(purge(&proxy, r#"{"path": "/p/1", "mode": "delete"}"#), 503);
    device.run(&format!("{REMOUNT},rw tmpfs \"$0\""));
    until(&proxy, 1.0);
    let renders = origin.count() - renders;
    ask(&proxy, 10..200);
    assert_eq!(origin.count(), 200 + renders, "the pages are back");
    stop(&proxy);
}

#[test]
fn a_read_only_file_system_over_a_running_process_costs_no_request() {
    // It is mounted over the directory, and taken away again; open files do not keep the tier from noticing.
    let Some(device) = Device::of("64m") else { return };
    let (origin, config) = rig(&device, "32MiB");
    let proxy = device.start(&config);
    ask(&proxy, 0..300);
    until_written(&proxy, 300);
    device.run("mount -t tmpfs -o ro tmpfs \"$0\"");
    until(&proxy, 0.0);
    is_degraded(&proxy);
    ask(&proxy, 0..300);
    device.run("umount \"$0\"");
    until(&proxy, 1.0);
    ask(&proxy, 300..320);
    until_written(&proxy, 320);
    let renders = origin.count();
    ask(&proxy, 0..320);
    assert_eq!(origin.count(), renders);
    assert_eq!(proxy.count_logged("WARN", "the disk tier is off"), 1);
    stop(&proxy);
}

#[test]
fn another_boot_with_another_clock_neither_keeps_pages_for_ever_nor_drops_them() {
    // The files by which the system tells its boot are replaced: what was written is of an earlier boot.
    let Some(device) = Device::of("64m") else { return };
    let (origin, config) = rig(&device, "32MiB");
    let first = device.start(&config);
    ask(&first, 0..20);
    stop(&first);
    device.run(
        "echo 11111111-2222-3333-4444-555555555555 >\"$0\"/id; echo 5.00 4.00 >\"$0\"/up; \
         mount --bind \"$0\"/id /proc/sys/kernel/random/boot_id; mount --bind \"$0\"/up /proc/uptime",
    );
    let tools = directory();
    let library = operator::clock(&tools);
    // Nothing was written in the future: with the clock a day behind a page is as old as when it was written.
    for (shift, oldest) in [("0", 600), ("-86400", 600), ("86400", 87_000)] {
        let mut command = device.enter();
        command.env("LD_PRELOAD", &library).env("CLOCK_SHIFT", shift);
        let again = Breadbox::start_by(command, config.clone());
        ask(&again, 0..20);
        let page = again.ask(&of("/p/1"));
        assert!(page.is_hit(), "{shift}: {:?}", page.header("cache-status"));
        let age: u64 = page.header("age").and_then(|age| age.parse().ok()).expect("an age");
        assert!(age <= oldest && age + 600 >= oldest, "{shift}: {age}");
        stop(&again);
    }
    assert_eq!(origin.count(), 20);
}
