//! A stream in pieces: see [`chatwire_fuzz::stream`].
//!
//! `cargo +nightly fuzz run stream`; fuzz/README.md says more.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| chatwire_fuzz::stream::run(data));

#[cfg(not(fuzzing))]
fn main() {}
