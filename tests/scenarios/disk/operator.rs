//! What people do to a directory and a process: odd places, odd owners, odd sizes, files of theirs, clocks that
//! are set, an impatient kill. The service goes on, and the log says what is wrong.

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

fn page(target: &str, size: usize) -> String {
    format!("{target} {}", "o".repeat(size))
}

/// An origin whose pages have about so many bytes.
fn origin_of(size: usize) -> Origin {
    let origin = Origin::start();
    origin.otherwise(move |x| {
        let body = page(&x.seen.target, size);
        x.answer(&Answer::html(body))
    });
    origin
}

fn config(origin: &Origin, path: &Path, capacity: &str) -> Config {
    let config = Config::isr(origin, &["revalidate: never"]).store("memory: 4MiB").top("compression: off");
    on_disk_of(config.store("max_page: 1MiB"), path, capacity)
}

#[track_caller]
fn ask(proxy: &Breadbox, pages: std::ops::Range<usize>, size: usize) {
    let mut client = proxy.client();
    for i in pages {
        let path = format!("/p/{i}");
        let answer = client.ask(&of(&path));
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text() == page(&path, size), "{path}");
    }
}

/// Octets of the files of pages.
fn files(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file"));
    let pages = files.filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
    pages.map(|file| file.metadata().map_or(0, |metadata| metadata.len())).sum()
}

#[test]
fn a_path_with_spaces_through_a_link_is_a_path() {
    let (origin, data) = (origin_of(3000), directory());
    fs::create_dir(data.path().join("the real one")).expect("a directory");
    std::os::unix::fs::symlink(data.path().join("the real one"), data.path().join("a link")).expect("a link");
    let config = config(&origin, &data.path().join("a link/pages of  the \u{e9}tag\u{e8}re"), "8MiB");
    let first = Breadbox::start(config.clone());
    ask(&first, 0..20, 3000);
    let second = super::super::harness::Run::with_config(&["run"], &String::from(config.clone()));
    assert!(second.output.contains("another Breadbox uses this directory"), "{}", second.output);
    stop(&first);
    let again = Breadbox::start(config);
    ask(&again, 0..20, 3000);
    assert_eq!(origin.count(), 20);
    let mode =
        fs::metadata(data.path().join("the real one/pages of  the \u{e9}tag\u{e8}re")).expect("a directory").mode();
    assert_eq!(mode & 0o077, 0, "nobody else's business");
}

