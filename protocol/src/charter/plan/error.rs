//! Why a plan is refused.

use crate::{charter::Decimal, codec::CodecError};

/// Which rule a plan breaks. Fields are named as in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A whole number is out of its range.
    #[error("plan.{field}: expected {low} to {high}, found {found}: change it")]
    Whole {
        /// The field.
        field: &'static str,
        /// Least value allowed.
        low: u64,
        /// Largest value allowed.
        high: u64,
        /// The value found.
        found: u64,
    },
    /// A decimal is out of its range.
    #[error("plan.{field}: expected \"{low}\" to \"{high}\", found \"{found}\": change it")]
    Decimal {
        /// The field.
        field: &'static str,
        /// Least value allowed.
        low: Decimal,
        /// Largest value allowed.
        high: Decimal,
        /// The value found.
        found: Decimal,
    },
    /// One number must divide another.
    #[error(
        "plan.{field}: expected a multiple of {divisor_field} ({divisor}), found {found}: \
         change one of the two"
    )]
    Multiple {
        /// The field that must be a multiple.
        field: &'static str,
        /// Its value.
        found: u32,
        /// The field that must divide it.
        divisor_field: &'static str,
        /// Its value.
        divisor: u32,
    },
    /// The width of a head is odd.
    #[error(
        "plan.model: d_model / heads gives heads of width {found}, expected an even width for \
         rotary positions: change d_model or heads"
    )]
    OddHead {
        /// The width found.
        found: u32,
    },
    /// The model is too large.
    #[error(
        "plan.model: {found} parameters, expected at most {limit}: shrink d_model, ffn, layers \
         or vocabulary"
    )]
    Parameters {
        /// Parameters found.
        found: u64,
        /// Parameters allowed.
        limit: u64,
    },
    /// A state lists more tensors than a message holds.
    #[error(
        "plan.model.layers: {tensors} tensors, {found} hashes a state with what the outer step \
         and the rule remember, expected at most {limit}, which one message holds: take fewer \
         layers, rule = \"plain\" for the outer step, or rule = \"mean\""
    )]
    Hashes {
        /// Tensors of the model.
        tensors: u64,
        /// Hashes that a state lists.
        found: u64,
        /// Hashes allowed.
        limit: u64,
    },
    /// Bytes need a vocabulary of 256.
    #[error(
        "plan.model.vocabulary: expected 256 for tokenizer = \"bytes\", found {found}: set it to \
         256, or name the tokenizer that this vocabulary belongs to"
    )]
    Vocabulary {
        /// The vocabulary found.
        found: u32,
    },
    /// The numerics class is no name.
    #[error(
        "plan.numerics_class: expected 1 to 64 characters of a-z 0-9 - _ ., found {found:?}: \
         take the name that `archipel numerics` prints"
    )]
    NumericsClass {
        /// The text found, cut after 64 characters.
        found: String,
    },
    /// Others take no settings of Muon.
    #[error(
        "plan.inner.muon: expected no such table without optimizer = \"muon\", found one: remove \
         it, or take optimizer = \"muon\""
    )]
    MuonWithoutUse,
    /// Muon needs its settings.
    #[error(
        "plan.inner.muon: expected this table with optimizer = \"muon\", found none: give lr, \
         momentum and steps, for example \"0.02\", \"0.95\" and 5"
    )]
    MuonMissing,
    /// The outer rule has no momentum.
    #[error(
        "plan.outer.momentum: this rule uses none, found \"{found}\": set it to \"0\", or \
         take rule = \"nesterov\""
    )]
    PlainMomentum {
        /// The momentum found.
        found: Decimal,
    },
    /// Only one outer rule counts turns.
    #[error(
        "plan.outer.period: expected 1 with this rule, found {found}: set it to 1, or take \
         rule = \"delayed-nesterov\""
    )]
    PeriodWithoutUse {
        /// The period found.
        found: u32,
    },
    /// Steps by speed leave no fixed moment at which members train on.
    #[error(
        "plan.inner.steps_by_speed: expected false where members train on from their own \
         parameters, found true: set it to false, or outer.delay and outer.alpha to 0 and \
         outer.fragments to 1"
    )]
    SpeedWhileCarrying,
    /// The model has fewer tensors than fragments.
    #[error(transparent)]
    Fragments(#[from] crate::fragments::FragmentsError),
    /// Nobody may have so small a share.
    #[error(
        "plan.exchange.weight_cap: expected at least 1/{voters}, since {voters} shares add up to \
         1, found \"{found}\": raise it"
    )]
    WeightCap {
        /// Voting members.
        voters: usize,
        /// The cap found.
        found: Decimal,
    },
    /// The rule does not listen to how many liars are assumed.
    #[error(
        "plan.exchange.assumed_liars: rule = \"{rule}\" takes none, found {found}: set it to 0, \
         or take trimmed_mean, krum or multi_krum, which bear as many as this says"
    )]
    LiarsWithoutUse {
        /// The rule.
        rule: &'static str,
        /// Liars found.
        found: u32,
    },
    /// A rule against liars would bear none.
    #[error(
        "plan.exchange.assumed_liars: rule = \"{rule}\" bears as many as this says, found 0, \
         which protects from nobody: say 1 or more, or take rule = \"mean\""
    )]
    NoLiars {
        /// The rule.
        rule: &'static str,
    },
    /// Only one rule keeps a number of updates.
    #[error(
        "plan.exchange.multi_krum_keep: rule = \"{rule}\" does not use it, found {found}: set it \
         to 0, or take rule = \"multi_krum\""
    )]
    KeepWithoutUse {
        /// The rule.
        rule: &'static str,
        /// The number found.
        found: u32,
    },
    /// A mean of no update.
    #[error(
        "plan.exchange.multi_krum_keep: expected 1 or more with rule = \"multi_krum\", found 0: \
         say how many updates are averaged, at most minimum_updates - assumed_liars - 2"
    )]
    NoKeep,
    /// The smallest cut is too small for the rule.
    #[error(
        "plan.exchange.minimum_updates: rule = \"{rule}\" with assumed_liars = {liars} needs \
         {needed} updates to bear its liars, and a cut may have {found}: {}, or take \
         rule = \"centered_clip\"",
        if *needed <= *quorum as u64 {
            "raise it, or assume fewer liars or keep fewer updates"
        } else {
            "it cannot be raised above the quorum, so admit more members, assume fewer liars or \
             keep fewer updates"
        }
    )]
    RuleMinimum {
        /// The rule.
        rule: &'static str,
        /// Liars that are assumed.
        liars: u32,
        /// Updates the rule needs.
        needed: u64,
        /// The quorum, above which a minimum cannot be.
        quorum: usize,
        /// The minimum found.
        found: u32,
    },
    /// A rule that looks at one coordinate meets updates with coordinates of their own.
    #[error(
        "plan.exchange.rule: \"{rule}\" with codec = \"{codec}\": each member keeps other \
         coordinates, so most values of a coordinate are the zeros of those that left it out, and \
         the aggregate is about zero everywhere: take rule = \"centered_clip\" or \
         \"geometric_median\", or a codec that sends every value, such as int8"
    )]
    DisjointCoordinates {
        /// The rule.
        rule: &'static str,
        /// The codec.
        codec: &'static str,
    },
    /// A rule that trusts near neighbours meets updates that have none.
    #[error(
        "plan.exchange.rule: \"{rule}\" with codec = \"{codec}\": each member keeps other \
         coordinates, so an update of zeros is nearer to every member than they are to each \
         other, and whoever sends nothing is chosen: take rule = \"centered_clip\" or \
         \"geometric_median\", or a codec that sends every value, such as int8"
    )]
    DisjointNeighbours {
        /// The rule.
        rule: &'static str,
        /// The codec.
        codec: &'static str,
    },
    /// Every member is a sender.
    #[error(
        "plan.exchange.rule: \"mean_of_senders\" with codec = \"{codec}\": every member sends \
         every value, so this is the mean: take rule = \"mean\", or codec = \"topk-2bit\""
    )]
    SendersOfAll {
        /// The codec.
        codec: &'static str,
    },
    /// A chunk has no square shape.
    #[error(
        "plan.exchange.chunk: expected a power of four from 16 to 65536, found {found}: take \
         4096, or the one nearest to yours"
    )]
    Chunk {
        /// The size found.
        found: u32,
    },
    /// The limit of a payload is below what the codec makes.
    #[error(
        "plan.exchange.max_payload_bytes: this model and codec need at least {needed} bytes, \
         found {found}: raise it, or take a smaller codec"
    )]
    Payload {
        /// Bytes of a payload that keeps all it may.
        needed: u64,
        /// The limit found.
        found: u64,
    },
    /// The trainer lays out another number of parameters than the plan counts.
    #[error(
        "plan.model: {expected} parameters, but the trainer's layout has {found}: this version \
         builds another model than the plan was written for"
    )]
    Layout {
        /// Parameters of the plan.
        expected: u64,
        /// Parameters of the layout.
        found: u64,
    },
    /// The codec cannot encode this layout.
    #[error("plan.exchange: {0}")]
    Codec(#[from] CodecError),
    /// A cut would need more updates than a quorum.
    #[error(
        "plan.exchange.minimum_updates: expected 1 to the quorum ({quorum} of {voters} voting \
         members), found {found}: lower it, or a round could wait for ever"
    )]
    MinimumUpdates {
        /// The quorum.
        quorum: usize,
        /// Voting members.
        voters: usize,
        /// The minimum found.
        found: u32,
    },
    /// More manifests than are allowed.
    #[error("plan.data.manifests: expected at most {limit}, found {found}: merge some")]
    Manifests {
        /// Manifests allowed.
        limit: usize,
        /// Manifests found.
        found: usize,
    },
    /// One manifest is listed twice for one member.
    #[error("plan.data.manifests: entry {index} repeats an earlier one: remove it")]
    RepeatedManifest {
        /// Position in the list, from 0.
        index: usize,
    },
    /// More sectors in the mixture than are allowed.
    #[error("plan.data.mixture: expected at most {limit} sectors, found {found}: merge some")]
    Mixture {
        /// Sectors allowed.
        limit: usize,
        /// Sectors found.
        found: usize,
    },
    /// A sector has no name.
    #[error(
        "plan.data.mixture: entry {index} (from 0): expected a sector of 1 to 64 characters of \
         a-z 0-9 - _ ., found {found:?}: rename it as the data manifests do"
    )]
    Sector {
        /// Position in the list, from 0.
        index: usize,
        /// The text found, cut after 64 characters.
        found: String,
    },
    /// The mixture is not sorted, or has a sector twice.
    #[error(
        "plan.data.mixture: entry {index} (from 0): expected a sector after {before:?} in the \
         order of bytes, found {found:?}: sort the entries, and give each sector once"
    )]
    MixtureOrder {
        /// Position in the list, from 0.
        index: usize,
        /// The sector before it.
        before: String,
        /// The sector found.
        found: String,
    },
    /// A length without held-out bytes, or the reverse.
    #[error(
        "plan.data: holdout and holdout_bytes come together, found holdout {} and holdout_bytes \
         = {bytes}: give both, or neither",
        if *.present { "present" } else { "absent" }
    )]
    Holdout {
        /// Whether there is a hash.
        present: bool,
        /// The length found.
        bytes: u64,
    },
}
