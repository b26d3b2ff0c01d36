#!/usr/bin/env bash
# All that is to be known of this package on an NVIDIA GPU, in under ten minutes: tests, golden parity, speed beside
# cuDNN, losses by precision, a profile. It ends with one table; all else is in the folder OUT.
#
#     OUT=results benchmarks/gpu.sh [DRAWINGS.npz or DATASET]
#
# It needs Python with torch (CUDA), triton, numpy, pyarrow, safetensors, pillow, matplotlib, rich; for the tests pytest,
# pytest-timeout and hypothesis. WHEELS may name a folder of wheels to use besides (resvg-py for pictures).
# A stage that fails or takes too long does not stop the next.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-gpu-results}
PYTHON=${PYTHON:-python3}
DEVICE=${DEVICE:-cuda}
LOSS_STEPS=${LOSS_STEPS:-1000}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export PYTHONPATH="$PWD/src:$PWD/tests${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if [ -n "${WHEELS:-}" ]; then
    site=$(mktemp -d)
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl && PYTHONPATH="$PYTHONPATH:$site"
fi
data=()
if [ $# -gt 0 ]; then data=(--data "$1"); fi
rows="$OUT/results.jsonl"
: >"$rows"

stage() { # name, seconds at most, command
    local name=$1 most=$2 began=$SECONDS
    shift 2
    timeout -k 10 "$most" "$@" >"$OUT/$name.log" 2>&1
    local code=$? said
    said=$(grep -E "passed|failed|error" "$OUT/$name.log" | tail -n 1 | tr -d '"\\' | cut -c 1-120)
    echo "{\"what\": \"stage $name\", \"seconds\": $((SECONDS - began)).0, \"said\": \"exit $code $said\"}" >>"$rows"
    echo "$name: exit $code after $((SECONDS - began)) s"
    if [ $code -ne 0 ]; then tail -n 15 "$OUT/$name.log"; fi
}

stage machine 60 sh -c "nvidia-smi; $PYTHON -c 'import torch, triton; print(torch.__version__, triton.__version__)'"
several=()
if "$PYTHON" -c "import xdist" 2>/dev/null; then several=(-n 6); fi
stage tests 170 "$PYTHON" -m pytest -q "${several[@]}" --tb=short -W default -k "not compile" \
    tests/test_kernels_gpu.py tests/test_golden.py tests/test_model_sampler.py tests/test_recorded.py
stage bench $((560 - SECONDS - 160)) "$PYTHON" benchmarks/gpu.py bench --out "$rows" --device "$DEVICE" "${data[@]}"
stage profile 60 "$PYTHON" benchmarks/gpu.py profile --out "$rows" --device "$DEVICE" "${data[@]}"
stage losses $((570 - SECONDS)) "$PYTHON" benchmarks/gpu.py losses --out "$rows" --steps "$LOSS_STEPS" --device "$DEVICE" "${data[@]}"
"$PYTHON" benchmarks/gpu.py table --out "$rows"
