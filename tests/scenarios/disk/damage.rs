//! What a disk does to files: bits flip, ends are cut off, files are foreign or gone. Clients see none of it.

use super::*;
use std::fs;
use std::path::PathBuf;

const PAGES: usize = 120;

fn path(i: usize) -> String {
    format!("/p/{i}")
}

/// A proxy whose every page is on disk, and then is not running.
fn filled(origin: &Origin, data: &TempDir) -> Config {
    origin.otherwise(|x| {
        let body = format!("{} {}", x.seen.target, "y".repeat(3000 + x.seen.target.len() * 100));
        x.answer(&Answer::html(body))
    });
    let config = on_disk_of(Config::isr(origin, &["revalidate: never"]), data.path(), "16MiB");
    let proxy = Breadbox::start(config.clone());
    (0..PAGES).for_each(|i| assert_eq!(proxy.ask(&of(&path(i))).status, 200));
    stop(&proxy);
    config
}

/// Every page is what the origin sends for its URL.
fn ask_for_all(proxy: &Breadbox) {
    crowd(proxy.addr(), 4, |c, client| {
        for i in (c..PAGES).step_by(4) {
            let answer = client.ask(&of(&path(i)));
            assert_eq!(answer.status, 200);
            let expected = format!("{} {}", path(i), "y".repeat(3000 + path(i).len() * 100));
            assert_eq!(answer.text(), expected);
        }
    });
}

fn files(data: &TempDir, ending: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(data.path()).expect("a directory").map(|file| file.expect("a file").path());
    files.filter(|file| file.to_str().is_some_and(|name| name.ends_with(ending))).collect()
}

/// Changes one octet in so many.
fn flip(file: &PathBuf, every: usize) {
    let mut octets = fs::read(file).expect("a file");
    octets.iter_mut().skip(every / 2).step_by(every).for_each(|octet| *octet ^= 0x10);
    fs::write(file, octets).expect("a file");
}

#[test]
fn flipped_bits_cost_pages_and_nothing_else() {
    let (origin, data) = (Origin::start(), directory());
    let config = filled(&origin, &data);
    for file in files(&data, ".log") {
        flip(&file, 9973);
    }
    let proxy = Breadbox::start(config);
    ask_for_all(&proxy);
    let corrupt = proxy.metric("breadbox_disk_reads_total", &[("result", "corrupt")]);
    assert!(corrupt >= 1.0 || origin.count() > PAGES, "some pages were damaged");
    assert!(origin.count() < 2 * PAGES, "and some were not: {}", origin.count());
}

#[test]
fn lists_that_are_damaged_are_made_again() {
    let (origin, data) = (Origin::start(), directory());
    let config = filled(&origin, &data);
    let lists = files(&data, ".list");
    assert!(!lists.is_empty());
    lists.iter().for_each(|file| flip(file, 400));
    let proxy = Breadbox::start(config);
    ask_for_all(&proxy);
    assert_eq!(origin.count(), PAGES);
}

#[test]
fn files_that_were_cut_off_are_used_up_to_there() {
    let (origin, data) = (Origin::start(), directory());
    let config = filled(&origin, &data);
    for file in files(&data, ".log") {
        let len = fs::metadata(&file).expect("a file").len();
        fs::OpenOptions::new().write(true).open(&file).expect("a file").set_len(len / 3 * 2).expect("it can be cut");
    }
    let proxy = Breadbox::start(config.clone());
    ask_for_all(&proxy);
    let renders = origin.count();
    assert!(renders > PAGES && renders < PAGES * 5 / 3, "{renders}");
    stop(&proxy);
    let again = Breadbox::start(config);
    ask_for_all(&again);
    assert_eq!(origin.count(), renders);
}

#[test]
fn without_its_journal_no_page_is_trusted() {
    // Damaged, of another version, or gone: a cold start with one warning.
    for damage in ["flipped", "version", "gone"] {
        let (origin, data) = (Origin::start(), directory());
        let config = filled(&origin, &data);
        let journal = data.path().join("purges.journal");
        match damage {
            "flipped" => flip(&journal, 41),
            "version" => {
                let mut octets = fs::read(&journal).expect("a journal");
                octets[8] += 1;
                fs::write(&journal, octets).expect("a journal");
            }
            _ => fs::remove_file(&journal).expect("a journal"),
        }
        let proxy = Breadbox::start(config);
        ask_for_all(&proxy);
        assert_eq!(origin.count(), 2 * PAGES, "{damage}");
        assert_eq!(proxy.count_logged("WARN", "cannot be trusted"), 1, "{damage}");
        assert_eq!(proxy.metric("breadbox_disk_up", &[]), 1.0, "{damage}");
    }
}

#[test]
fn a_journal_that_was_cut_off_hides_no_page_from_purges_to_come() {
    // Wherever the cut is, in its head or among its entries: pages that saw a purge which is lost are not ahead of
    // the next ones.
    let (origin, data) = (Origin::start(), directory());
    let config = filled(&origin, &data);
    let journal = data.path().join("purges.journal");
    for eighth in 0..8 {
        let proxy = Breadbox::start(config.clone());
        assert_eq!(purge(&proxy, r#"{"all": true, "mode": "delete"}"#), 200);
        ask_for_all(&proxy);
        stop(&proxy);
        let octets = fs::read(&journal).expect("a journal");
        fs::write(&journal, &octets[..octets.len() * eighth / 8]).expect("a journal");
        let again = Breadbox::start(config.clone());
        let renders = origin.count();
        assert_eq!(purge(&again, r#"{"all": true, "mode": "delete"}"#), 200);
        ask_for_all(&again);
        assert_eq!(origin.count(), renders + PAGES, "cut to {eighth} eighths");
        stop(&again);
    }
}

#[test]
fn foreign_files_are_no_pages() {
    // Files with our names and anybody's content; files with other names are left alone.
    let (origin, data) = (Origin::start(), directory());
    let config = filled(&origin, &data);
    fs::write(data.path().join("pages-0000000077.log"), b"not a page").expect("a file");
    fs::write(data.path().join("pages-0000000078.log"), vec![7; 5000]).expect("a file");
    fs::write(data.path().join("notes.txt"), b"mine").expect("a file");
    let proxy = Breadbox::start(config);
    ask_for_all(&proxy);
    assert_eq!(origin.count(), PAGES);
    assert_eq!(proxy.count_logged("WARN", "cannot be trusted"), 1);
    assert_eq!(fs::read(data.path().join("notes.txt")).expect("it is there"), b"mine");
}
