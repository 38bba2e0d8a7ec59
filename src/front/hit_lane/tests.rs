//! What the lane makes of the end of a listener, and of the end of a head.

use super::turn::wants_an_end;
use super::*;
use tokio::sync::watch;

#[test]
fn a_listener_that_has_stopped_and_gone_is_still_to_be_left() {
    // The last answers of a process did not say so: whoever stops the listeners drops them at once.
    let (stop, stopping) = watch::channel(false);
    assert!(!wants_an_end(&stopping));
    stop.send_replace(true);
    assert!(wants_an_end(&stopping));
    drop(stop);
    assert!(wants_an_end(&stopping));
}

#[test]
fn the_end_of_a_head_is_seen_wherever_it_is_in_what_was_read() {
    // It was looked for in the last 4096 octets, and stood in front of a body that was longer.
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", "x".repeat(7000));
    let bytes = [head.as_bytes(), &[b'b'; 5000]].concat();
    for before in head.len() - 8..head.len() {
        assert!(ends_a_head(&bytes, before), "{before}");
    }
    assert!(!ends_a_head(&bytes, head.len()));
    assert!(!ends_a_head(&bytes[..head.len() - 1], 0));
    assert!(ends_a_head(b"\r\n\r\n", 0));
}
