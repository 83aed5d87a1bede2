//! The bodies of records, field by field in the order they are hashed.

use super::Kind;
use crate::{
    crypto::Signature,
    encoding::Canonical,
    ids::{BlobHash, Digest, MemberId, Root},
    message::{Certificate, Evidence, FinalBlock, Header, StateCertificate},
    suspicion::Sight,
};

/// Why nothing was done in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AbsentReason {
    /// The member was not running.
    Down = 1,
    /// It was catching up.
    Synced = 2,
    /// It had no vote.
    Suspended = 3,
    /// It was running, and its update was not ready.
    Late = 4,
}

/// A body that may say that nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done<T> {
    /// What was done.
    Yes(T),
    /// Why nothing was.
    Absent(AbsentReason),
}

/// Inner steps done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkBody {
    /// The header that claims them: steps, tokens, loss, base, work root.
    pub header: Header,
    /// Floating-point operations, estimated by the engine.
    pub flop: u128,
    /// Kind of device, for example `cpu`.
    pub device: String,
    /// SHA-256 of the software; zero where it is not known.
    pub software: Digest,
}

/// The update made of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateBody {
    /// Identity of the header.
    pub id: Digest,
    /// The header: codec, lengths, hashes.
    pub header: Header,
    /// The member's signature under it.
    pub signature: Signature,
}

/// What was thought of one update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Fetched, checked and held.
    Accepted = 1,
    /// Announced, and not to be had before the round was final.
    Unavailable = 2,
    /// Its payload is not valid.
    Invalid = 3,
    /// Its member announced two.
    Equivocated = 4,
}

/// One update received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeEntry {
    /// Whose.
    pub member: MemberId,
    /// Identity of its header.
    pub id: Digest,
    /// What was thought of it.
    pub verdict: Verdict,
    /// How it looks beside the others of its cut; none where it is in none.
    pub sight: Option<Sight>,
}

/// The updates received, and who said that they hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeBody {
    /// By member, then identity.
    pub entries: Vec<IntakeEntry>,
    /// Signed holds: member, positions in `entries`, signature.
    pub holds: Vec<(MemberId, Vec<u16>, Signature)>,
}

/// The fold and its certified result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitBody {
    /// True where this member folded; false where it took the state from others.
    pub folded: bool,
    /// Identity of the rule.
    pub rule: u8,
    /// Identity of the cut.
    pub cut: Digest,
    /// Identities of the headers, ascending.
    pub headers: Vec<Digest>,
    /// What finalized the block.
    pub finalization: Certificate,
    /// The weight of every update, in member order; 0 where nothing was folded.
    pub weights: Vec<u64>,
    /// Hash of the aggregate.
    pub aggregate: BlobHash,
    /// Hash over the tensors of the outer optimizer's memory.
    pub outer: Digest,
    /// Hash over the tensors of the rule's memory.
    pub memory: Digest,
    /// The new root.
    pub root: Root,
    /// What certifies it.
    pub certificate: StateCertificate,
    /// Size of the side log.
    pub side_size: u64,
    /// RFC 6962 tree head of the side log.
    pub side_root: Digest,
}

/// The body of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a body is written at once and never kept"
)]
pub enum Body {
    /// See [`WorkBody`].
    Work(Done<WorkBody>),
    /// See [`UpdateBody`].
    Update(Done<Box<UpdateBody>>),
    /// See [`IntakeBody`].
    Intake(Done<IntakeBody>),
    /// See [`CommitBody`].
    Commit(Done<Box<CommitBody>>),
    /// The beginning: software and first state.
    Genesis {
        /// Version of the software.
        software: String,
        /// The root of the first state this member held.
        root: Root,
    },
    /// A change of membership, by the block that carries it.
    Epoch(Box<FinalBlock>),
    /// What went wrong.
    Incident {
        /// Its kind.
        kind: String,
        /// What happened.
        text: String,
    },
    /// A proof of misbehaviour.
    Evidence(Box<Evidence>),
    /// The end of the run.
    End {
        /// The last root.
        root: Root,
    },
}

