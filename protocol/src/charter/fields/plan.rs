//! The plan's own fields, the model's and the data's.

use super::{ABOVE_0, MOST, Range, Table, Times, field, optional};

pub(super) const PLAN: Table = Table {
    path: "charter.plan",
    about: "What is trained and how. Decimals stand in quotes and without exponent, \"0.003\" \
            say: all machines read the same number.",
    times: Times::Once,
    fields: &[
        field(
            "rounds",
            "Rounds after which the run ends.",
            "rounds",
            Range::Whole(1, MOST),
            "If you change it, set inner.total_steps to rounds · inner.steps, so that the \
             learning rate's schedule ends with the run.",
        ),
        field(
            "numerics_class",
            "Class of arithmetic in which all members train, bit for bit.",
            "",
            Range::Said("1 to 64 characters of a-z, 0-9, dash, underscore and dot"),
            "`archipel numerics` says which one a program has.",
        ),
        field(
            "tokenizer",
            "How text becomes tokens.",
            "",
            Range::Said(
                "\"bytes\", or { hf = \"HASH\" } with the BLAKE3 of a Hugging Face tokenizer.json \
                 that every site has a copy of",
            ),
            "All data is prepared with it; set model.vocabulary to the tokens that it has.",
        ),
    ],
};

pub(super) const MODEL: Table = Table {
    path: "charter.plan.model",
    about: "The shape of the model, a decoder as Llama is. It fixes what a member needs in \
            memory, on disk and in time: `archipel charter show` computes it.",
    times: Times::Once,
    fields: &[
        field(
            "vocabulary",
            "Different tokens.",
            "tokens",
            Range::Whole(1, 1 << 20),
            "256 if tokenizer = \"bytes\".",
        ),
        field(
            "d_model",
            "Width of the residual stream.",
            "values",
            Range::Whole(1, 1 << 20),
            "A multiple of heads.",
        ),
        field(
            "layers",
            "Blocks of attention and feed-forward.",
            "blocks",
            Range::Whole(1, 1024),
            "Fewer where a state would list more than 1024 tensors: nine a block, twice with an \
             outer momentum or centered_clip, three times with both.",
        ),
        field(
            "heads",
            "Attention heads.",
            "heads",
            Range::Whole(1, 1 << 20),
            "Divides d_model into heads of even width.",
        ),
        field(
            "kv_heads",
            "Heads of keys and values, which attention heads share.",
            "heads",
            Range::Whole(1, 1 << 20),
            "Divides heads. Fewer save memory when text is generated.",
        ),
        field(
            "ffn",
            "Inner width of the feed-forward (SwiGLU).",
            "values",
            Range::Whole(1, 1 << 20),
            "Usually 2.7 · d_model.",
        ),
        field(
            "context",
            "Tokens of a window: how far back the model looks.",
            "tokens",
            Range::Whole(1, 1 << 20),
            "Documents of a site's data have to be longer on the whole.",
        ),
        field(
            "tied",
            "Whether the head uses the embedding's weights.",
            "",
            Range::Switch,
            "true saves vocabulary · d_model parameters.",
        ),
        field(
            "rope_base",
            "Base of the frequencies of rotary positions.",
            "",
            Range::Decimal("1", "1000000000"),
            "Larger for contexts of many thousand tokens.",
        ),
        field(
            "norm_epsilon",
            "Added to a mean square before its root, against division by zero.",
            "",
            Range::Decimal(ABOVE_0, "0.1"),
            "",
        ),
    ],
};

pub(super) const DATA: Table = Table {
    path: "charter.plan.data",
    about: "What is trained on, and what states are evaluated on.",
    times: Times::Once,
    fields: &[
        optional(
            "holdout",
            "BLAKE3 of held-out bytes that all members evaluate states on. Every member puts a \
             copy of that file into its folder as holdout.bin.",
            "",
            Range::Said("64 hexadecimal digits"),
            (
                "Absent, each member evaluates on what its own data holds out. \
                 `archipel charter new --holdout FILE` writes both lines.",
                "\"BLAKE3 OF THE FILE\"",
            ),
        ),
        optional(
            "holdout_bytes",
            "Length of that file.",
            "bytes",
            Range::Said("0 without holdout; else more than model.context, at most 4294967296"),
            ("Absent, it is 0.", "0"),
        ),
    ],
};

pub(super) const MANIFESTS: Table = Table {
    path: "charter.plan.data.manifests",
    about: "Declared data, at most 4096 entries; none if sites do not declare theirs.",
    times: Times::Many,
    fields: &[
        optional(
            "member",
            "Name of the voting member that trains on it.",
            "",
            Range::Said("a name of charter.members"),
            ("Absent, any member may.", "\"lyon\""),
        ),
        optional(
            "hash",
            "BLAKE3 of the data folder's manifest.json.",
            "",
            Range::Said("64 hexadecimal digits"),
            ("", "\"BLAKE3 OF manifest.json\""),
        ),
        optional(
            "class",
            "Who may see the data.",
            "",
            Range::Words(&[
                ("public", "everyone may train on it again, to check"),
                ("shared", "members only, under the owner's licence"),
                ("sovereign", "it never leaves its owner's site"),
            ]),
            ("", "\"sovereign\""),
        ),
    ],
};

pub(super) const MIXTURE: Table = Table {
    path: "charter.plan.data.mixture",
    about: "Shares of the data's sectors, sorted by name, each once, at most 256; none if windows \
            are drawn by tokens, whatever their sector.",
    times: Times::Many,
    fields: &[
        optional(
            "sector",
            "The sector, as `archipel data prepare --sector` named it.",
            "",
            Range::Said("1 to 64 characters of a-z, 0-9, dash, underscore and dot"),
            ("", "\"law\""),
        ),
        optional(
            "weight",
            "Its share, relative to the other entries.",
            "",
            Range::Decimal(ABOVE_0, "1000000"),
            ("", "\"1\""),
        ),
    ],
};
