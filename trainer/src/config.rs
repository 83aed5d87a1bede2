//! The shape of a model, its flat layout, and where its first weights come from.
//!
//! Tensors are named as Hugging Face names those of Llama, and stored `[out, in]`, so that an
//! exported file loads there. Within a layer `q_proj`, `k_proj`, `v_proj` and then `gate_proj`,
//! `up_proj` are neighbours in the flat vector: each group is one matrix product.

use archipel_protocol::layout::{Layout, LayoutError, TensorSpec};
use archipel_protocol::random::{Stream, derive_key};
use serde::{Deserialize, Serialize};

/// The most layers a model may have.
pub const MAX_LAYERS: u32 = 1024;
/// The largest width, feed-forward width, vocabulary or context a model may have.
pub const MAX_WIDTH: u32 = 1 << 20;

/// The shape of a decoder. Plain data: nothing is checked until [`ModelConfig::validate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Number of different tokens.
    pub vocabulary: u32,
    /// Width of the residual stream.
    pub d_model: u32,
    /// Number of blocks.
    pub layers: u32,
    /// Attention heads; divides `d_model` into heads of even width.
    pub heads: u32,
    /// Key and value heads; divides `heads`. Fewer than `heads` is grouped-query attention.
    pub kv_heads: u32,
    /// Inner width of the SwiGLU block.
    pub ffn: u32,
    /// Tokens a window has.
    pub context: u32,
    /// Whether the head uses the embedding's weights.
    pub tied: bool,
    /// Base of the rotary frequencies, usually 10,000.
    pub rope_base: f32,
    /// Added to the mean square before its root, usually 1e-5.
    pub norm_eps: f32,
}

/// Why a shape is no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A size is zero or beyond its limit.
    #[error("{field} must lie in 1..={limit}, found {found}: change it in the plan")]
    Size {
        /// The field's name.
        field: &'static str,
        /// The largest value allowed.
        limit: u32,
        /// The value found.
        found: u32,
    },
    /// One size must divide another.
    #[error("{divisor_name} ({divisor}) must divide {field} ({found}): change one of them")]
    Divide {
        /// The field that must be a multiple.
        field: &'static str,
        /// Its value.
        found: u32,
        /// The field that must divide it.
        divisor_name: &'static str,
        /// Its value.
        divisor: u32,
    },
    /// Rotary positions turn pairs, so a head's width must be even.
    #[error("a head is d_model / heads = {found} wide, rotary positions need an even width")]
    OddHead {
        /// The width found.
        found: u32,
    },
    /// A real number is out of its range.
    #[error("{field} must be {expected}, found {found}")]
    Number {
        /// The field's name.
        field: &'static str,
        /// The range, in words.
        expected: &'static str,
        /// The value found.
        found: f32,
    },
    /// The tensors have no layout.
    #[error("the tensors of this shape have no layout: {0}")]
    Layout(#[from] LayoutError),
}

impl ModelConfig {
    /// Checks that the sizes fit each other and the limits.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("vocabulary", self.vocabulary, MAX_WIDTH),
            ("d_model", self.d_model, MAX_WIDTH),
            ("layers", self.layers, MAX_LAYERS),
            ("heads", self.heads, MAX_WIDTH),
            ("kv_heads", self.kv_heads, MAX_WIDTH),
            ("ffn", self.ffn, MAX_WIDTH),
            ("context", self.context, MAX_WIDTH),
        ];
        for (field, found, limit) in sizes {
            if found == 0 || found > limit {
                return Err(ConfigError::Size {
                    field,
                    limit,
                    found,
                });
            }
        }
        divides("d_model", self.d_model, "heads", self.heads)?;
        divides("heads", self.heads, "kv_heads", self.kv_heads)?;
        if !self.head_width().is_multiple_of(2) {
            return Err(ConfigError::OddHead {
                found: self.head_width(),
            });
        }
        let (field, expected, found) = if !(1.0..=1e9).contains(&self.rope_base) {
            ("rope_base", "in 1..=1e9", self.rope_base)
        } else if !(1e-12..=1e-1).contains(&self.norm_eps) {
            ("norm_eps", "in 1e-12..=0.1", self.norm_eps)
        } else {
            return Ok(());
        };
        Err(ConfigError::Number {
            field,
            expected,
            found,
        })
    }

    /// Width of one attention head.
    pub fn head_width(&self) -> u32 {
        self.d_model / self.heads
    }

    /// Width of all key heads, and of all value heads.
    pub fn kv_width(&self) -> u32 {
        self.kv_heads * self.head_width()
    }

    /// Floating-point operations of one training step over `tokens` tokens.
    ///
    /// 6 for each weight a token is multiplied by (2 forward, 4 backward; the embedding is looked
    /// up, not multiplied), and 6·context·d_model a layer for the causal half of attention.
    pub fn training_flop(&self, tokens: u64) -> u128 {
        let d = u128::from(self.d_model);
        let square = d * (2 * d + 2 * u128::from(self.kv_width()));
        let layer = square + 3 * d * u128::from(self.ffn);
        let attention = u128::from(self.context) * d;
        let head = d * u128::from(self.vocabulary);
        6 * u128::from(tokens) * (u128::from(self.layers) * (layer + attention) + head)
    }
}

