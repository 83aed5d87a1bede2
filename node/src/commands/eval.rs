//! `archipel eval`: how well a model predicts what prepared data holds out, sector by sector.

use super::{model, tokenizer::check_data};
use crate::cli::{args::EvalArgs, grouped};
use anyhow::{Context, bail};
use archipel_trainer::{
    Engine, Evaluation, LlamaEngine,
    data::{Dataset, Manifest, Part, TokenSource as _},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::IsTerminal;

/// Windows that are read and evaluated at once.
const WINDOWS_AT_ONCE: usize = 64;

/// What came out for a sector, or for all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Measure {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sector: Option<String>,
    /// Tokens predicted.
    tokens: u64,
    /// Bytes of text that they stand for, where that is known.
    bytes: Option<u64>,
    bits_per_token: Option<f64>,
    bits_per_byte: Option<f64>,
}

impl Measure {
    /// Nothing predicted is no measure.
    fn of(sector: Option<&str>, evaluation: Evaluation, bytes: Option<u64>) -> Self {
        let any = evaluation.tokens > 0;
        Self {
            event: if sector.is_some() { "sector" } else { "all" },
            sector: sector.map(str::to_owned),
            tokens: evaluation.tokens,
            bytes,
            bits_per_token: any.then(|| evaluation.bits_per_token()),
            bits_per_byte: bytes
                .filter(|bytes| any && *bytes > 0)
                .map(|bytes| evaluation.bits_per_byte(bytes)),
        }
    }
}

/// `archipel eval`: a table, or one JSON object a line, on stdout.
///
/// # Errors
/// A folder without a model, data that was changed or is of another tokenizer.
pub fn eval(args: &EvalArgs) -> anyhow::Result<()> {
    let measures = measures(args)?;
    if !args.json {
        print!("{}", table(&measures));
        return Ok(());
    }
    for measure in &measures {
        println!("{}", serde_json::to_string(measure)?);
    }
    Ok(())
}

/// A measure of every sector, then one of all.
fn measures(args: &EvalArgs) -> anyhow::Result<Vec<Measure>> {
    let data = Dataset::open(&args.data)?;
    let model = model::load(&args.checkpoint)?;
    let (vocabulary, manifest) = (model.config.vocabulary, data.manifest());
    check_data(&args.checkpoint, vocabulary, &manifest.tokenizer)
        .with_context(|| args.data.display().to_string())?;
    data.verify()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut engine = LlamaEngine::new(&model.config, threads)?;
    engine.load(&model.parameters)?;
    let context = u64::from(model.config.context);
    let most = args.max_tokens.map_or(usize::MAX, |tokens| {
        usize::try_from(tokens.div_ceil(context)).unwrap_or(usize::MAX)
    });
    let names = manifest.sector_names().into_iter();
    let sectors: Vec<(&str, Vec<(u64, usize)>)> = names
        .map(|name| (name, windows(data.held_out(), name, context, most)))
        .collect();
    let all: usize = sectors.iter().map(|(_, windows)| windows.len()).sum();
    if all == 0 {
        bail!("expected two held-out tokens at least, found fewer: prepare more text");
    }
    let bar = bar(all as u64);
    let (mut nats, mut tokens) = (0.0, 0);
    let mut measures = Vec::new();
    for (name, windows) in &sectors {
        let found = evaluate(&mut engine, data.held_out(), windows, &bar)?;
        (nats, tokens) = (nats + found.nats, tokens + found.tokens);
        let bytes = bytes_of(manifest, name, found.tokens);
        measures.push(Measure::of(Some(name), found, bytes));
    }
    bar.finish_and_clear();
    let bytes: Option<u64> = measures.iter().map(|measure| measure.bytes).sum();
    measures.push(Measure::of(None, Evaluation { nats, tokens }, bytes));
    Ok(measures)
}

/// Where a sector's windows begin, and how many tokens each has: one after the other, every token
/// but a range's first predicted once, or `most` of them spread evenly.
fn windows(part: &Part, sector: &str, context: u64, most: usize) -> Vec<(u64, usize)> {
    let ranges = part.sectors().iter().filter(|range| range.sector == sector);
    let all: Vec<(u64, usize)> = ranges
        .flat_map(|range| {
            let end = range.tokens.end;
            let starts = (range.tokens.start..end.saturating_sub(1)).step_by(context as usize);
            starts.map(move |start| (start, (context + 1).min(end - start) as usize))
        })
        .collect();
    let count = all.len().min(most);
    (0..count)
        .map(|index| all[(index as u128 * all.len() as u128 / count as u128) as usize])
        .collect()
}

