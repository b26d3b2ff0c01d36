"""`sketchrnn interpolate`: from one drawing to another."""

from collections.abc import Sequence
from typing import Literal

import tyro

import sketchrnn
from sketchrnn.cli.arguments import A, B, Columns, Device, Model, NoFit, Picture, Rule, Seed, Temperature
from sketchrnn.cli.inputs import is_picture, one_drawing
from sketchrnn.cli.screen import busy


def main(argv: Sequence[str]) -> None:
    tyro.cli(interpolate, prog="sketchrnn interpolate", args=argv)


def interpolate(
    model: Model,
    a: A,
    b: B,
    /,
    *,
    out: Picture,
    steps: int = 10,
    method: Literal["spherical", "linear"] = "spherical",
    temperature: Temperature = 0.2,
    rule: Rule = "paper",
    seed: Seed = 0,
    columns: Columns = None,
    no_fit: NoFit = False,
    device: Device = "auto",
) -> None:
    """What lies between two drawings in the latent space.

    A picture shows A and B at its ends; the other forms do not hold them.

    For example:
        sketchrnn interpolate runs/cat "data/cat:test#0" "data/cat:test#1" --steps 10 --out between.svg

    Args:
        steps: Drawings from A's latent vector to B's, both included.
        method: The way from one latent vector to the other.
    """
    with busy("drawing"):
        network = sketchrnn.load(model, device=device)
        start, end = (one_drawing(text, network, fit=not no_fit) for text in (a, b))
        made = sketchrnn.interpolate(
            network, start, end, steps=steps, method=method, temperature=temperature, temperature_rule=rule, seed=seed
        )
        if is_picture(out):
            labels = ["A", *[""] * len(made), "B"]
            sketchrnn.write([start, *made, end], out, labels=labels, columns=columns or len(labels))
        else:
            sketchrnn.write(made, out)
    print(f"{out}: {len(made)} drawings from A to B")
