//! The card's kernels against the codec, without a card: payloads must be equal byte by byte.
//!
//! Twice: by a mirror of select.cu in Rust, and by select.cu itself, compiled for the processor
//! where there is a C++20 compiler (otherwise the test says so and passes).

mod mirror;

use archipel_protocol::codec::{
    Codec, CodecError, Encoded, Kept, Piece, encode, encode_kept, encode_levels, pieces,
};
use archipel_protocol::layout::{Layout, TensorSpec};
use archipel_protocol::random::{Stream, derive_key};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SMALL: Codec = Codec::TopK2Bit { chunk: 16, keep: 3 };
const HALF: Codec = Codec::TopK2Bit {
    chunk: 1024,
    keep: 600,
};
const ALL: Codec = Codec::TopK2Bit {
    chunk: 64,
    keep: 64,
};

/// Runs, a short last chunk, squares, a tensor of one value.
fn layout() -> Layout {
    let shapes: [&[u32]; 5] = [&[1500], &[64, 128], &[3, 7], &[1], &[2, 16, 16]];
    let spec = |(index, shape): (usize, &&[u32])| TensorSpec {
        name: format!("tensor.{index}"),
        shape: shape.to_vec(),
    };
    Layout::new(shapes.iter().enumerate().map(spec).collect()).expect("a layout")
}

/// Vectors with what makes choosing hard: ties, zeros of both signs, subnormal and huge numbers.
fn vectors() -> Vec<(&'static str, Vec<f32>)> {
    let count = layout().parameters();
    let mut stream = Stream::new(derive_key("kernel tests", &[]));
    let normal: Vec<f32> = (0..count).map(|_| stream.normal_f32()).collect();
    let few = |value: &f32| (value * 2.0).round() / 8.0;
    let tiny = |value: &f32| value * f32::MIN_POSITIVE;
    let huge = |value: &f32| (value * 1e38).clamp(f32::MIN, f32::MAX);
    let mut sparse = vec![0.0; count];
    for at in (0..count).step_by(97) {
        sparse[at] = if at % 2 == 0 { -0.0 } else { normal[at] };
    }
    let halves = |(at, _): (usize, &f32)| match at % 256 {
        0 => 127.0,
        at => (at as f32 - 128.0) / 2.0,
    };
    vec![
        ("ties", normal.iter().map(few).collect()),
        ("subnormal", normal.iter().map(tiny).collect()),
        ("huge", normal.iter().map(huge).collect()),
        ("halves", normal.iter().enumerate().map(halves).collect()),
        ("sparse", sparse),
        ("equal", vec![-1.5; count]),
        ("zero", vec![0.0; count]),
        ("normal", normal),
    ]
}

type Choice = Option<Result<Encoded, CodecError>>;

fn by_mirror(codec: Codec, layout: &Layout, values: &[f32]) -> Choice {
    let places = pieces(codec, layout).expect("settings that fit");
    if codec == Codec::Int8 {
        let (mut scales, mut levels) = (Vec::new(), Vec::new());
        for piece in &places {
            let (scale, more) = mirror::quantize_block(values, piece)?;
            scales.push(scale);
            levels.extend(more);
        }
        return Some(encode_levels(layout, &scales, &levels));
    }
    let mut kept = Kept::default();
    for piece in &places {
        let (count, slots) = mirror::select_largest(values, piece)?;
        kept.counts.push(count);
        kept.indices.extend(slots.iter().map(|slot| slot.0));
        kept.values.extend(slots.iter().map(|slot| slot.1));
    }
    Some(encode_kept(codec, layout, &kept))
}

fn assert_same(codec: Codec, layout: &Layout, name: &str, values: &[f32], choice: Choice) {
    let expected = encode(codec, layout, values).expect("finite values");
    let found = choice.expect("finite values").expect("an encoder's choice");
    assert!(found == expected, "{codec}, {name}: another payload");
}