#[test]
fn a_directory_of_another_user_is_no_reason_not_to_serve() {
    // Once its owner lets this process in, it is used.
    let (origin, data) = (origin_of(3000), directory());
    let dir = data.path().join("theirs");
    fs::create_dir(&dir).expect("a directory");
    let let_in = |mode: u32| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("it is ours");
    let is_root = fs::metadata("/proc/self").expect("Linux has it").uid() == 0;
    let config = config(&origin, &dir, "8MiB");
    let proxy = if is_root {
        // Nothing is forbidden to root, so it is somebody else who runs.
        fs::set_permissions(data.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let_in(0o755);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        Breadbox::start_by(command, config)
    } else {
        let_in(0o500);
        Breadbox::start(config)
    };
    ask(&proxy, 0..20, 3000);
    let ready = proxy.admin_ask(&Ask::get("/readyz"));
    assert!(ready.status == 200 && ready.text().contains("ermission denied"), "{}", ready.text());
    assert_eq!(proxy.count_logged("WARN", "the disk tier is off"), 1);
    let_in(0o777);
    eventually("the directory is used", PATIENCE, || proxy.metric("breadbox_disk_up", &[]) == 1.0);
    ask(&proxy, 20..40, 3000);
    until_written(&proxy, 20);
}

#[test]
fn the_smallest_capacity_takes_what_fits_and_the_rest_stays_in_memory() {
    // Pages from tiny ones to such as are larger than a file of pages, and than a record may be.
    let (origin, data) = (Origin::start(), directory());
    let size = |target: &str| target.trim_start_matches("/p/").parse::<usize>().unwrap_or(0) % 8 * 100_000;
    origin.otherwise(move |x| {
        let body = page(&x.seen.target, size(&x.seen.target));
        x.answer(&Answer::html(body))
    });
    let config = config(&origin, data.path(), "4MiB");
    let proxy = Breadbox::start(config.clone());
    for round in 0..3 {
        for i in 0..60 {
            let path = format!("/p/{i}");
            assert!(proxy.ask(&of(&path)).text() == page(&path, size(&path)), "{path}, round {round}");
        }
    }
    assert!(proxy.metric("breadbox_disk_dropped_writes_total", &[("kind", "too_large")]) > 0.0);
    until_written(&proxy, 2);
    stop(&proxy);
    assert!(files(data.path()) <= (4 << 20) + (600 << 10), "{}", files(data.path()));
    let again = Breadbox::start(config);
    for i in 0..60 {
        let path = format!("/p/{i}");
        assert!(again.ask(&of(&path)).text() == page(&path, size(&path)), "{path}");
    }
    assert!(again.metric("breadbox_disk_reads_total", &[("result", "hit")]) > 0.0);
}

#[test]
fn a_capacity_that_was_lowered_is_kept_to_after_a_restart() {
    // The oldest pages leave, the newest stay; a reload that lowers it is refused and says what it takes.
    let (origin, data) = (origin_of(40_000), directory());
    let with = |capacity: &str| config(&origin, data.path(), capacity).admin("token: t");
    let large = |capacity: &str| {
        let yaml = String::from(with(capacity));
        yaml.replace("  token: secret\n", "")
    };
    let first = Breadbox::start(large("64MiB"));
    ask(&first, 0..500, 40_000);
    until_written(&first, 500);
    first.expect_error("the configuration was refused");
    let refused = first.reload(large("8MiB"));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("store.disk"), "{}", refused.text());
    ask(&first, 490..500, 40_000);
    stop(&first);
    assert!(files(data.path()) > 16 << 20);
    let second = Breadbox::start(large("8MiB"));
    eventually("the files are as small as they may be", PATIENCE, || files(data.path()) <= 8 << 20);
    ask(&second, 0..500, 40_000);
    until_written(&second, 10);
    stop(&second);
    assert!(files(data.path()) <= 9 << 20, "{}", files(data.path()));
    let renders = origin.count();
    let third = Breadbox::start(large("64MiB"));
    ask(&third, 0..500, 40_000);
    let lost = origin.count() - renders;
    assert!(lost < 400, "{lost} pages of 40 kB are not in the 8 MiB any more");
}

#[test]
fn an_impatient_kill_during_the_last_writes_costs_only_what_was_not_written() {
    let (origin, data) = (origin_of(60_000), directory());
    let config = config(&origin, data.path(), "64MiB");
    for round in 0..4 {
        let proxy = Breadbox::start(config.clone());
        ask(&proxy, round * 40..round * 40 + 160, 60_000);
        proxy.sigterm();
        // The moment is what differs; nothing is waited for.
        std::thread::sleep(Duration::from_millis(round as u64 * 3));
        proxy.kill();
    }
    let last = Breadbox::start(config.clone());
    ask(&last, 0..280, 60_000);
    assert_eq!(last.count_logged("WARN", "disk"), 0);
    stop(&last);
    let renders = origin.count();
    let again = Breadbox::start(config);
    ask(&again, 0..280, 60_000);
    assert_eq!(origin.count(), renders);
}

