//! The queue of pages: bounded, in order, and over when its owner is.

use super::*;
use crate::config::{Codec, NamePatterns};

fn job() -> Job {
    let rules = Compression {
        compressors: vec![Compressor { codec: Codec::Gzip, quality: 6 }],
        min_size: 0,
        types: NamePatterns::default(),
        ignore_no_transform: false,
    };
    Job { page: Weak::new(), due: Instant::now(), rules: Arc::new(rules), metrics: Arc::new(Metrics::of_one_route()) }
}

#[test]
fn the_queue_takes_no_more_than_it_may() {
    let queue = Queue::default();
    assert!(queue.push(job(), 0).is_err());
    assert_eq!(queue.push(job(), 2).ok(), Some(1));
    assert_eq!(queue.push(job(), 2).ok(), Some(2));
    assert!(queue.push(job(), 2).is_err());
    assert!(queue.next().is_some());
    assert_eq!(queue.push(job(), 2).ok(), Some(2));
}

#[test]
fn a_page_is_left_alone_for_a_while_and_its_turn_comes_unasked() {
    let queue = Arc::new(Queue::default());
    let due = Instant::now() + Duration::from_millis(20);
    assert!(queue.push(Job { due, ..job() }, 2).is_ok());
    let others = Arc::clone(&queue);
    let waits = thread::spawn(move || others.next().map(|_| Instant::now()));
    assert!(waits.join().expect("no panic").is_some_and(|taken| taken >= due));
}

#[test]
fn threads_end_with_their_owner() {
    let encoder = Encoder::new(Encoders { threads: std::num::NonZeroUsize::MIN, max_waiting: 1 });
    let queue = Arc::clone(&encoder.queue);
    let waits = thread::spawn(move || queue.next().is_none());
    drop(encoder);
    assert!(waits.join().expect("no panic"));
}

#[test]
fn what_cannot_be_made_smaller_counts_as_larger() {
    let metrics = Metrics::of_one_route();
    let noise: Vec<u8> = (0_u32..2000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let noise = Bytes::from(noise);
    let coded = compressed(Compressor { codec: Codec::Gzip, quality: 1 }, &noise, &metrics);
    assert!(coded.is_some_and(|coded| coded.len() >= noise.len()));
    let text = String::from_utf8(metrics.encode()).expect("text");
    assert!(text.contains("breadbox_encodings_total{coding=\"gzip\",result=\"larger\"} 1"), "{text}");
}
