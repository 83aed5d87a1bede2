//! Residuals as they lie on disk.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| archipel_fuzz::residual::play(data));
