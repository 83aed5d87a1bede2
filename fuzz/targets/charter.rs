//! Charter files, with the plan in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| archipel_fuzz::charter::play(data));