impl Body {
    /// Which kind of record it makes.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Work(_) => Kind::Work,
            Self::Update(_) => Kind::Update,
            Self::Intake(_) => Kind::Intake,
            Self::Commit(_) => Kind::Commit,
            Self::Genesis { .. } => Kind::Genesis,
            Self::Epoch(_) => Kind::Epoch,
            Self::Incident { .. } => Kind::Incident,
            Self::Evidence(_) => Kind::Evidence,
            Self::End { .. } => Kind::End,
        }
    }

    pub(super) fn write(&self, out: &mut Canonical) {
        match self {
            Self::Work(done) => done.write(out, write_work),
            Self::Update(done) => done.write(out, |body, out| write_update(body, out)),
            Self::Intake(done) => done.write(out, write_intake),
            Self::Commit(done) => done.write(out, |body, out| write_commit(body, out)),
            Self::Genesis { software, root } => {
                out.text(software).raw(&root.0);
            }
            Self::Epoch(block) => {
                out.bytes(&crate::encoding::encode(block));
            }
            Self::Incident { kind, text } => {
                out.text(kind).text(text);
            }
            Self::Evidence(evidence) => {
                out.bytes(&crate::encoding::encode(evidence));
            }
            Self::End { root } => {
                out.raw(&root.0);
            }
        }
    }
}

impl<T> Done<T> {
    fn write(&self, out: &mut Canonical, write: impl Fn(&T, &mut Canonical)) {
        match self {
            Self::Absent(reason) => {
                out.u8(0).u8(*reason as u8);
            }
            Self::Yes(body) => {
                out.u8(1);
                write(body, out);
            }
        }
    }
}

fn write_work(body: &WorkBody, out: &mut Canonical) {
    let header = &body.header;
    out.u64(header.steps)
        .u64(header.tokens)
        .i64(header.loss_micro)
        .u128(body.flop);
    // Energy in millijoules and how it is known: 0 stands for "not known".
    out.u64(0).u8(0);
    out.text(&body.device)
        .text(&header.numerics)
        .raw(&body.software.0);
    out.raw(&header.base.0).raw(&header.work_root.0);
}

fn write_update(body: &UpdateBody, out: &mut Canonical) {
    let header = &body.header;
    out.raw(&body.id.0)
        .u32(header.epoch.0)
        .u8(header.codec)
        .u64(header.payload_bytes);
    out.raw(&header.payload.0).raw(&header.base.0);
    out.raw(&header.residual_before.0)
        .raw(&header.residual_after.0);
    out.raw(&header.optimizer_before.0)
        .raw(&header.optimizer_after.0);
    out.u32(header.carried)
        .raw(&header.nonce_commitment.0)
        .raw(&body.signature.0);
}

fn write_intake(body: &IntakeBody, out: &mut Canonical) {
    out.u16(body.entries.len() as u16);
    for entry in &body.entries {
        out.raw(&entry.member.0)
            .raw(&entry.id.0)
            .u8(entry.verdict as u8);
        optional(entry.sight, out, |sight, out| {
            optional(sight.cosine, out, |cosine, out| _ = out.i64(cosine));
            out.u64(sight.norm_ratio);
            optional(sight.overlap, out, |overlap, out| _ = out.u64(overlap));
        });
    }
    out.u16(body.holds.len() as u16);
    for (member, positions, signature) in &body.holds {
        out.raw(&member.0).u16(positions.len() as u16);
        for position in positions {
            out.u16(*position);
        }
        out.raw(&signature.0);
    }
}

/// A zero, or a one and the value.
fn optional<T>(value: Option<T>, out: &mut Canonical, write: impl Fn(T, &mut Canonical)) {
    out.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, out);
    }
}

fn write_commit(body: &CommitBody, out: &mut Canonical) {
    out.u8(u8::from(body.folded)).u8(body.rule).raw(&body.cut.0);
    out.u16(body.headers.len() as u16);
    for id in &body.headers {
        out.raw(&id.0);
    }
    let ballot = &body.finalization.ballot;
    out.u32(ballot.epoch.0)
        .u32(ballot.view.0)
        .raw(&ballot.digest.0);
    out.u16(body.finalization.seals.len() as u16);
    for seal in &body.finalization.seals {
        out.u16(seal.voter).raw(&seal.signature.0);
    }
    out.u16(body.weights.len() as u16);
    for weight in &body.weights {
        out.u64(*weight);
    }
    out.raw(&body.aggregate.0)
        .raw(&body.outer.0)
        .raw(&body.memory.0)
        .raw(&body.root.0);
    out.u32(body.certificate.epoch.0)
        .u16(body.certificate.seals.len() as u16);
    for seal in &body.certificate.seals {
        out.u16(seal.voter).u32(seal.attempt).raw(&seal.signature.0);
    }
    out.u64(body.side_size).raw(&body.side_root.0);
}