#[test]
fn the_mirror_of_the_kernels_gives_the_codecs_payloads() {
    let layout = layout();
    for (name, values) in vectors() {
        for codec in [SMALL, HALF, ALL, Codec::TOP_K, Codec::Int8] {
            let choice = by_mirror(codec, &layout, &values);
            assert_same(codec, &layout, name, &values, choice);
        }
    }
}

#[test]
fn the_mirror_refuses_what_is_not_finite() {
    let layout = layout();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 1499, layout.parameters() - 1] {
            let mut values = vec![1.0; layout.parameters()];
            values[at] = bad;
            for codec in [SMALL, Codec::TOP_K, Codec::Int8] {
                assert!(
                    by_mirror(codec, &layout, &values).is_none(),
                    "{bad} at {at}"
                );
                assert!(encode(codec, &layout, &values).is_err());
            }
        }
    }
}

/// The kernels compiled for the processor; nothing where there is no compiler for it.
fn emulator(folder: &Path) -> Option<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel");
    let program = folder.join("emulated");
    let done = Command::new("c++")
        .args(["-std=c++20", "-O1", "-ffp-contract=off", "-pthread", "-o"])
        .arg(&program)
        .arg(sources.join("emulated.cpp"))
        .output();
    match done {
        Ok(done) if done.status.success() => Some(program),
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stderr);
            let old = said.contains("c++20") || said.contains("<barrier>");
            assert!(old, "the kernels do not compile:\n{said}");
            None
        }
        Err(_) => None,
    }
}

fn words(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn job(codec: Codec, places: &[Piece], values: &[f32], room: u32) -> Vec<u8> {
    let kind = u32::from(codec == Codec::Int8);
    let mut bytes = words([kind, values.len() as u32, places.len() as u32, room]);
    bytes.extend(words(values.iter().map(|value| value.to_bits())));
    for piece in places {
        bytes.extend((piece.start as u64).to_le_bytes());
        bytes.extend(words([piece.len, piece.row, piece.stride, piece.limit]));
    }
    bytes
}

fn by_emulation(program: &Path, codec: Codec, layout: &Layout, values: &[f32]) -> Choice {
    let places = pieces(codec, layout).expect("settings that fit");
    let room = match codec {
        Codec::TopK2Bit { keep, .. } => keep,
        _ => 0,
    };
    let piped = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = piped.expect("it was just compiled");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(&job(codec, &places, values, room))
        .expect("it reads all");
    drop(stdin);
    let done = child.wait_with_output().expect("it ends");
    assert!(done.status.success());
    let (fours, _) = done.stdout.as_chunks::<4>();
    let word = |at: usize| u32::from_le_bytes(fours[at]);
    if word(0) != 0 {
        return None;
    }
    let count = places.len();
    if codec == Codec::Int8 {
        let scales: Vec<f32> = (1..=count).map(|at| f32::from_bits(word(at))).collect();
        let levels = done.stdout[4 * (1 + count)..]
            .iter()
            .map(|level| *level as i8);
        return Some(encode_levels(layout, &scales, &levels.collect::<Vec<_>>()));
    }
    let mut kept = Kept::default();
    for piece in 0..count {
        let slots = 1 + count + piece * room as usize;
        let taken = word(1 + piece);
        kept.counts.push(taken);
        for slot in slots..slots + taken as usize {
            kept.indices.push(word(slot));
            let value = word(slot + count * room as usize);
            kept.values.push(f32::from_bits(value));
        }
    }
    Some(encode_kept(codec, layout, &kept))
}

#[test]
fn the_kernels_themselves_give_the_codecs_payloads_on_a_processor() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(program) = emulator(folder.path()) else {
        println!("no C++20 compiler: the kernels' mirror alone was tested");
        return;
    };
    let layout = layout();
    for (name, mut values) in vectors() {
        for codec in [HALF, Codec::TOP_K, Codec::Int8] {
            let choice = by_emulation(&program, codec, &layout, &values);
            assert_same(codec, &layout, name, &values, choice);
        }
        values[1499] = f32::NAN;
        if name == "normal" {
            for codec in [HALF, Codec::Int8] {
                assert!(by_emulation(&program, codec, &layout, &values).is_none());
            }
        }
    }
}
