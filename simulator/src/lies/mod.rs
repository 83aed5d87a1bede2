//! Members that lie, each lie in a file named for it.
//!
//! A liar's machine is the honest one; the lie changes what passes between it and the world. It
//! keeps its own key and signs what it says with it, so that its statements stand up to every check
//! of form, unless the lie is about just that. The module of each lie says what it does, what
//! honest members notice, and what a run with no more liars than the fault model bears still does.
//!
//! In all of them no invariant may break, the honest members go through all rounds, and they end on
//! one root.

mod alie;
mod constant;
mod copy_cat;
mod crowd;
mod decompression_bomb;
mod delayed;
mod equivocate_update;
mod equivocate_vote;
mod false_witness;
mod free_rider;
mod free_rider_previous;
mod ipm;
mod label_permutation;
mod late;
mod lazy;
mod mimic;
mod min_max;
mod nan;
mod noise;
mod oversize;
mod replay_old_round;
mod retold;
mod scale;
mod sign_flip;
mod silent_proposer;
mod stale_base;
mod unknown_key;
mod withhold;
mod withhold_nonce;
mod wrong_codec;

use crate::deviation::Deviation;

/// The names of all lies that can be told. `equivocate-log` is none of them: members send each
/// other no checkpoints of their logs, so there is nobody in a run who could see two of them.
pub const NAMES: &[&str] = &[
    "equivocate-update",
    "equivocate-vote",
    "withhold",
    "withhold-nonce",
    "silent-proposer",
    "late",
    "nan",
    "scale",
    "sign-flip",
    "stale-base",
    "wrong-codec",
    "oversize",
    "decompression-bomb",
    "replay-old-round",
    "copy-cat",
    "free-rider",
    "lazy",
    "false-witness",
    "unknown-key",
    "noise",
    "constant",
    "delayed",
    "alie",
    "ipm",
    "min-max",
    "mimic",
    "free-rider-previous",
    "label-permutation",
];

/// A lie by its name in scenarios.
pub fn lie(name: &str) -> Option<Box<dyn Deviation>> {
    Some(match name {
        "equivocate-update" => Box::new(equivocate_update::EquivocateUpdate::default()),
        "equivocate-vote" => Box::new(equivocate_vote::EquivocateVote::default()),
        "withhold" => Box::new(withhold::Withhold),
        "withhold-nonce" => Box::new(withhold_nonce::WithholdNonce),
        "silent-proposer" => Box::new(silent_proposer::SilentProposer),
        "late" => Box::new(late::Late),
        "nan" => Box::new(nan::Nan),
        "scale" => Box::new(scale::Scale),
        "sign-flip" => Box::new(sign_flip::SignFlip),
        "stale-base" => Box::new(stale_base::StaleBase::default()),
        "wrong-codec" => Box::new(wrong_codec::WrongCodec),
        "oversize" => Box::new(oversize::Oversize),
        "decompression-bomb" => Box::new(decompression_bomb::DecompressionBomb),
        "replay-old-round" => Box::new(replay_old_round::ReplayOldRound::default()),
        "copy-cat" => Box::new(copy_cat::CopyCat::default()),
        "free-rider" => Box::new(free_rider::FreeRider),
        "lazy" => Box::new(lazy::Lazy::default()),
        "false-witness" => Box::new(false_witness::FalseWitness::default()),
        "unknown-key" => Box::new(unknown_key::UnknownKey),
        "noise" => Box::new(noise::Gaussian),
        "constant" => Box::new(constant::Constant),
        "delayed" => Box::new(delayed::Delayed::default()),
        "alie" => Box::new(alie::Alie),
        "ipm" => Box::new(ipm::Ipm),
        "min-max" => Box::new(min_max::MinMax),
        "mimic" => Box::new(mimic::Mimic),
        "free-rider-previous" => Box::new(free_rider_previous::FreeRiderPrevious::default()),
        "label-permutation" => Box::new(label_permutation::LabelPermutation),
        _ => return None,
    })
}
