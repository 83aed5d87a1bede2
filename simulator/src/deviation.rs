//! How a member differs from the protocol: a lie of one member, or a fault in everybody's program.
//!
//! A deviation stands between a member's machine and its world, and may change what passes. Lies
//! are deviations of members that are said to lie; planted bugs are deviations of members that
//! everybody, the checker included, takes to be honest.

use crate::{draws::Draws, seen::Payload};
use archipel_protocol::{
    charter::Plan,
    crypto::Signer,
    ids::{BlobHash, MemberId, Round, RunId, Timestamp},
    layout::Layout,
    member::{Durable, FoldTask, Folded, Input, Output, Settings, TrainTask, Trained},
    message::Message,
    state::Tensors,
};
use std::sync::Arc;

/// What another member learnt in a round, before anything became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Learnt {
    /// Its position in the world.
    pub index: u32,
    /// Its pseudo-gradient: without residual, not encoded.
    pub delta: Vec<f32>,
}

/// The member that deviates, as its deviation sees it.
pub struct Seat<'a> {
    /// Its position in the world.
    pub index: u32,
    /// Its key.
    pub me: MemberId,
    /// Signs as it.
    pub signer: &'a dyn Signer,
    /// The run.
    pub run_id: RunId,
    /// The keys of its federation, its own included, in order.
    pub members: &'a [MemberId],
    /// The round it is in; 0 before the first certificate.
    pub round: Round,
    /// Its clock.
    pub now: Timestamp,
    /// The plan.
    pub plan: &'a Plan,
    /// The model's layout.
    pub layout: &'a Layout,
    /// Random numbers of its own.
    pub draws: &'a mut Draws,
    /// How much it deviates, where that has a measure.
    pub strength: Option<f64>,
    /// What the honest members that have begun its round learn or have learnt in it, in the order
    /// of the federation, while [`Deviation::gradient`] of one that [sees all](Deviation::sees_all)
    /// runs; else empty.
    pub honest: &'a [Learnt],
    /// Payloads put here are kept by it, and served to who asks for their hash.
    pub store: &'a mut Vec<Arc<Payload>>,
    /// What is put here is carried out behind what the machine asks for.
    pub say: &'a mut Vec<Output>,
}

/// What a holder does when it is asked for a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// Gives it.
    Honestly,
    /// Gives other bytes.
    Corrupted,
    /// Gives nothing.
    Never,
}

/// A way to differ. Everything not overridden is as the protocol wants it.
///
/// Must be a function of what it is shown and of [`Seat::draws`], or runs cannot be replayed.
pub trait Deviation: Send {
    /// Changes the settings the machine starts with.
    fn settings(&mut self, _settings: &mut Settings) {}

    /// Changes the log that the machine starts from.
    fn restore(&mut self, _log: &mut Vec<Durable>) {}

    /// Changes what reaches the machine: what is pushed is handed over, in order.
    fn input(&mut self, _site: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        pass.push(input);
    }

    /// Changes what the machine asks for: what is pushed is carried out, in order.
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        pass.push(output);
    }

    /// By how much later a message arrives than it would, in microseconds.
    fn later_us(&mut self, _site: &mut Seat<'_>, _message: &Message) -> u64 {
        0
    }

    /// Whether it is shown what honest members learn, whatever virtual time says: the omniscient
    /// attacker of the literature.
    fn sees_all(&self) -> bool {
        false
    }

    /// Changes a pseudo-gradient before it is encoded. `base` is the state it was trained from.
    fn gradient(
        &mut self,
        _site: &mut Seat<'_>,
        _task: &TrainTask,
        _base: &Tensors,
        _delta: &mut Vec<f32>,
    ) {
    }

    /// Changes an encoded payload before it is hashed.
    fn payload(&mut self, _site: &mut Seat<'_>, _task: &TrainTask, payload: Vec<u8>) -> Vec<u8> {
        payload
    }

    /// Changes what is told of training.
    fn trained(&mut self, _site: &mut Seat<'_>, _trained: &mut Trained) {}

    /// Changes which updates are folded.
    fn fold(&mut self, _site: &mut Seat<'_>, _task: &mut FoldTask) {}

    /// Changes a fold's result. Its manifest is made from `tensors` afterwards.
    fn folded(&mut self, _site: &mut Seat<'_>, _folded: &mut Folded, _tensors: &mut Tensors) {}

    /// How it answers when another member asks for a blob.
    fn serve(&mut self, _site: &mut Seat<'_>, _blob: &BlobHash, _to: &MemberId) -> Serve {
        Serve::Honestly
    }

    /// Whether it trains towards labels that are permuted.
    fn permutes_labels(&self) -> bool {
        false
    }

    /// Whether a fetched payload is checked before it is kept.
    fn checks_payloads(&self) -> bool {
        true
    }

    /// Whether signatures are checked.
    fn checks_signatures(&self) -> bool {
        true
    }
}
