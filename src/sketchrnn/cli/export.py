"""`sketchrnn export`: a model for other programs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

import sketchrnn
from sketchrnn.cli.arguments import Model


def main(argv: Sequence[str]) -> None:
    tyro.cli(export, prog="sketchrnn export", args=argv)


def export(
    model: Model,
    /,
    *,
    to: Literal["magenta-js"],
    out: Annotated[Path, arg(metavar="PATH")],
) -> None:
    """Write a model in the form of another program.

    For example:
        sketchrnn export runs/cat --to magenta-js --out cat.gen.json

    Args:
        to: magenta-js is JSON for @magenta/sketch (.gen.json, a decoder-only model) or the older sketch_rnn.js (.vae.json,
            a conditional one).
        out: Where to write.
    """
    network = sketchrnn.load(model, device="cpu")
    if to == "magenta-js":
        from sketchrnn.interop import magenta

        notes = magenta.write(network, out)
    for note in notes:
        print(f"{out}: {note}", file=sys.stderr)
    print(f"{out}: {to}, {out.stat().st_size:,} bytes")
