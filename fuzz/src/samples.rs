//! Inputs that decode, for the fuzzer to begin with.

use crate::{
    choices::{Choices, PRELUDE, choices},
    update::Kind,
};
use archipel_protocol::{
    blob::{CHUNK_LEN, Outline, compressed},
    codec::{Residual, encode},
    random::{Stream, derive_key},
};

/// Inputs of one target, in a fixed order.
pub type Samples = Vec<Vec<u8>>;

/// Shapes of three tensors, as [`choices`] reads them.
const SHAPES: [[u8; 9]; 4] = [
    [0, 1, 0, 0, 7, 0, 1, 2, 3],
    [1, 16, 16, 0, 129, 0, 2, 3, 5],
    [1, 64, 64, 0, 255, 0, 1, 32, 48],
    [129, 4, 8, 1, 8, 8, 3, 9, 15],
];

/// Payloads of a codec: some layouts, settings and values, with their header and without.
pub fn payloads(kind: Kind) -> Samples {
    let mut found = Vec::new();
    for (number, shapes) in SHAPES.iter().enumerate() {
        for tensors in 0..3u8 {
            for (exponent, keep) in [(0, 2u16), (1, 5), (2, 31), (4, 64)] {
                let mut head = vec![tensors << 1];
                head.extend(shapes);
                head.push(exponent);
                head.extend(keep.to_le_bytes());
                head.push(number as u8 * 2);
                head.resize(PRELUDE, 0);
                found.extend(written(kind, &head, number as u8));
            }
        }
    }
    assert!(!found.is_empty(), "no choices were read");
    found.sort();
    found.dedup();
    found
}

/// The input of these choices, with every way to write a header.
fn written(kind: Kind, head: &[u8], seed: u8) -> Samples {
    let Some(Choices { codec, layout, .. }) = choices(kind, head) else {
        return Vec::new();
    };
    let values = drawn(seed, layout.parameters());
    let payload = encode(codec, &layout, &values).expect("finite values");
    let payload = payload.payload;
    let body = match kind {
        Kind::TopK2Bit | Kind::Demo => 24,
        _ => 16,
    };
    let mut headed = head.to_vec();
    headed[0] |= 1;
    vec![
        [head, &payload].concat(),
        [headed.as_slice(), &payload[body..]].concat(),
    ]
}

/// Normal values, one in four of them zero.
fn drawn(seed: u8, count: usize) -> Vec<f32> {
    let mut stream = Stream::new(derive_key("archipel fuzz seeds", &[&[seed]]));
    let value = |stream: &mut Stream| match stream.below(4) {
        0 => 0.0,
        _ => 1e-3 * stream.normal_f32(),
    };
    (0..count).map(|_| value(&mut stream)).collect()
}

/// Outlines of blobs of one to three chunks, the last with the bytes of a short chunk.
pub fn outlines() -> Samples {
    let lengths = [0, 100, CHUNK_LEN + 1, 2 * CHUNK_LEN + 17];
    let input = |length: usize| {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let outline = Outline::of(&bytes).expect("a short blob");
        let mut input = (length as u64).to_le_bytes().to_vec();
        input.extend(outline.hash().0);
        input.extend(outline.values().as_flattened());
        input.extend(&bytes[length / CHUNK_LEN * CHUNK_LEN..][..length % CHUNK_LEN]);
        input
    };
    lengths.map(input).to_vec()
}

/// Chunks of levels near zero and of zeros, compressed.
pub fn frames() -> Samples {
    let levels = |count| drawn(9, count).iter().map(|v| (2e4 * v) as i8 as u8).collect();
    let input = |chunk: Vec<u8>| {
        let frame = compressed::compress(&chunk).expect("a chunk with order");
        [&(chunk.len() as u32).to_le_bytes()[..], &frame].concat()
    };
    [levels(500), levels(7000), vec![0; CHUNK_LEN]].map(input).to_vec()
}

/// Residuals with values and without.
pub fn residuals() -> Samples {
    let mut full = b"ARCE".to_vec();
    full.extend([1, 1, 2, 0]);
    full.extend(5u64.to_le_bytes());
    full.extend(
        [0.5f32, 0.0, -1.0, 2.0, -0.0]
            .map(f32::to_le_bytes)
            .concat(),
    );
    [(5, full), (9, Residual::zero(9).to_bytes())]
        .map(|(parameters, bytes)| [vec![parameters], bytes].concat())
        .to_vec()
}