fn evaluate(
    engine: &mut LlamaEngine,
    part: &Part,
    windows: &[(u64, usize)],
    bar: &ProgressBar,
) -> anyhow::Result<Evaluation> {
    let (mut nats, mut tokens) = (0.0, 0);
    for some in windows.chunks(WINDOWS_AT_ONCE) {
        let mut read = Vec::with_capacity(some.len());
        for (start, length) in some {
            let mut window = vec![0; *length];
            part.copy_window(*start, &mut window)?;
            read.push(window);
        }
        let read: Vec<&[u32]> = read.iter().map(Vec::as_slice).collect();
        let found = engine.evaluate(&read)?;
        nats += found.nats;
        tokens += found.tokens;
        bar.inc(some.len() as u64);
    }
    Ok(Evaluation { nats, tokens })
}

/// Bytes of text that so many of a sector's held-out tokens stand for: with bytes as many, else in
/// proportion to what the manifest says of all of them.
fn bytes_of(manifest: &Manifest, sector: &str, tokens: u64) -> Option<u64> {
    if manifest.tokenizer.is_bytes() {
        return Some(tokens);
    }
    let (all, bytes) = manifest.held_out_of(sector);
    let bytes = u128::from(bytes?) * u128::from(tokens) / u128::from(all.max(1));
    Some(bytes as u64)
}

fn table(measures: &[Measure]) -> String {
    let name = |measure: &Measure| measure.sector.clone().unwrap_or_else(|| "all".to_owned());
    let wide = measures.iter().map(|measure| name(measure).chars().count());
    let width = wide.max().unwrap_or(0).max("sector".len());
    let number = |bits: Option<f64>| bits.map_or("-".to_owned(), |bits| format!("{bits:.4}"));
    let mut out = format!(
        "{:width$}  {:>12}  {:>12}  {:>12}\n",
        "sector", "tokens", "bits a token", "bits a byte"
    );
    for measure in measures {
        out.push_str(&format!(
            "{:width$}  {:>12}  {:>12}  {:>12}\n",
            name(measure),
            grouped(measure.tokens),
            number(measure.bits_per_token),
            number(measure.bits_per_byte)
        ));
    }
    if measures.iter().any(|measure| measure.bytes.is_none()) {
        out.push_str(
            "\nBits a byte are unknown: another program made the tokens, and the text is not \
             here.\n",
        );
    }
    out
}

