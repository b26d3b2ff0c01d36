"""One of the trainings of `gpu_train.sh`; without a name, the names there are.

    python benchmarks/gpu_train.py --drawings FOLDER --runs FOLDER NAME

It goes on where it stopped, and SIGTERM stops it with all saved.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import sketchrnn
from sketchrnn.config import ModelConfig, TrainConfig

CLASSES = ("cat", "dog", "car", "sun", "shoe", "sheep")
REFERENCE = replace(sketchrnn.preset("reference")[1], pen_padding=False, eval_every=1000, precision="bfloat16")


def jobs(drawings: Path) -> dict[str, tuple[list[Path], ModelConfig, TrainConfig]]:
    """Of each name what it learns from, its sizes and its settings."""
    found: dict[str, tuple[list[Path], ModelConfig, TrainConfig]] = {}
    for name in CLASSES:
        files = sorted(drawings.rglob(f"{name}.npz")) + sorted(drawings.rglob(f"aaron_{name}.npz"))
        if not files:
            continue
        for weight in (0.25, 0.5, 1.0):
            found[f"{name}-{weight}"] = files[:1], ModelConfig(), replace(REFERENCE, kl_weight=weight)
        found[f"{name}-decoder"] = files[:1], ModelConfig(conditional=False), REFERENCE
    everything = sorted((drawings / "quickdraw").glob("*.npz"))
    if everything:
        found["all"] = everything, ModelConfig(), replace(REFERENCE, balance=True)
    if (drawings / "student.npz").exists():  # drawings of a published decoder
        found["student"] = [drawings / "student.npz"], ModelConfig(conditional=False), REFERENCE
    model, settings = sketchrnn.preset("paper")
    if "cat-0.5" in found:
        paper = replace(settings, pen_padding=False, eval_every=1000, precision="bfloat16")
        found["paper-cat"] = found["cat-0.5"][0], model, paper
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--drawings", type=Path, required=True, help="a folder of .npz files, by class")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    known = jobs(args.drawings)
    if args.name is None:
        print("\n".join(known))
        return
    if args.name not in known:
        raise SystemExit(f"there is no training {args.name!r}; there are {', '.join(known)}")
    sources, model, config = known[args.name]
    data = args.runs / "data" / args.name
    if not (data / "dataset.json").exists():
        sketchrnn.prepare([*sources], data)
    if args.device == "cpu":  # to see whether all works
        config = replace(config, precision="float32")
    sketchrnn.train(
        sketchrnn.Dataset(data), out=args.runs / args.name, model=model,
        config=replace(config, steps=args.steps), resume=(args.runs / args.name).exists(), device=args.device,
    )  # fmt: skip


if __name__ == "__main__":
    main()
