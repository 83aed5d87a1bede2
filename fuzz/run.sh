#!/usr/bin/env bash
# Plays every target for its share of the time: fuzz/run.sh MINUTES [TARGET...]
#
# Builds with coverage on stable Rust, makes seeds, and runs one target after the other on one
# core. Ends with 1 where a target crashed; the input lies in FOLDER/crashes/TARGET-*.
# FUZZ_OUT is the folder of corpora, logs and crashes (fuzz/out); CARGO_TARGET_DIR is cargo's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

minutes=${1:?usage: fuzz/run.sh MINUTES [TARGET...]}
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    targets=(f32 bf16 int8 int4 topk_2bit demo message charter record outline compressed residual)
fi
# What has more to read gets more of the time.
share() {
    case $1 in
        topk_2bit | demo | message) echo 4 ;;
        charter) echo 3 ;;
        int8 | int4) echo 2 ;;
        *) echo 1 ;;
    esac
}
shares=0
for target in "${targets[@]}"; do shares=$((shares + $(share "$target"))); done
folder=${FUZZ_OUT:-$PWD/out}
built=${CARGO_TARGET_DIR:-$PWD/target}
host=$(rustc -vV | sed -n 's/^host: //p')

flags=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares)

cargo run --locked --bin seeds -- "$folder/seeds"
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
RUSTFLAGS="${flags[*]}" cargo build --locked --release --target "$host" "${bins[@]}"

mkdir -p "$folder/crashes" "$folder/logs"
crashed=0
for target in "${targets[@]}"; do
    corpus=$folder/corpus/$target
    mkdir -p "$corpus"
    log=$folder/logs/$target.txt
    seconds=$((minutes * 60 * $(share "$target") / shares))
    status=0
    "$built/$host/release/$target" "$corpus" "$folder/seeds/$target" \
        -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$folder/crashes/$target-" -print_final_stats=1 >"$log" 2>&1 || status=$?
    cover=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    printf '%-10s %5d s  runs %-10s %-22s corpus %-6s exit %d\n' "$target" "$seconds" \
        "${runs:-?}" "$cover" "$(find "$corpus" -type f | wc -l)" "$status"
    if [ "$status" -ne 0 ]; then
        crashed=1
        tail -n 25 "$log" >&2
    fi
done
exit "$crashed"