/// Lays the parameters of a model out in their fixed order.
///
/// # Errors
/// What [`ModelConfig::validate`] finds.
pub fn layout(config: &ModelConfig) -> Result<Layout, ConfigError> {
    config.validate()?;
    let (d, kv, ffn) = (config.d_model, config.kv_width(), config.ffn);
    let mut tensors = vec![tensor("model.embed_tokens.weight", &[config.vocabulary, d])];
    for layer in 0..config.layers {
        let parts: [(&str, &[u32]); 9] = [
            ("input_layernorm", &[d]),
            ("self_attn.q_proj", &[d, d]),
            ("self_attn.k_proj", &[kv, d]),
            ("self_attn.v_proj", &[kv, d]),
            ("self_attn.o_proj", &[d, d]),
            ("post_attention_layernorm", &[d]),
            ("mlp.gate_proj", &[ffn, d]),
            ("mlp.up_proj", &[ffn, d]),
            ("mlp.down_proj", &[d, ffn]),
        ];
        for (part, shape) in parts {
            tensors.push(tensor(
                &format!("model.layers.{layer}.{part}.weight"),
                shape,
            ));
        }
    }
    tensors.push(tensor("model.norm.weight", &[d]));
    if !config.tied {
        tensors.push(tensor("lm_head.weight", &[config.vocabulary, d]));
    }
    Ok(Layout::new(tensors)?)
}

/// Draws the first weights: matrices normal with deviation 0.02, those that write to the residual
/// stream divided by √(2·layers), norms one. Each tensor has its own stream, keyed by its name.
///
/// # Errors
/// What [`ModelConfig::validate`] finds.
pub fn initial_params(config: &ModelConfig, seed: [u8; 32]) -> Result<Vec<f32>, ConfigError> {
    let layout = layout(config)?;
    let residual = 0.02 / (2.0 * config.layers as f32).sqrt();
    let mut params = Vec::with_capacity(layout.parameters());
    for spec in layout.tensors() {
        if spec.shape.len() == 1 {
            params.resize(params.len() + spec.parameters(), 1.0);
            continue;
        }
        let to_residual = spec.name.contains("o_proj") || spec.name.contains("down_proj");
        let deviation = if to_residual { residual } else { 0.02 };
        let key = derive_key("archipel/initial-params/v1", &[&seed, spec.name.as_bytes()]);
        let mut stream = Stream::new(key);
        params.extend((0..spec.parameters()).map(|_| stream.normal_f32() * deviation));
    }
    Ok(params)
}

fn tensor(name: &str, shape: &[u32]) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        shape: shape.to_vec(),
    }
}

fn divides(
    field: &'static str,
    found: u32,
    divisor_name: &'static str,
    divisor: u32,
) -> Result<(), ConfigError> {
    if found.is_multiple_of(divisor) {
        return Ok(());
    }
    Err(ConfigError::Divide {
        field,
        found,
        divisor_name,
        divisor,
    })
}

#[cfg(test)]
pub(crate) fn tiny() -> ModelConfig {
    ModelConfig {
        vocabulary: 256,
        d_model: 16,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        ffn: 24,
        context: 16,
        tied: false,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_do_not_fit_are_refused_by_name() {
        type Change = fn(&mut ModelConfig);
        let cases: [(Change, &str); 8] = [
            (|c| c.layers = 0, "layers must lie in 1..=1024, found 0"),
            (|c| c.context = u32::MAX, "context must lie in"),
            (|c| c.heads = 3, "heads (3) must divide d_model (16)"),
            (|c| c.kv_heads = 3, "kv_heads (3) must divide heads (4)"),
            (|c| c.heads = 16, "rotary positions need an even width"),
            (|c| c.rope_base = f32::NAN, "rope_base must be in"),
            (|c| c.norm_eps = 0.0, "norm_eps must be in"),
            (
                |c| (c.d_model, c.vocabulary) = (1 << 20, 1 << 20),
                "more than 2^40",
            ),
        ];
        for (change, expected) in cases {
            let mut config = tiny();
            change(&mut config);
            let message = layout(&config).expect_err("the shape is wrong").to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn the_layout_has_the_names_and_sizes_of_llama() {
        let layout = layout(&tiny()).expect("the shape is right");
        let names: Vec<&str> = layout.tensors().iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names[0], "model.embed_tokens.weight");
        assert_eq!(names[3], "model.layers.0.self_attn.k_proj.weight");
        assert_eq!(layout.tensors()[3].shape, [8, 16]);
        assert_eq!(*names.last().expect("tensors"), "lm_head.weight");
        let layer = 16 * 16 * 2 + 16 * 8 * 2 + 3 * 16 * 24 + 2 * 16;
        assert_eq!(layout.parameters(), 2 * 256 * 16 + 2 * layer + 16);
    }

    #[test]
    fn a_tied_head_has_no_weights_of_its_own() {
        let untied = layout(&tiny()).expect("the shape is right").parameters();
        let tied = layout(&ModelConfig {
            tied: true,
            ..tiny()
        })
        .expect("the shape is right");
        assert_eq!(tied.parameters(), untied - 256 * 16);
    }

    #[test]
    fn first_weights_follow_the_seed_and_their_deviation() {
        let config = tiny();
        let params = initial_params(&config, [1; 32]).expect("the shape is right");
        assert_eq!(
            params,
            initial_params(&config, [1; 32]).expect("the shape is right")
        );
        assert_ne!(
            params,
            initial_params(&config, [2; 32]).expect("the shape is right")
        );
        let layout = layout(&config).expect("the shape is right");
        assert_eq!(params.len(), layout.parameters());
        for (index, spec) in layout.tensors().iter().enumerate() {
            let values = &params[layout.range(index)];
            let square: f32 = values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
            let expected = match spec.name.as_str() {
                name if name.contains("norm") => 1.0,
                name if name.contains("o_proj") || name.contains("down") => 0.01,
                _ => 0.02,
            };
            assert!(
                (square.sqrt() / expected - 1.0).abs() < 0.3,
                "{}: {square}",
                spec.name
            );
        }
    }
}
