//! The fields of the inner optimizer and of the outer step.

use super::{ABOVE_0, BELOW_1, MOST, Range, Table, Times, field, optional};

pub(super) const INNER: Table = Table {
    path: "charter.plan.inner",
    about: "The optimizer that each member runs on its own data, and how long it runs in a round.",
    times: Times::Once,
    fields: &[
        field(
            "optimizer",
            "The optimizer.",
            "",
            Range::Words(&[
                ("adamw", "Adam with decoupled weight decay"),
                (
                    "muon",
                    "orthogonal momentum for hidden matrices, adamw for the rest; needs the table \
                     charter.plan.inner.muon",
                ),
                ("sgd", "the gradient times the rate, without moments"),
            ]),
            "",
        ),
        field(
            "lr",
            "Learning rate at its peak.",
            "",
            Range::Decimal(ABOVE_0, "1"),
            "Smaller for larger models; if losses jump or are not finite, halve it.",
        ),
        field(
            "beta1",
            "Decay of the first moment.",
            "",
            Range::Decimal("0", BELOW_1),
            "",
        ),
        field(
            "beta2",
            "Decay of the second moment.",
            "",
            Range::Decimal("0", BELOW_1),
            "",
        ),
        field(
            "epsilon",
            "Added to the root of the second moment.",
            "",
            Range::Decimal(ABOVE_0, "1"),
            "",
        ),
        field(
            "weight_decay",
            "Decoupled weight decay.",
            "",
            Range::Decimal("0", "1"),
            "",
        ),
        field(
            "clip_norm",
            "Largest norm of a gradient; a longer one is cut to it.",
            "",
            Range::Decimal(ABOVE_0, "1000000"),
            "",
        ),
        field(
            "warmup_steps",
            "Steps over which the learning rate rises to its peak.",
            "steps",
            Range::Said("0 to total_steps"),
            "Usually a twentieth of total_steps.",
        ),
        field(
            "total_steps",
            "Steps after which the learning rate is at its floor.",
            "steps",
            Range::Whole(1, MOST),
            "rounds · steps, unless the run is to be prolonged.",
        ),
        field(
            "min_lr_ratio",
            "That floor, as a share of lr.",
            "",
            Range::Decimal("0", "1"),
            "",
        ),
        field(
            "batch_sequences",
            "Sequences that a step trains on.",
            "sequences",
            Range::Whole(1, 65_536),
            "A multiple of micro_batch.",
        ),
        field(
            "micro_batch",
            "Sequences computed at once.",
            "sequences",
            Range::Said("1 to batch_sequences, and divides it"),
            "Fewer need less memory, and take a little longer.",
        ),
        field(
            "steps",
            "Steps that a member takes in a round (H).",
            "steps",
            Range::Whole(1, 1_000_000),
            "More make exchanges rarer, and members drift further apart between them.",
        ),
        optional(
            "steps_by_speed",
            "Whether a member that is slower than the fastest takes fewer steps, in proportion.",
            "",
            Range::Switch,
            (
                "Absent, it is false. Not with outer.delay, outer.alpha or outer.fragments.",
                "false",
            ),
        ),
        optional(
            "reset_optimizer",
            "Whether every round begins with a fresh optimizer, so that its work can be checked \
             without the rounds before.",
            "",
            Range::Switch,
            ("Absent, it is false.", "false"),
        ),
        optional(
            "rewarm_steps",
            "Steps at the beginning of every round over which the learning rate rises to its \
             schedule.",
            "steps",
            Range::Said("0, which is none, to steps"),
            ("Absent, it is 0. Goes with reset_optimizer.", "0"),
        ),
        field(
            "segment_steps",
            "Steps from one snapshot to the next (J): what a crash costs at the most.",
            "steps",
            Range::Said("1 to steps"),
            "",
        ),
    ],
};

pub(super) const MUON: Table = Table {
    path: "charter.plan.inner.muon",
    about: "Settings of optimizer = \"muon\"; absent with every other. The schedule, weight decay \
            and clipping are those of charter.plan.inner.",
    times: Times::AtMostOnce,
    fields: &[
        optional(
            "lr",
            "Learning rate of the hidden matrices at its peak.",
            "",
            Range::Decimal(ABOVE_0, "1"),
            ("", "\"0.02\""),
        ),
        optional(
            "momentum",
            "Decay of the momentum.",
            "",
            Range::Decimal("0", BELOW_1),
            ("", "\"0.95\""),
        ),
        optional(
            "steps",
            "Newton–Schulz iterations that make a step orthogonal.",
            "iterations",
            Range::Whole(1, 10),
            ("", "5"),
        ),
    ],
};

pub(super) const OUTER: Table = Table {
    path: "charter.plan.outer",
    about: "How the aggregate of a round becomes the next state (docs/outer-rules.md).",
    times: Times::Once,
    fields: &[
        field(
            "rule",
            "The rule.",
            "",
            Range::Words(&[
                ("nesterov", "Nesterov momentum, as in DiLoCo"),
                ("plain", "a step without momentum, as in SparseLoCo"),
                (
                    "delayed-nesterov",
                    "momentum acts in every period-th turn alone, and gathers between",
                ),
                ("sign", "one length in every coordinate, as in DeMo"),
            ]),
            "",
        ),
        field(
            "lr",
            "Outer learning rate.",
            "",
            Range::Decimal(ABOVE_0, "10"),
            "\"1\" with plain.",
        ),
        optional(
            "momentum",
            "Momentum of nesterov and delayed-nesterov.",
            "",
            Range::Decimal("0", BELOW_1),
            (
                "Absent, it is \"0\", as it has to be with the other rules. \"0.9\" pays after \
                 more than twenty rounds.",
                "\"0\"",
            ),
        ),
        optional(
            "period",
            "Turns of delayed-nesterov from one use of its momentum to the next, by which a \
             single turn's aggregate is divided (N).",
            "turns",
            Range::Whole(1, 1024),
            (
                "Absent, it is 1, as it has to be with the other rules.",
                "1",
            ),
        ),
        optional(
            "fragments",
            "Parts of the model that are exchanged in turn, one a round.",
            "parts",
            Range::Whole(1, 12),
            (
                "Absent, it is 1. More make updates smaller by as much.",
                "1",
            ),
        ),
        optional(
            "delay",
            "Steps that a member trains on while the exchange is in flight.",
            "steps",
            Range::Said("0 to inner.steps - 1"),
            ("Absent, it is 0. Raise it where exchanges take long.", "0"),
        ),
        optional(
            "alpha",
            "Share of a member's own parameters that stays when the result is applied.",
            "",
            Range::Decimal("0", "1"),
            ("Absent, it is \"0\".", "\"0\""),
        ),
    ],
};
