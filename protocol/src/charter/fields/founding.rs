//! The charter's own fields and its members'.

use super::{Field, Range, Table, Times};

pub(super) const CHARTER: Table = Table {
    path: "charter",
    about: "Who founds what. The hash of all that follows, addresses and signatures left out, is \
            the run id: a change of one character founds another run.",
    times: Times::Once,
    fields: &[
        Field {
            name: "name",
            meaning: "Name of the federation.",
            unit: "",
            range: Range::Said("1 to 64 characters of a-z 0-9 -"),
            advice: "",
            example: "",
        },
        Field {
            name: "founding_nonce",
            meaning: "Random bytes, so that two runs with one text are two runs.",
            unit: "",
            range: Range::Said("64 hexadecimal digits"),
            advice: "`archipel charter new` draws them: leave them.",
            example: "",
        },
        Field {
            name: "fault_model",
            meaning: "What members assume of each other.",
            unit: "",
            range: Range::Words(&[
                (
                    "byzantine",
                    "fewer than a third of the voting members may lie in any way; tolerates \
                     nobody below four",
                ),
                (
                    "crash",
                    "members may stop, and never lie: for two or three that trust each other",
                ),
            ]),
            advice: "",
            example: "",
        },
        Field {
            name: "threshold",
            meaning: "Votes that an amendment needs: to admit, suspend or remove a member.",
            unit: "votes",
            range: Range::Said("the quorum to all voting members"),
            advice: "Absent, it is the quorum. Raise it to make changes harder.",
            example: "4",
        },
    ],
};

pub(super) const MEMBERS: Table = Table {
    path: "charter.members",
    about: "A member. `archipel charter add-member` writes one from the line that its \
            `archipel init` printed. At most 256, of whom 64 vote; every list of members follows \
            the order here.",
    times: Times::Many,
    fields: &[
        Field {
            name: "id",
            meaning: "Public key.",
            unit: "",
            range: Range::Said("64 hexadecimal digits, unlike all others"),
            advice: "",
            example: "",
        },
        Field {
            name: "name",
            meaning: "Name, the same as in the member's node.toml.",
            unit: "",
            range: Range::Said("1 to 64 characters of a-z 0-9 -, unlike all others"),
            advice: "",
            example: "",
        },
        Field {
            name: "role",
            meaning: "What it does.",
            unit: "",
            range: Range::Words(&[
                ("member", "trains and votes"),
                ("observer", "follows the run and holds its states"),
                ("auditor", "follows the run and checks it"),
                ("relay", "passes messages on between members"),
            ]),
            advice: "",
            example: "",
        },
        Field {
            name: "addresses",
            meaning: "Where it listens. Not part of the run id: a change needs no new signatures.",
            unit: "",
            range: Range::Said(
                "at most 16 texts like \"/dns4/example.org/udp/4001/quic-v1\", of 256 bytes each",
            ),
            advice: "A member without one dials the others.",
            example: "",
        },
    ],
};
