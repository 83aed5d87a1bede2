//! Payloads of `demo`.
#![no_main]

use archipel_fuzz::update::{Kind, play};

libfuzzer_sys::fuzz_target!(|data: &[u8]| play(Kind::Demo, data));
