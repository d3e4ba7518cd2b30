//! What can happen to a connection: see [`chatwire_fuzz::session`].
//!
//! `cargo +nightly fuzz run session`; fuzz/README.md says more.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| chatwire_fuzz::session::run(data));

#[cfg(not(fuzzing))]
fn main() {}
