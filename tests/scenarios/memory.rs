//! What the store takes, and who keeps a place in it. The pages would be next to nothing if they were compressed.

use super::harness::{Answer, Ask, Breadbox, Config, Origin, crowd};

const MIB: u64 = 1024 * 1024;

#[test]
fn the_store_stays_within_its_memory() {
    // 300 MiB of pages go through a store of 64 MiB: memory stays bounded and evictions are counted.
    const PAGE: usize = 128 * 1024;
    let origin = Origin::start();
    origin.otherwise(|x| {
        let filler = format!("{:>64}", x.seen.target).repeat(PAGE / 64);
        x.answer(&Answer::html(filler))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h", "compression: off"]).store("memory: 64MiB"));
    let each = 300 * MIB as usize / PAGE / 4;
    crowd(proxy.addr(), 4, |c, client| {
        for n in 0..each {
            assert_eq!(client.get(&format!("/{c}/{n}")).body.len(), PAGE);
        }
    });
    // 20 % and 64 MiB are the promise; render buffers and the debug build's fatter stacks come on top.
    let bound = 64 * MIB * 12 / 10 + 64 * MIB + 48 * MIB;
    let peak = proxy.peak_rss_bytes();
    assert!(peak <= bound, "{} MiB, more than {} MiB", peak / MIB, bound / MIB);
    assert!(proxy.metric("breadbox_store_bytes", &[]) <= (64 * MIB) as f64);
    assert!(proxy.metric("breadbox_store_evictions_total", &[]) >= 1000.0);
    assert!(proxy.metric("breadbox_store_pages", &[]) <= (64 * MIB) as f64 / PAGE as f64);
}

#[test]
fn hosts_nobody_asks_for_twice_push_nothing_out() {
    // Pages that visitors come back for stay while somebody asks for every page under invented host names.
    const PAGES: usize = 100;
    let invented = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
    let origin = Origin::start();
    origin.otherwise(|x| {
        let body = format!("{:>64}", x.seen.target).repeat(128);
        x.answer(&Answer::html(body))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h", "compression: off"]).store("memory: 64MiB"));
    let real = |i: usize| Ask::get(&format!("/page/{i}")).header("Host", "shop.test");
    let mut visitor = proxy.client();
    for _ in 0..3 {
        for i in 0..PAGES {
            visitor.ask(&real(i));
        }
    }
    crowd(proxy.addr(), 4, |c, client| {
        for n in 0..invented / 4 {
            let host = format!("h{c}-{n}.invented.test");
            assert_eq!(client.ask(&Ask::get("/page/0").header("Host", &host)).status, 200);
        }
    });
    assert!(proxy.metric("breadbox_store_evictions_total", &[]) > 0.0, "the invented hosts filled the store");
    let kept = (0..PAGES).filter(|i| visitor.ask(&real(*i)).is_hit()).count();
    assert!(kept >= PAGES * 95 / 100, "{kept} of {PAGES} pages are still there");
}
