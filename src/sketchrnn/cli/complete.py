"""`sketchrnn complete`: endings for an unfinished drawing."""

import math
from collections.abc import Sequence
from typing import Annotated

import tyro
from tyro.conf import arg

import sketchrnn
from sketchrnn.cli.arguments import Columns, Device, Model, NoFit, Number, Picture, Prefix, Rule, Seed, Temperature
from sketchrnn.cli.inputs import is_picture, one_drawing
from sketchrnn.cli.screen import busy


def main(argv: Sequence[str]) -> None:
    tyro.cli(complete, prog="sketchrnn complete", args=argv)


def complete(
    model: Model,
    prefix: Prefix,
    /,
    *,
    out: Picture,
    n: Number = 9,
    temperature: Temperature = 0.8,
    rule: Rule = "paper",
    keep: float = 1.0,
    points: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None,
    max_length: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None,
    seed: Seed = 0,
    columns: Columns = None,
    no_fit: NoFit = False,
    device: Device = "auto",
) -> None:
    """Endings for an unfinished drawing.

    A picture shows first what was given; the other forms do not hold it. Where an SVG says how large its sheet is, that
    is brought to the size of the model's drawings, and what is begun on it keeps its place; with --keep or --points,
    without a sheet, or where the drawing reaches beyond it, the drawing itself is.

    For example:
        sketchrnn complete runs/cat "data/cat:test#0" --keep 0.5 -n 9 --temperature 0.8 --out endings.svg

    Args:
        keep: The share of the drawing's points that is given, above 0 and at most 1.
        points: Give only the first so many points, instead of a share.
        max_length: End a drawing after so many points. Not given, after as many as the longest that the model was
            trained on, and never before an ending of 32 points has found room.
    """
    from sketchrnn.generate import ending_length

    if not 0 < keep <= 1:
        raise ValueError(f"--keep is {keep:g}; it must be above 0 and at most 1")
    if points is not None and points < 1:
        raise ValueError(f"--points is {points}; it must be at least 1")
    with busy("drawing"):
        network = sketchrnn.load(model, device=device)
        is_whole = keep < 1 or points is not None
        whole = one_drawing(prefix, network, fit=not no_fit, begun=not is_whole)
        given = whole.head(math.ceil(keep * len(whole)) if points is None else points)
        if max_length is None:
            max_length = ending_length(network, given)
        made = sketchrnn.complete(
            network, given, n=n, temperature=temperature, temperature_rule=rule, seed=seed, max_length=max_length
        )
        if is_picture(out):
            sketchrnn.write([given, *made], out, labels=["given", *[""] * len(made)], columns=columns)
        else:
            sketchrnn.write(made, out)
    print(f"{out}: {len(made)} endings of {len(given)} points")
