//! The first run: `breadbox run --origin URL`, with no file at all.

use super::harness::{Answer, Breadbox, Origin};

#[test]
fn a_first_run_needs_no_file_and_says_what_to_write() {
    // Pages that cannot be stored as they are: the log prints the lines of `proxy.yaml` that would make them ISR.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let answer = Answer::html(format!("page {}", x.seen.target));
        x.answer(&answer.header("Cache-Control", "private, no-cache, no-store, max-age=0, must-revalidate"))
    });
    origin.answer("/cacheable", Answer::html("kept").header("Cache-Control", "s-maxage=1000"));
    let proxy = Breadbox::start_args(&["run", "--origin", &origin.url(), "--listen", "127.0.0.1:0"]);
    assert_eq!(proxy.get("/cacheable").text(), "kept");
    assert!(proxy.get("/cacheable").is_hit(), "one `cache: headers` route");
    for n in 0..20 {
        let answer = proxy.get(&format!("/products/{n}"));
        assert_eq!((answer.status, answer.is_hit()), (200, false));
    }
    let said = proxy.wait_for_output("cache: isr");
    assert!(said.contains("revalidate: 60s"), "{said}");
    assert!(said.contains("routes:") || said.contains("match:"), "{said}");
}
