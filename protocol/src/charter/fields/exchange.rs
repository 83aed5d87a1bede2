//! The fields of what is sent, and of how long members wait.

use super::{ABOVE_0, MOST, Range, Table, Times, field, optional};

/// A day in milliseconds.
const DAY: u64 = 86_400_000;

pub(super) const EXCHANGE: Table = Table {
    path: "charter.plan.exchange",
    about: "What members send, and how the updates of a round become one.",
    times: Times::Once,
    fields: &[
        field(
            "codec",
            "How an update is encoded.",
            "",
            Range::Words(&[
                ("f32", "every value as it is: 4 bytes each"),
                ("bf16", "the high half of every value: 2 bytes"),
                ("int8", "1 byte a value, a scale for each 256"),
                ("int4", "half a byte a value, a scale for each 128"),
                (
                    "topk-2bit",
                    "the largest `keep` of each `chunk`, in 2 bits and their place; wants \
                     error_feedback",
                ),
                (
                    "demo",
                    "the same of a cosine transform; wants error_feedback",
                ),
            ]),
            "",
        ),
        optional(
            "chunk",
            "Values of a chunk of topk-2bit or demo.",
            "values",
            Range::Said("16, 64, 256, 1024, 4096, and for topk-2bit 16384 and 65536"),
            ("Absent, it is 4096.", "4096"),
        ),
        optional(
            "keep",
            "Values that topk-2bit or demo keeps of a chunk.",
            "values",
            Range::Said("1 to chunk"),
            ("Absent, it is 64. More make updates larger.", "64"),
        ),
        optional(
            "error_feedback",
            "Share of what an update left out that is added to the next one.",
            "",
            Range::Decimal(ABOVE_0, "1"),
            (
                "Absent, there is none. \"0.95\" with topk-2bit.",
                "\"0.95\"",
            ),
        ),
        optional(
            "max_carried",
            "Missed cuts in a row whose update stays with what was left out.",
            "cuts",
            Range::Whole(0, 16),
            ("Absent, it is 1.", "1"),
        ),
        field(
            "rule",
            "How updates become one aggregate.",
            "",
            Range::Words(&[
                ("mean", "the mean, weighted by tokens"),
                ("mean_of_senders", "of topk-2bit, over who lists a value"),
                (
                    "trimmed_mean",
                    "without the smallest and largest of each value",
                ),
                ("median", "the lower median of each value"),
                ("krum", "the update nearest to its neighbours"),
                ("multi_krum", "the mean of those nearest to theirs"),
                (
                    "geometric_median",
                    "the point with the least sum of distances",
                ),
                (
                    "centered_clip",
                    "clipped around the last aggregate, which every state then holds",
                ),
            ]),
            "mean where members trust each other's training; the others bear lies at a price.",
        ),
        optional(
            "clip_iterations",
            "Iterations of centered_clip.",
            "iterations",
            Range::Whole(1, 16),
            ("Absent, it is 3.", "3"),
        ),
        optional(
            "assumed_liars",
            "Liars that trimmed_mean, krum and multi_krum bear in a cut (f).",
            "members",
            Range::Said("1 or more with these, as many as minimum_updates lets them bear; else 0"),
            ("Absent, it is 0.", "0"),
        ),
        optional(
            "multi_krum_keep",
            "Updates that multi_krum averages.",
            "updates",
            Range::Said("1 to minimum_updates - assumed_liars - 2 with it; else 0"),
            ("Absent, it is 0.", "0"),
        ),
        optional(
            "clip_to_median_norm",
            "Whether updates longer than the median are cut to it before the rule.",
            "",
            Range::Switch,
            ("Absent, it is false. centered_clip always does.", "false"),
        ),
        optional(
            "weight_cap",
            "Largest share of one member in mean and mean_of_senders.",
            "",
            Range::Said("\"0.25\" among four, say: 1 / voting members, to \"1\", which is no cap"),
            (
                "Absent, it is \"1\". Lower it so that nobody outweighs the others by tokens.",
                "\"1\"",
            ),
        ),
        field(
            "max_abs",
            "Largest absolute value in an update; one with a larger is refused.",
            "",
            Range::Decimal(ABOVE_0, "1000000000"),
            "",
        ),
        field(
            "max_norm",
            "Largest Euclidean norm of an update; a longer one is refused.",
            "",
            Range::Decimal(ABOVE_0, "9000000000"),
            "",
        ),
        field(
            "max_payload_bytes",
            "Most bytes of an encoded update.",
            "bytes",
            Range::Whole(1, MOST),
            "No fewer than the codec needs for this model: `archipel charter show` says how many.",
        ),
        field(
            "minimum_updates",
            "Fewest updates with which a round may close at its deadline.",
            "updates",
            Range::Said("1 to the quorum"),
            "More wait longer, for a better mean.",
        ),
        field(
            "base_rule",
            "Which state an update must start from.",
            "",
            Range::Words(&[("current", "the certified state of its own round")]),
            "",
        ),
    ],
};

pub(super) const TIMING: Table = Table {
    path: "charter.plan.timing",
    about: "How long members wait for each other. No wall clock decides anything.",
    times: Times::Once,
    fields: &[
        field(
            "delta_ms",
            "Longest delay of one message between members.",
            "milliseconds",
            Range::Whole(1, 600_000),
            "Several times the slowest round trip. Too short: votes are repeated. Too long: a \
             silent proposer costs more.",
        ),
        field(
            "fetch_ms",
            "Allowance for fetching the updates of a round.",
            "milliseconds",
            Range::Whole(0, DAY),
            "An update's bytes · members / the slowest link.",
        ),
        field(
            "deadline_floor_ms",
            "Shortest deadline of a round.",
            "milliseconds",
            Range::Said("1 to deadline_ceiling_ms"),
            "",
        ),
        field(
            "deadline_ceiling_ms",
            "Longest deadline of a round, and the one of the first rounds.",
            "milliseconds",
            Range::Whole(1, 7 * DAY),
            "Longer than the slowest site takes for a round, or it is never counted: \
             `archipel charter show --gflops` computes it.",
        ),
        optional(
            "deadline_mad_factor",
            "How far beyond the usual arrival a deadline lies, in median absolute deviations.",
            "",
            Range::Decimal("0", "100"),
            ("Absent, it is \"3\".", "\"3\""),
        ),
        optional(
            "wait_all",
            "Whether members wait for all that are active, without a deadline.",
            "",
            Range::Switch,
            (
                "Absent, it is false. true: one that is silent stops everybody.",
                "false",
            ),
        ),
        field(
            "resend_ms",
            "Pause before an unanswered message is sent again.",
            "milliseconds",
            Range::Whole(10, 600_000),
            "",
        ),
        field(
            "hold_batch_ms",
            "How long a member gathers what it has received before it says so.",
            "milliseconds",
            Range::Said("0 to delta_ms"),
            "",
        ),
    ],
};
