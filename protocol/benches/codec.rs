//! How fast every codec writes and reads an update of noise.
//!
//! `cargo bench -p archipel-protocol --bench codec -- [PARAMETERS]`; `archipel bench codec`
//! measures the same, and on a real update too.

use archipel_protocol::{charter::plan::CodecKind, measure};
use std::time::Instant;

fn main() {
    let mut words = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok());
    let parameters: usize = words.next_back().unwrap_or(16 << 20);
    let (layout, values) = (
        measure::layout_of(parameters),
        measure::noise(1, parameters),
    );
    let began = Instant::now();
    let mut clock = || began.elapsed().as_nanos() as u64;
    println!("{parameters} parameters; MB/s of f32, and as a share of memcpy");
    for codec in CodecKind::ALL.map(|kind| kind.codec(4096, 64)) {
        let found =
            measure::codec(codec, &layout, &values, 7, &mut clock).expect("noise is finite");
        let rate = |ns: u64| 4e3 * parameters as f64 / ns as f64;
        let share = |ns: u64| found.copy_ns as f64 / ns as f64;
        println!(
            "{:24} {:7.4} bits  in {:6.0} ({:4.2})  out {:6.0} ({:4.2})  memcpy {:6.0}  \
             error {:.4}  sent {:.4} bits",
            codec.to_string(),
            8.0 * found.payload_bytes as f64 / parameters as f64,
            rate(found.encode_ns),
            share(found.encode_ns),
            rate(found.decode_ns),
            share(found.decode_ns),
            rate(found.copy_ns),
            found.error,
            8.0 * found.sent_bytes as f64 / parameters as f64,
        );
    }
}
