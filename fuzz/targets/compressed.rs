//! Chunks of blobs as they travel.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| archipel_fuzz::compressed::play(data));
