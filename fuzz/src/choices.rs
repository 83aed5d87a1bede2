//! Layout, settings and limits from the first bytes of an input; the payload is the rest.

use crate::update::Kind;
use archipel_protocol::{
    codec::{Codec, Limits},
    layout::{Layout, TensorSpec},
};

/// Bytes of an input before the payload.
pub const PRELUDE: usize = 15;

const MAX_ABS: [f32; 4] = [1e30, 1.0, 1e-3, f32::MAX];
const MAX_NORM: [f64; 4] = [1e38, 1.0, 1e-3, f64::MAX];

/// What an input asks a decoder to do.
#[derive(Debug)]
pub struct Choices<'a> {
    /// How payloads are read.
    pub codec: Codec,
    /// One to three tensors.
    pub layout: Layout,
    /// What the plan allows.
    pub limits: Limits,
    /// Whether the harness writes the payload's header.
    pub headed: bool,
    /// What follows the choices.
    pub rest: &'a [u8],
}

/// Reads the choices; none where the input is too short for them.
pub fn choices(kind: Kind, data: &[u8]) -> Option<Choices<'_>> {
    let (head, rest) = data.split_first_chunk::<PRELUDE>()?;
    let [flags, shapes @ .., exponent, low, high, tight, _spare] = head;
    let _: &[u8; 9] = shapes;
    let tensors = 1 + usize::from(flags >> 1 & 3).min(2);
    let specs = shapes.chunks_exact(3).take(tensors).enumerate();
    let large = !matches!(kind, Kind::Demo);
    let specs = specs.map(|(number, bytes)| spec(number, bytes, large));
    let layout = Layout::new(specs.collect()).ok()?;
    let codec = codec(kind, *exponent, u16::from_le_bytes([*low, *high]));
    let exact = codec.max_payload_bytes(&layout);
    let limits = Limits {
        max_abs: MAX_ABS[usize::from(flags >> 3 & 3)],
        max_norm: MAX_NORM[usize::from(flags >> 5 & 3)],
        max_payload_bytes: match tight & 3 {
            0 => exact,
            1 => exact - 1,
            _ => 1 << 24,
        },
    };
    Some(Choices {
        codec,
        layout,
        limits,
        headed: flags & 1 == 1,
        rest,
    })
}

/// A tensor from three bytes: rank and scale, then two sizes.
fn spec(number: usize, bytes: &[u8], large: bool) -> TensorSpec {
    let scale = match large && bytes[0] & 128 != 0 {
        true => 16,
        false => 1,
    };
    let [one, other] = [bytes[1], bytes[2]].map(|size| scale * u32::from(size.max(1)));
    let shape = match bytes[0] & 3 {
        0 => vec![one],
        1 => vec![one, other],
        2 => vec![one, 2, other],
        _ => vec![one * other],
    };
    TensorSpec {
        name: format!("tensor.{number}"),
        shape,
    }
}

fn codec(kind: Kind, exponent: u8, keep: u16) -> Codec {
    let chunk = |exponents: u8| 16u32 << (2 * u32::from(exponent % exponents));
    let kept = |chunk: u32| 1 + u32::from(keep) % chunk;
    match kind {
        Kind::F32 => Codec::F32,
        Kind::Bf16 => Codec::Bf16,
        Kind::Int8 => Codec::Int8,
        Kind::Int4 => Codec::Int4,
        Kind::TopK2Bit => Codec::TopK2Bit {
            chunk: chunk(7),
            keep: kept(chunk(7)),
        },
        Kind::Demo => Codec::Demo {
            chunk: chunk(5),
            keep: kept(chunk(5)),
        },
    }
}