#[test]
fn what_is_no_file_where_files_are_expected_is_survived() {
    // Directories and pipes under the names of the tier: it is off, or begins anew; requests are answered, and
    // nothing waits for a pipe that nobody writes to.
    for (kind, name) in [
        ("mkfifo", "purges.journal"),
        ("mkdir", "purges.journal"),
        ("mkfifo", "popular.keys"),
        ("mkdir", "popular.keys"),
        ("mkfifo", "pages-0000000001.log"),
        ("mkdir", "pages-0000000001.log"),
        ("mkfifo", "lock"),
        ("mkdir", "lock"),
        ("mkdir", "purges.journal.new"),
    ] {
        let (origin, data) = (origin_of(3000), directory());
        let made = Command::new(kind).arg(data.path().join(name)).status();
        assert!(made.expect("it is there").success());
        let proxy = Breadbox::start(config(&origin, data.path(), "8MiB"));
        ask(&proxy, 0..20, 3000);
        assert_eq!(proxy.admin_ask(&Ask::get("/readyz")).status, 200, "{kind} {name}");
        proxy.sigterm();
        assert_eq!(proxy.wait_exit(PATIENCE).code(), Some(0), "{kind} {name}");
    }
}

#[test]
fn files_that_change_under_a_running_process_cost_pages_and_nothing_else() {
    // Cut off, overwritten, deleted one by one, while pages are read from them and written to them.
    let (origin, data) = (origin_of(40_000), directory());
    let proxy = Breadbox::start(config(&origin, data.path(), "32MiB"));
    ask(&proxy, 0..300, 40_000);
    until_written(&proxy, 300);
    let logs: Vec<_> = fs::read_dir(data.path())
        .expect("a directory")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    for (i, file) in logs.iter().enumerate() {
        let open = || fs::OpenOptions::new().write(true).open(file).expect("a file");
        match i % 4 {
            0 => open().set_len(50_000).expect("it can be cut"),
            1 => std::os::unix::fs::FileExt::write_all_at(&open(), &[0xEE; 9000], 20_000).expect("a write"),
            2 => fs::remove_file(file).expect("it is ours"),
            _ => {}
        }
    }
    ask(&proxy, 0..400, 40_000);
    ask(&proxy, 0..400, 40_000);
    stop(&proxy);
    let again = Breadbox::start(config(&origin, data.path(), "32MiB"));
    ask(&again, 0..400, 40_000);
    assert_eq!(again.metric("breadbox_disk_up", &[]), 1.0);
}

/// The library by which the clock is `CLOCK_SHIFT` seconds ahead.
pub(super) fn clock(tools: &TempDir) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/disk/clock.c");
    let library = tools.path().join("clock.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().expect("there is a C compiler").success());
    library
}

#[test]
fn a_clock_that_was_set_neither_keeps_pages_for_ever_nor_drops_them() {
    // A day ahead, a day behind, within one boot: a fresh page is fresh, and it goes stale when it would have.
    let (origin, data, tools) = (origin_of(1000), directory(), directory());
    let library = clock(&tools);
    let config = Config::new(&origin).route("/long/{*rest}", "isr", &["revalidate: 1h"]).route(
        "/{*rest}",
        "isr",
        &["revalidate: 1ms"],
    );
    let config = on_disk(config, data.path());
    let start = |shift: i64| {
        let shift = shift.to_string();
        let env = [("LD_PRELOAD", library.to_str().expect("UTF-8")), ("CLOCK_SHIFT", &*shift)];
        Breadbox::start_with(config.clone(), &env, &[])
    };
    let first = start(0);
    assert_eq!(first.ask(&of("/long/1")).status, 200);
    assert_eq!(first.ask(&of("/short")).status, 200);
    stop(&first);
    origin.stop();
    for shift in [86_400, -86_400, 40 * 86_400, 0] {
        let again = start(shift);
        let long = again.ask(&of("/long/1"));
        assert!(long.is_hit() && !long.is_stale(), "{shift}: {:?}", long.header("cache-status"));
        let age: u64 = long.header("age").and_then(|age| age.parse().ok()).expect("an age");
        assert!(age < 600, "{shift}: {age}");
        let short = again.ask(&of("/short"));
        assert!(short.is_stale(), "{shift}: {:?}", short.header("cache-status"));
        stop(&again);
    }
}
