# What is done often. `just` alone lists it; every line works without just as well.

default:
    @just --list

# The release build of the node: 8 to 10 minutes the first time on two cores.
build:
    cargo build --release --locked

# All tests.
test:
    cargo test --workspace --locked

# Four members train one model on this machine; see `just demo --help`.
demo *arguments:
    cargo run --release --locked -- demo {{arguments}}

# The simulator; see `just sim --help`.
sim *arguments:
    cargo run --release --locked -p archipel-simulator -- {{arguments}}

# Everything a commit must pass.
ci:
    .ci/run

# Rewrites the golden vectors: a change of format, to be made on purpose.
vectors:
    UPDATE_VECTORS=1 cargo test --locked -p archipel-protocol

# Bytes that a peer might send, against every decoder, for so many minutes; see fuzz/README.md.
fuzz minutes *targets:
    fuzz/run.sh {{minutes}} {{targets}}
