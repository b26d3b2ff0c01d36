"""`sketchrnn bench`: how fast this machine trains, samples and reads."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import arg

import sketchrnn
from sketchrnn.cli.arguments import Device, Json
from sketchrnn.cli.screen import busy, rows


def main(argv: Sequence[str]) -> None:
    tyro.cli(bench, prog="sketchrnn bench", args=argv)


def bench(
    *,
    data: Annotated[Path | None, arg(metavar="DATA", help_behavior_hint="")] = None,
    batch_size: int = 100,
    json_only: Json = False,
    device: Device = "auto",
) -> None:
    """How fast this machine trains, samples and reads drawings, and how near its peak: a few minutes.

    For example:
        sketchrnn bench --data data/cat --json

    Args:
        data: A dataset to train on; made-up drawings of about 61 points if not given.
        batch_size: Drawings of a training step.
    """
    from sketchrnn.bench import bench as measure
    from sketchrnn.checkpoint import resolve_device
    from sketchrnn.kernels.gpu import describe

    where = resolve_device(device)
    with busy("measuring"):
        measured = measure(None if data is None else sketchrnn.Dataset(data), device=str(where), batch_size=batch_size)
    if json_only:
        print(json.dumps(measured))
        return
    heads = {
        "what": "", "cell": "cell", "size": "units", "backend": "backend",
        "precision": "precision", "batch": "batch", "drawings_per_s": "per s",
        "seconds": "seconds", "gflops": "GFLOP/s", "fraction_of_peak": "of peak", "times_cudnn": "x cuDNN",
        "mib": "MiB",
    }  # fmt: skip
    heads = {name: head for name, head in heads.items() if any(name in row for row in measured)}
    lines = [[_text(row.get(name)) for name in heads] for row in measured]
    rows(describe(where), list(heads.values()), lines)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return str(value)
