//! What a client sends, as the hit lane reads it. A new input that matters goes into `corpus/hit_lane`,
//! which the tests replay.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| breadbox::front::check_reading(bytes));