/// A bar on a terminal, and nothing elsewhere.
fn bar(windows: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {eta} left");
    let style = style.expect("a template without faults");
    ProgressBar::new(windows).with_style(style.progress_chars("━╸─"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_trainer::{
        CheckpointInfo, WEIGHTS_FILE,
        data::{PrepareOptions, SourceOptions, prepare},
        interchange::{CONFIG_FILE, config_json},
        write_checkpoint,
    };

    fn data(dir: &std::path::Path) -> Dataset {
        let source = |name: &str, length: usize| {
            let path = dir.join(name);
            std::fs::write(&path, name.repeat(length)).expect("ours");
            SourceOptions {
                sector: name.to_owned(),
                ..SourceOptions::of(vec![path])
            }
        };
        let sources = [source("a", 1000), source("b", 500), source("c", 3)];
        let out = dir.join("data");
        prepare(&sources, &out, &PrepareOptions::default(), &mut |_| {}).expect("text");
        Dataset::open(&out).expect("prepared data")
    }

    #[test]
    fn every_held_out_token_but_each_range_s_first_is_predicted_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = data(dir.path());
        let of = |sector, most| windows(data.held_out(), sector, 16, most);
        let a = of("a", usize::MAX);
        assert_eq!(a[0], (0, 17));
        assert_eq!(a.iter().map(|(_, length)| length - 1).sum::<usize>(), 100);
        let b = of("b", usize::MAX);
        assert_eq!(
            (b[0].0, b.iter().map(|w| w.1 - 1).sum::<usize>()),
            (101, 50)
        );
        assert!(of("c", usize::MAX).is_empty() && of("d", usize::MAX).is_empty());
        assert_eq!(of("a", 2), [a[0], a[3]]);
        assert_eq!(bytes_of(data.manifest(), "a", 7), Some(7));
    }

    /// A checkpoint of first weights, which predict nothing yet.
    fn checkpoint(dir: &std::path::Path, vocabulary: u32) -> std::path::PathBuf {
        let config = archipel_trainer::ModelConfig {
            vocabulary,
            d_model: 16,
            layers: 1,
            heads: 2,
            kv_heads: 2,
            ffn: 32,
            context: 16,
            // A tied head would favour the token that was read.
            tied: false,
            rope_base: 10_000.0,
            norm_eps: 1e-5,
        };
        let layout = archipel_trainer::layout(&config).expect("a shape");
        let params = archipel_trainer::initial_params(&config, [1; 32]).expect("a shape");
        let (out, info) = (dir.join("checkpoint"), CheckpointInfo::default());
        std::fs::create_dir_all(&out).expect("ours");
        write_checkpoint(&out.join(WEIGHTS_FILE), &layout, &params, &info).expect("ours");
        let shape = config_json(&config).to_string();
        std::fs::write(out.join(CONFIG_FILE), shape).expect("ours");
        out
    }

    fn args(dir: &std::path::Path, vocabulary: u32) -> EvalArgs {
        EvalArgs {
            checkpoint: checkpoint(dir, vocabulary),
            data: dir.join("data"),
            max_tokens: None,
            json: false,
        }
    }

    #[test]
    fn a_model_that_knows_nothing_needs_eight_bits_in_every_sector() {
        let dir = tempfile::tempdir().expect("a folder");
        data(dir.path());
        let measures = measures(&args(dir.path(), 256)).expect("a model and data");
        let told = measures.iter().map(|m| (m.sector.as_deref(), m.tokens));
        let expected = [
            (Some("a"), 100),
            (Some("b"), 50),
            (Some("c"), 0),
            (None, 150),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let bits: Vec<_> = measures.iter().map(|m| m.bits_per_byte).collect();
        assert_eq!(bits[2], None);
        for bits in [bits[0], bits[1], bits[3]] {
            assert!((bits.expect("measured") - 8.0).abs() < 0.2, "{bits:?}");
        }
        eval(&args(dir.path(), 256)).expect("the same once more");
    }

    #[test]
    fn data_that_the_model_cannot_read_or_that_was_changed_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        data(dir.path());
        let refused = measures(&args(dir.path(), 100)).expect_err("bytes up to 255");
        let text = format!("{refused:#}");
        assert!(
            text.contains("below the model's vocabulary of 100"),
            "{text}"
        );

        let shard = dir.path().join("data/holdout-001.bin");
        std::fs::write(&shard, vec![b'x'; 51]).expect("ours");
        let refused = measures(&args(dir.path(), 256)).expect_err("other bytes");
        assert!(refused.to_string().contains("it was changed"), "{refused}");

        let mut elsewhere = args(dir.path(), 256);
        std::fs::write(elsewhere.checkpoint.join("tokenizer.json"), "{}").expect("ours");
        let refused = measures(&elsewhere).expect_err("another tokenizer");
        let text = format!("{refused:#}");
        assert!(
            text.contains("expected data of the model's tokenizer"),
            "{text}"
        );
        elsewhere.data = dir.path().join("nowhere");
        assert!(measures(&elsewhere).is_err());
    }

    #[test]
    fn a_table_says_where_bits_a_byte_are_unknown() {
        let evaluation = Evaluation {
            nats: 2.0 * std::f64::consts::LN_2,
            tokens: 4,
        };
        let known = Measure::of(Some("law"), evaluation, Some(8));
        assert_eq!(
            (known.bits_per_token, known.bits_per_byte),
            (Some(0.5), Some(0.25))
        );
        let json = serde_json::to_string(&known).expect("JSON");
        let expected = "{\"event\":\"sector\",\"sector\":\"law\",\"tokens\":4,\"bytes\":8,\
                        \"bits_per_token\":0.5,\"bits_per_byte\":0.25}";
        assert_eq!(json, expected);
        let unknown = Measure::of(None, evaluation, None);
        let text = table(&[known, unknown]);
        assert!(text.contains("law ") && text.contains("0.2500"), "{text}");
        assert!(text.contains("Bits a byte are unknown"), "{text}");
    }
}
