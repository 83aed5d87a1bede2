//! What workers tell the machine's loop.

use archipel_protocol::{
    ids::{BlobHash, Round},
    member::Input,
};

/// Something that a worker did.
#[derive(Debug)]
pub(super) enum Arrival {
    /// An input for the member.
    Input(Input),
    /// The fetch of a payload ended; the input says how.
    Fetched(BlobHash, Input),
    /// Inner steps went by.
    Progress {
        round: Round,
        step: u64,
        steps: u64,
        loss_nats: f64,
    },
    /// Training is over and the update is being encoded.
    Encoding(Round),
    /// A round cannot be trained, and no later one by this process.
    TrainingFailed { round: Round, reason: String },
    /// A state was evaluated.
    Evaluated { round: Round, bits_per_byte: f64 },
    /// Something that an operator should know; the node goes on.
    Remark { kind: &'static str, text: String },
    /// The disk failed, or this program is wrong: the node must stop.
    Fatal(anyhow::Error),
}
