#!/usr/bin/env bash
# Trains several models side by side on one NVIDIA GPU until they are done or the time is over, and packs what came of
# it: weights and metrics, with STATE=1 also what resuming elsewhere needs.
#
#     OUT=results DRAWINGS=folder MINUTES=9 benchmarks/gpu_train.sh cat-0.25 cat-0.5 cat-1.0 cat-decoder ...
#
# Called again, the runs in RUNS (default: gpu-runs) go on. Parts of what was packed, at most 15 MB each:
# `cat $OUT/runs.tar.* | tar x`. DRAWINGS holds CLASS.npz files, at any depth.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-gpu-results}
RUNS=${RUNS:-gpu-runs}
PYTHON=${PYTHON:-python3}
MINUTES=${MINUTES:-9}
STEPS=${STEPS:-100000}
DEVICE=${DEVICE:-cuda}
: "${DRAWINGS:?name the folder of .npz drawings}"
mkdir -p "$OUT" "$RUNS/data"
OUT=$(cd "$OUT" && pwd)
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
if [ -n "${WHEELS:-}" ]; then
    site=$(mktemp -d)
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl && PYTHONPATH="$PYTHONPATH:$site"
fi
if [ $# -eq 0 ]; then
    exec "$PYTHON" benchmarks/gpu_train.py --drawings "$DRAWINGS" --runs "$RUNS"
fi

began=$SECONDS
trainings=()
for name in "$@"; do # SIGTERM saves a run and ends it; one that does not end is killed a minute later
    timeout -k 60 $((MINUTES * 60)) "$PYTHON" benchmarks/gpu_train.py --drawings "$DRAWINGS" --runs "$RUNS" \
        --steps "$STEPS" --device "$DEVICE" "$name" >"$RUNS/$name.log" 2>&1 &
    trainings+=($!)
done
for training in "${trainings[@]}"; do wait "$training"; done
echo "trained for $((SECONDS - began)) s"

files=()
for name in "$@"; do
    for file in model.safetensors metrics.jsonl config.json report.html; do
        if [ -f "$RUNS/$name/$file" ]; then files+=("$name/$file"); fi
    done
    if [ -n "${STATE:-}" ] && [ -d "$RUNS/$name/last" ]; then files+=("$name/last"); fi
    echo "$name: $(tail -n 1 "$RUNS/$name/metrics.jsonl" 2>/dev/null | cut -c 1-300)"
    tail -n 2 "$RUNS/$name.log"
done
rm -f "$OUT"/runs.tar.*
if [ ${#files[@]} -gt 0 ]; then tar c -C "$RUNS" "${files[@]}" | split -b 15000000 - "$OUT/runs.tar."; fi
ls -l "$OUT"
