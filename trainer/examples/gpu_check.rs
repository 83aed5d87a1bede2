//! What a card computes, beside what the processor computes. One JSON object a question:
//!
//! `gpu_check parity [CARD...]`: losses of the same steps on the processor and on the cards;
//! `gpu_check payloads [CARD]`: whether payloads encoded on a card are the codec's, and how fast;
//! `gpu_check speed CARD D_MODEL LAYERS HEADS CONTEXT BATCH MICRO_BATCH FFN VOCABULARY STEPS`.
//!
//! Ends with a status other than 0 where the answer is not the one that is expected.

use archipel_protocol::codec::{Codec, encode};
use archipel_protocol::random::Stream;
use archipel_trainer::cuda::{Budget, GPU_CLASS, Quantizer, cards, engine_on_cards};
use archipel_trainer::data::MemorySource;
use archipel_trainer::{
    AdamWConfig, Control, Engine, InnerPlan, LlamaEngine, ModelConfig, initial_params, layout,
};
use serde_json::json;
use std::process::ExitCode;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// The largest distance of two losses of one step, in nats, over the steps of `parity`.
const PARITY_NATS: f32 = 0.03;
/// Steps before time is taken: kernels are compiled and chosen in them.
const WARM_UP: u64 = 5;

fn main() -> Result<ExitCode, Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (question, rest) = words
        .split_first()
        .ok_or("expected parity, payloads or speed")?;
    let numbers: Vec<u32> = rest
        .iter()
        .map(|word| word.parse())
        .collect::<Result<_, _>>()?;
    let passed = match question.as_str() {
        "parity" => parity(&numbers)?,
        "payloads" => payloads(numbers.first().map_or(0, |card| *card as usize))?,
        "speed" => speed(&numbers)?,
        other => return Err(format!("expected parity, payloads or speed, found {other}").into()),
    };
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn config([d_model, layers, heads, context, ffn, vocabulary]: [u32; 6]) -> ModelConfig {
    ModelConfig {
        vocabulary,
        d_model,
        layers,
        heads,
        kv_heads: heads,
        ffn,
        context,
        tied: false,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
    }
}

fn plan(steps: u64, batch_sequences: u32, micro_batch: u32) -> InnerPlan {
    InnerPlan {
        from_step: 0,
        to_step: steps,
        segment_steps: steps,
        batch_sequences,
        micro_batch,
        schedule_offset: 0,
        optimizer: AdamWConfig {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: 1.0,
            warmup_steps: 10,
            total_steps: 1000,
            min_lr_ratio: 0.1,
            muon: None,
            sgd: false,
            rewarm_steps: 0,
        },
        batch_key: [2; 32],
        mixture: Vec::new(),
    }
}

/// Text in which there is something to learn: words of a small vocabulary, drawn.
fn text() -> MemorySource {
    let mut stream = Stream::new([3; 32]);
    let words = [
        "the ", "quick ", "brown ", "fox ", "jumps ", "over ", "lazy ", "dog. ",
    ];
    let word = |_| words[stream.below(words.len() as u64) as usize].bytes();
    MemorySource::new((0..1 << 17).flat_map(word).collect())
}

fn losses(engine: &mut dyn Engine, plan: &InnerPlan) -> Result<Vec<f32>, Failure> {
    let mut losses = Vec::new();
    engine.train(plan, &text(), &mut |progress| {
        losses.push(progress.loss);
        Control::Continue
    })?;
    Ok(losses)
}

