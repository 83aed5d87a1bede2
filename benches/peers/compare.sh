#!/usr/bin/env bash
# Tokens a second of this engine and of PyTorch, in turns, in one sitting: the three shapes that
# docs/performance.md speaks of, medians of three runs each.
#
#     benches/peers/compare.sh PYTHON ARCHIPEL [ROUNDS]
#
# PYTHON has torch; ARCHIPEL is the release build. Two threads. Prints a table.
set -euo pipefail
python=${1:?give a Python that has torch} archipel=${2:?give the release build of archipel}
rounds=${3:-3}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT

# d_model layers heads context batch ffn
shapes=("128 4 4 128 16 512" "256 6 8 256 8 1024" "512 8 8 256 4 2048")
for shape in "${shapes[@]}"; do
    read -r d layers heads context batch ffn <<<"$shape"
    sizes=(--d-model "$d" --layers "$layers" --heads "$heads" --context "$context"
        --batch "$batch" --ffn "$ffn" --vocab 256 --threads 2 --seconds 10)
    for ((round = 0; round < rounds; round++)); do
        printf '%s archipel %s\n' "$d" "$("$archipel" bench train "${sizes[@]}" --json)"
        for mode in eager compile; do
            printf '%s %s %s\n' "$d" "$mode" \
                "$("$python" "$here/train.py" "${sizes[@]}" --mode "$mode" 2>/dev/null)"
        done
    done
done | tee "$lines"

"$python" - "$lines" <<'TABLE'
import collections, json, statistics, sys

found = collections.defaultdict(list)
for line in open(sys.argv[1]):
    width, program, text = line.split(" ", 2)
    found[int(width), program].append(json.loads(text))
print("\n| width | program | tokens/s | GFLOP/s | peak memory | archipel is |")
print("|---|---|---|---|---|---|")
for (width, program), runs in found.items():
    of = lambda key, runs=runs: statistics.median(run[key] for run in runs)
    own = statistics.median(run["tokens_per_s"] for run in found[width, "archipel"])
    ratio = "" if program == "archipel" else f"{own / of('tokens_per_s'):.2f}×"
    print(f"| {width} | {program} | {of('tokens_per_s'):,.0f} | {of('flops_per_s') / 1e9:.0f} | "
          f"{of('peak_bytes') / 1e6:,.0f} MB | {ratio} |")
    if program == "archipel":
        share = of("matmul_peak_share")
        print(f"|  | its share of bare products | | {100 * share:.0f} % | | |")
TABLE
