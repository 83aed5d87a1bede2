//! Payloads of `f32`.
#![no_main]

use archipel_fuzz::update::{Kind, play};

libfuzzer_sys::fuzz_target!(|data: &[u8]| play(Kind::F32, data));
