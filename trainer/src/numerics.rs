//! The class of this engine's arithmetic, and the proof that a machine computes in it.
//!
//! Members of a class get the same bits from the same training. Its number counts up whenever a
//! definition in [`crate::exact`], the optimizer or the order of sums changes. The proof is a
//! canonical small training run, whose end every machine of the class reaches exactly: shapes are
//! chosen so that blocks, panels, strips and lanes are filled, left over and crossed.

use crate::data::MemorySource;
use crate::exact::isa::{Isa, MissingIsa};
use crate::{
    AdamWConfig, Control, Engine, EngineError, InnerPlan, LlamaEngine, ModelConfig, MuonConfig,
    NewEngineError, initial_params,
};
use archipel_protocol::random::Stream;

/// The class that plans and headers name.
pub const NUMERICS_CLASS: &str = "cpu-fma-1";

/// The root of the canonical run in this class.
pub const FINGERPRINT: [u8; 32] =
    bytes(b"fd0d66e5fb59fad472bc053075acfb3bd1e4a11e1df9599e76c384cfe6a30f76");

/// Why a machine is not of the class.
#[derive(Debug, thiserror::Error)]
pub enum NumericsError {
    /// The canonical run could not be made.
    #[error(transparent)]
    New(#[from] NewEngineError),
    /// The canonical run stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The instructions asked for are not there.
    #[error(transparent)]
    Isa(#[from] MissingIsa),
    /// No instruction set reaches the class's root.
    #[error(
        "expected the fingerprint {} of class {NUMERICS_CLASS}, found {} even without vector \
         instructions: this machine or this build computes other bits, so nobody could replay its \
         training; build again with a stable toolchain, or take another machine",
        hex(&FINGERPRINT),
        hex(found)
    )]
    OtherBits {
        /// The root found.
        found: [u8; 32],
    },
}

/// How a machine was found to be of the class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The instructions in use from now on.
    pub isa: Isa,
    /// Wider instructions that gave other bits, with the root found: they are not used.
    pub refused: Vec<(Isa, [u8; 32])>,
}

/// Proves that this process computes in [`NUMERICS_CLASS`], with the widest instructions that do.
///
/// # Errors
/// Where not even the definitions alone reach the class's root.
pub fn prove(threads: usize) -> Result<Proof, NumericsError> {
    let mut refused = Vec::new();
    for isa in Isa::ALL
        .into_iter()
        .rev()
        .filter(|isa| *isa <= Isa::widest())
    {
        isa.choose()?;
        let found = fingerprint(threads)?;
        if found == FINGERPRINT {
            return Ok(Proof { isa, refused });
        }
        if isa == Isa::Scalar {
            return Err(NumericsError::OtherBits { found });
        }
        refused.push((isa, found));
    }
    unreachable!("every machine has the narrowest instructions")
}

/// The root of the canonical run, with the instructions in use.
///
/// # Errors
/// Where threads cannot be started.
pub fn fingerprint(threads: usize) -> Result<[u8; 32], NumericsError> {
    let config = ModelConfig {
        vocabulary: 77,
        d_model: 40,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        ffn: 264,
        context: 37,
        tied: true,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
    };
    let mut stream = Stream::new([0xa7; 32]);
    let tokens = (0..2048).map(|_| stream.below(77) as u8).collect();
    let mut engine = LlamaEngine::new(&config, threads)?;
    engine.load(&initial_params(&config, [0x5e; 32]).map_err(NewEngineError::from)?)?;
    let data = MemorySource::new(tokens);
    engine.train(&plan(), &data, &mut |_| Control::Continue)?;
    Ok(engine.state_hash())
}

/// Four steps of a micro-batch of eight windows, which crosses a block of rows, and one of three.
fn plan() -> InnerPlan {
    InnerPlan {
        from_step: 0,
        to_step: 4,
        segment_steps: 4,
        batch_sequences: 11,
        micro_batch: 8,
        schedule_offset: 1,
        optimizer: AdamWConfig {
            lr: 2e-2,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: 0.5,
            warmup_steps: 3,
            total_steps: 9,
            min_lr_ratio: 0.1,
            sgd: false,
            rewarm_steps: 0,
            muon: Some(MuonConfig {
                lr: 2e-2,
                momentum: 0.95,
                iterations: 5,
            }),
        },
        batch_key: [0x3c; 32],
        mixture: Vec::new(),
    }
}

const fn bytes(hex: &[u8; 64]) -> [u8; 32] {
    const fn digit(character: u8) -> u8 {
        match character {
            b'0'..=b'9' => character - b'0',
            _ => character - b'a' + 10,
        }
    }
    let (mut bytes, mut at) = ([0; 32], 0);
    while at < 32 {
        bytes[at] = digit(hex[2 * at]) * 16 + digit(hex[2 * at + 1]);
        at += 1;
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_this_machine_has_the_fingerprint_of_the_class() {
        for isa in Isa::ALL.into_iter().filter(|isa| *isa <= Isa::widest()) {
            isa.choose().expect("the machine has it");
            for threads in [1, 2, 3, 8] {
                let found = hex(&fingerprint(threads).expect("the run ends"));
                let name = isa.name();
                assert_eq!(found, hex(&FINGERPRINT), "{name}, {threads} threads");
            }
        }
        let proof = prove(1).expect("of the class");
        assert_eq!((proof.isa, proof.refused), (Isa::widest(), Vec::new()));
    }

    #[test]
    fn instructions_that_are_not_there_are_refused() {
        let Some(wider) = Isa::ALL.into_iter().find(|isa| *isa > Isa::widest()) else {
            return;
        };
        let message = wider.choose().expect_err("not there").to_string();
        assert!(message.contains("this machine has no"), "{message}");
    }
}
