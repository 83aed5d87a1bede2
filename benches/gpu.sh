#!/usr/bin/env bash
# Where a card is: does it train as the processor does, encode as the codec does, and how fast is it
# beside PyTorch on the same card? Prints one JSON object a line, the last of which is the verdict.
#
#   benches/gpu.sh [CARD] > gpu.jsonl        # needs cargo, a driver, libnvrtc and CUDA headers
#   SHAPE="768 12 12 1024 32 8 3072 32000 20" PYTHON=python3 benches/gpu.sh
#
# SHAPE is D_MODEL LAYERS HEADS CONTEXT BATCH MICRO_BATCH FFN VOCABULARY STEPS. PyTorch is left out,
# with a word, where PYTHON has none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

card=${1:-0}
read -r -a shape <<<"${SHAPE:-768 12 12 1024 32 8 3072 32000 20}"
python=${PYTHON:-python3}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
[ "${#shape[@]}" -eq 9 ] || {
    echo "expected 9 numbers in SHAPE, found ${#shape[@]}: see the head of this file" >&2
    exit 2
}

has_torch() { "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; }

# Without a toolkit of the system: the one that PyTorch's packages bring.
nvidia=$("$python" -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null || true)
if [ -n "$nvidia" ] && [ -d "$nvidia/cuda_nvrtc/lib" ]; then
    export LD_LIBRARY_PATH=$nvidia/cuda_nvrtc/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    if [ -z "${CUDA_PATH:-}" ] && [ ! -e /usr/local/cuda/include/cuda_runtime.h ]; then
        export CUDA_PATH=$nvidia/cuda_runtime
    fi
fi

cargo build --release --locked -p archipel-trainer --features cuda --example gpu_check >&2
check=${CARGO_TARGET_DIR:-target}/release/examples/gpu_check

status=0
ask() { "$@" | tee -a "$out" || status=1; }

ask "$check" parity "$card"
ask "$check" payloads "$card"
ask "$check" speed "$card" "${shape[@]}"
if has_torch; then
    CUDA_VISIBLE_DEVICES=$card ask "$python" benches/peers/gpu.py \
        --d-model "${shape[0]}" --layers "${shape[1]}" --heads "${shape[2]}" \
        --context "${shape[3]}" --batch "${shape[4]}" --micro-batch "${shape[5]}" \
        --ffn "${shape[6]}" --vocabulary "${shape[7]}" --steps "${shape[8]}"
else
    echo "$python has no PyTorch that sees the card: not compared" >&2
fi

"$python" - "$out" "$status" <<'PY'
import json, sys

answers = [json.loads(line) for line in open(sys.argv[1])]
by = {a["question"] + a.get("mode", ""): a for a in answers}
ours, verdict = by.get("speed"), {"question": "verdict", "passed": sys.argv[2] == "0"}
for mode in ("eager", "compile"):
    peer = by.get("pytorch" + mode)
    if ours and peer:
        verdict["times_pytorch_" + mode] = ours["tokens_per_s"] / peer["tokens_per_s"]
if ours and "limit" in by:
    limit = by["limit"]["matmul_flop_per_s"]
    verdict["share_of_measured_peak"] = ours["flop_per_s"] / limit
    for mode in ("eager", "compile"):
        if "pytorch" + mode in by:
            share = by["pytorch" + mode]["flop_per_s"] / limit
            verdict["share_of_measured_peak_pytorch_" + mode] = share
print(json.dumps(verdict))
PY
exit "$status"
