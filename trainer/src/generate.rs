//! Text from a model: one token after the other, drawn from the most likely.

use crate::engine::{Engine, EngineError};
use archipel_protocol::random::Stream;

/// How tokens are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits: near 0 only the likeliest token is drawn, 1 follows the model. 0 always
    /// takes the likeliest; ties go to the lowest token.
    pub temperature: f32,
    /// Draws among this many likeliest tokens only; 0 among all.
    pub top_k: usize,
    /// Tokens of the tokenizer: 256 for bytes. A model's vocabulary may be larger; what is drawn
    /// lies below.
    pub tokens: u32,
    /// Key of the draws: the same key gives the same text.
    pub seed: [u8; 32],
}

/// Why no text came out.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The temperature is no number that divides.
    #[error("the temperature must be 0 or a number from 0.01 to 100, found {found}")]
    Temperature {
        /// The temperature given.
        found: f32,
    },
    /// There is nothing to draw from.
    #[error("the tokenizer must have a token at least, found none")]
    NoTokens,
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Continues `prompt` by `count` tokens; the prompt itself is not repeated.
///
/// # Errors
/// A setting that makes no sense, or an engine that refuses the prompt.
pub fn generate(
    engine: &mut dyn Engine,
    prompt: &[u32],
    count: usize,
    sampling: &Sampling,
) -> Result<Vec<u32>, GenerateError> {
    let temperature = sampling.temperature;
    if temperature != 0.0 && !(0.01..=100.0).contains(&temperature) {
        return Err(GenerateError::Temperature { found: temperature });
    }
    if sampling.tokens == 0 {
        return Err(GenerateError::NoTokens);
    }
    let mut stream = Stream::new(sampling.seed);
    let mut text = prompt.to_vec();
    for _ in 0..count {
        let mut logits = engine.next_token_logits(&text)?;
        logits.truncate(sampling.tokens as usize);
        text.push(draw(&logits, sampling, &mut stream));
    }
    Ok(text.split_off(prompt.len()))
}

fn draw(logits: &[f32], sampling: &Sampling, stream: &mut Stream) -> u32 {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
    let among = match (sampling.temperature == 0.0, sampling.top_k) {
        (true, _) => 1,
        (false, 0) => order.len(),
        (false, k) => k.min(order.len()),
    };
    order.truncate(among);
    let highest = f64::from(logits[order[0]]);
    let temperature = f64::from(sampling.temperature).max(f64::MIN_POSITIVE);
    let weight = |index: &usize| ((f64::from(logits[*index]) - highest) / temperature).exp();
    let weights: Vec<f64> = order.iter().map(weight).collect();
    let mut rest = f64::from(stream.unit_f32()) * weights.iter().sum::<f64>();
    for (index, weight) in order.iter().zip(&weights) {
        if rest < *weight {
            return *index as u32;
        }
        rest -= weight;
    }
    order[0] as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::byte_tokens;

    #[test]
    fn text_follows_the_seed_and_the_prompt_is_not_repeated() {
        let config = crate::config::tiny();
        let mut engine = crate::LlamaEngine::new(&config, 1).expect("the shape is right");
        let params = crate::initial_params(&config, [1; 32]).expect("the shape is right");
        engine.load(&params).expect("finite weights");
        let mut text = |seed| {
            let sampling = Sampling {
                temperature: 1.0,
                top_k: 0,
                tokens: 256,
                seed: [seed; 32],
            };
            generate(&mut engine, &byte_tokens(b"prompt"), 24, &sampling)
                .expect("a prompt of bytes")
        };
        let first = text(1);
        assert_eq!((first.len(), &first), (24, &text(1)));
        assert_ne!(first, text(2));
        let sampling = Sampling {
            temperature: f32::NAN,
            top_k: 0,
            tokens: 256,
            seed: [0; 32],
        };
        let refused = generate(&mut engine, &[], 1, &sampling);
        assert!(
            matches!(refused, Err(GenerateError::Temperature { .. })),
            "{refused:?}"
        );
    }

    fn histogram(sampling: &Sampling, logits: &[f32]) -> Vec<usize> {
        let mut stream = Stream::new(sampling.seed);
        let mut counts = vec![0; logits.len()];
        for _ in 0..8000 {
            counts[draw(logits, sampling, &mut stream) as usize] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_temperature_and_top_k() {
        let logits = [0.0, 3f32.ln(), 0.0, 3f32.ln()];
        let sampling = |temperature, top_k| Sampling {
            temperature,
            top_k,
            tokens: 4,
            seed: [3; 32],
        };
        let near = |counts: Vec<usize>, expected: [usize; 4]| {
            let close = counts
                .iter()
                .zip(expected)
                .all(|(a, b)| a.abs_diff(b) < 250);
            assert!(close, "{counts:?} instead of {expected:?}");
        };
        near(
            histogram(&sampling(1.0, 0), &logits),
            [1000, 3000, 1000, 3000],
        );
        near(
            histogram(&sampling(0.5, 0), &logits),
            [400, 3600, 400, 3600],
        );
        assert_eq!(histogram(&sampling(0.0, 0), &logits), [0, 8000, 0, 0]);
        let two = histogram(&sampling(1.0, 2), &logits);
        assert_eq!((two[0], two[2]), (0, 0));
        near(two, [0, 4000, 0, 4000]);
    }
}