fn parity(numbers: &[u32]) -> Result<bool, Failure> {
    let numbers = match numbers {
        [] => vec![0],
        numbers => numbers.iter().map(|number| *number as usize).collect(),
    };
    let (shape, plan) = (config([128, 4, 4, 128, 512, 256]), plan(60, 16, 4));
    let params = initial_params(&shape, [1; 32])?;
    let mut cpu = LlamaEngine::new(&shape, std::thread::available_parallelism()?.get())?;
    cpu.load(&params)?;
    let expected = losses(&mut cpu, &plan)?;
    let on_card = |cards: &[usize]| -> Result<Vec<f32>, Failure> {
        let mut engine = engine_on_cards(&shape, cards)?;
        engine.load(&params)?;
        losses(engine.as_mut(), &plan)
    };
    let found = on_card(&numbers)?;
    let again = on_card(&numbers)?;
    let distance = |a: &[f32], b: &[f32]| {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let largest = distance(&found, &expected);
    // NaN must not pass.
    let passed = found.len() == expected.len() && largest <= PARITY_NATS;
    let answer = json!({
        "question": "parity", "passed": passed, "class": GPU_CLASS, "cards": numbers,
        "steps": found.len(), "largest_distance_nats": largest, "allowed_nats": PARITY_NATS,
        "last_loss_cpu": expected.last(), "last_loss_card": found.last(),
        "distance_of_two_runs_on_card": distance(&found, &again),
    });
    println!("{answer}");
    Ok(passed)
}

fn payloads(number: usize) -> Result<bool, Failure> {
    let quantizer = Quantizer::new(number)?;
    let shape = config([768, 12, 12, 1024, 2048, 50_304]);
    let layout = layout(&shape)?;
    let mut stream = Stream::new([4; 32]);
    let mut values: Vec<f32> = (0..layout.parameters())
        .map(|_| stream.normal_f32())
        .collect();
    // Ties, zeros of both signs, and subnormal numbers among them.
    for (at, value) in values.iter_mut().enumerate() {
        match at % 11 {
            0 => *value = (*value * 4.0).round() / 4.0,
            1 => *value = -0.0,
            2 if at % 4096 < 256 => *value *= f32::MIN_POSITIVE,
            _ => {}
        }
    }
    let mut all_equal = true;
    let mut answers = Vec::new();
    for codec in [
        Codec::TOP_K,
        Codec::TopK2Bit {
            chunk: 1024,
            keep: 600,
        },
        Codec::Int8,
    ] {
        let begun = Instant::now();
        let expected = encode(codec, &layout, &values)?;
        let cpu = begun.elapsed().as_secs_f64();
        quantizer.encode(codec, &layout, &values)?;
        let begun = Instant::now();
        let found = quantizer.encode(codec, &layout, &values)?;
        let card = begun.elapsed().as_secs_f64();
        let equal = found == expected;
        all_equal &= equal;
        answers.push(json!({
            "codec": codec.to_string(), "equal": equal, "bytes": expected.payload.len(),
            "cpu_s": cpu, "card_s": card,
        }));
    }
    values[12_345] = f32::NAN;
    let refused = quantizer.encode(Codec::TOP_K, &layout, &values).is_err();
    let passed = all_equal && refused;
    let answer = json!({
        "question": "payloads", "passed": passed, "parameters": layout.parameters(),
        "nan_refused": refused, "codecs": answers,
    });
    println!("{answer}");
    Ok(passed)
}

fn speed(numbers: &[u32]) -> Result<bool, Failure> {
    let [
        card,
        d_model,
        layers,
        heads,
        context,
        batch,
        micro_batch,
        ffn,
        vocabulary,
        steps,
    ] = <[u32; 10]>::try_from(numbers).map_err(|_| "speed takes ten numbers")?;
    let (number, steps) = (card as usize, u64::from(steps));
    let all = cards()?;
    let card = all.get(number).ok_or("there is no card of this number")?;
    let shape = config([d_model, layers, heads, context, ffn, vocabulary]);
    let mut engine = engine_on_cards(&shape, &[number])?;
    engine.load(&initial_params(&shape, [1; 32])?)?;
    let parameters = engine.layout().parameters();
    let mut begun = Instant::now();
    let report = engine.train(
        &plan(WARM_UP + steps, batch, micro_batch),
        &text(),
        &mut |at| {
            if at.step == WARM_UP {
                begun = Instant::now();
            }
            Control::Continue
        },
    )?;
    let seconds = begun.elapsed().as_secs_f64();
    let part = steps as f64 / (WARM_UP + steps) as f64;
    let estimate = Budget::of(&shape, parameters, micro_batch.min(batch), true);
    let used = cards()?
        .get(number)
        .map(|now| card.free_bytes.saturating_sub(now.free_bytes));
    let answer = json!({
        "question": "speed", "passed": report.last_loss.is_finite(), "card": card.name,
        "capability": format!("{}.{}", card.capability.0, card.capability.1),
        "parameters": parameters, "seconds": seconds,
        "tokens_per_s": report.tokens as f64 * part / seconds,
        "flop_per_s": report.flop as f64 * part / seconds,
        "last_loss": report.last_loss, "estimated_bytes": estimate.total(), "used_bytes": used,
    });
    println!("{answer}");
    Ok(report.last_loss.is_finite())
}
