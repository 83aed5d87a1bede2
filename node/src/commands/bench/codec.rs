//! `archipel bench codec`: how small and how fast every codec writes an update.

use super::memory;
use super::update::{Source, UpdateArgs};
use crate::cli::text::{bytes, grouped};
use anyhow::Context;
use archipel_protocol::{
    charter::plan::CodecKind,
    codec::encode,
    measure::{self, CodecFigures},
};
use clap::Args;
use serde_json::{Value, json};
use std::{path::PathBuf, time::Instant};

/// Write and read an update with every codec.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct CodecArgs {
    #[command(flatten)]
    update: UpdateArgs,
    /// Only this codec: f32, bf16, int8, int4, topk-2bit or demo; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = named)]
    codec: Vec<CodecKind>,
    /// Values of a chunk of topk-2bit and demo.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    chunk: u32,
    /// Values kept of a chunk.
    #[arg(long, value_name = "N", default_value_t = 64)]
    keep: u32,
    /// Runs, whose median counts.
    #[arg(long, value_name = "N", default_value_t = 7)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Leave every payload in this folder, for other programs to read or compress.
    #[arg(long, value_name = "DIR")]
    payloads: Option<PathBuf>,
    /// Print one JSON object a codec.
    #[arg(long)]
    json: bool,
}

pub(super) fn named(name: &str) -> Result<CodecKind, String> {
    CodecKind::named(name).ok_or_else(|| {
        let names = CodecKind::ALL.map(CodecKind::name).join(", ");
        format!("expected one of {names}")
    })
}

/// What was measured of one codec, with the memory it took beside the update.
struct Row {
    kind: CodecKind,
    figures: CodecFigures,
    peak_bytes: Option<u64>,
}

impl Row {
    fn megabytes_a_second(&self, ns: u64) -> f64 {
        4e3 * self.figures.parameters as f64 / ns.max(1) as f64
    }

    /// Of the payload's own bytes: what is compressed is what is sent.
    fn payload_megabytes_a_second(&self, ns: u64) -> f64 {
        1e3 * self.figures.payload_bytes as f64 / ns.max(1) as f64
    }

    fn bits(&self) -> f64 {
        self.bits_of(self.figures.payload_bytes as u64)
    }

    fn bits_of(&self, bytes: u64) -> f64 {
        8.0 * bytes as f64 / self.figures.parameters as f64
    }

    fn json(&self, source: &str) -> Value {
        let figures = &self.figures;
        json!({
            "codec": self.kind.name(), "update": source, "parameters": figures.parameters,
            "payload_bytes": figures.payload_bytes, "bits_per_param": self.bits(),
            "encode_mb_s": self.megabytes_a_second(figures.encode_ns),
            "decode_mb_s": self.megabytes_a_second(figures.decode_ns),
            "memcpy_mb_s": self.megabytes_a_second(figures.copy_ns),
            "sent_bytes": figures.sent_bytes,
            "sent_bits_per_param": self.bits_of(figures.sent_bytes),
            "compress_mb_s": self.payload_megabytes_a_second(figures.compress_ns),
            // Nothing was compressed where nothing became shorter.
            "decompress_mb_s": (figures.sent_bytes < figures.payload_bytes as u64)
                .then(|| self.payload_megabytes_a_second(figures.decompress_ns)),
            "peak_bytes": self.peak_bytes, "rel_error": figures.error,
        })
    }

    fn line(&self) -> String {
        let figures = &self.figures;
        let share = |ns: u64| figures.copy_ns as f64 / ns.max(1) as f64;
        let peak = self.peak_bytes.map_or("-".to_owned(), bytes);
        format!(
            "{:10} {:>8.4} {:>9.0} {:>5.2} {:>9.0} {:>5.2} {:>9.0} {:>10} {:>8.4} {:>8.4}",
            self.kind.name(),
            self.bits(),
            self.megabytes_a_second(figures.encode_ns),
            share(figures.encode_ns),
            self.megabytes_a_second(figures.decode_ns),
            share(figures.decode_ns),
            self.megabytes_a_second(figures.copy_ns),
            peak,
            figures.error,
            self.bits_of(figures.sent_bytes),
        )
    }
}

pub(super) fn run(args: &CodecArgs) -> anyhow::Result<()> {
    let Source {
        name,
        layout,
        values,
    } = args.update.source()?;
    let kinds = match args.codec.as_slice() {
        [] => &CodecKind::ALL,
        some => some,
    };
    if !args.json {
        println!(
            "{} parameters, {name}; MB/s of f32 and beside it the share of memcpy; sent: bits with \
             zstd",
            grouped(values.len() as u64)
        );
        println!(
            "{:10} {:>8} {:>9} {:>5} {:>9} {:>5} {:>9} {:>10} {:>8} {:>8}",
            "codec", "bits", "encode", "", "decode", "", "memcpy", "memory", "error", "sent"
        );
    }
    let began = Instant::now();
    for kind in kinds.iter().copied() {
        let mut clock = || began.elapsed().as_nanos() as u64;
        let before = memory::begin();
        let codec = kind.codec(args.chunk, args.keep);
        let figures = measure::codec(codec, &layout, &values, args.runs as usize, &mut clock)?;
        let row = Row {
            kind,
            figures,
            peak_bytes: memory::peak_since(before),
        };
        if let Some(folder) = &args.payloads {
            std::fs::create_dir_all(folder).context("--payloads")?;
            let path = folder.join(format!("{}.payload", kind.name()));
            let payload = encode(codec, &layout, &values)?.payload;
            std::fs::write(&path, payload).with_context(|| path.display().to_string())?;
        }
        match args.json {
            true => println!("{}", row.json(&name)),
            false => println!("{}", row.line()),
        }
    }
    Ok(())
}
