//! Outlines of blobs, and chunks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| archipel_fuzz::outline::play(data));
