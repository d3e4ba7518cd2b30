//! Any bytes as a stream: see [`chatwire_fuzz::decode`].
//!
//! `cargo +nightly fuzz run decode`; fuzz/README.md says more.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| chatwire_fuzz::decode::run(data));

#[cfg(not(fuzzing))]
fn main() {}
