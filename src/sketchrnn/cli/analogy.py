"""`sketchrnn analogy`: A + (B - C) between drawings."""

from collections.abc import Sequence

import tyro

import sketchrnn
from sketchrnn.cli.arguments import A, B, C, Columns, Device, Model, NoFit, Number, Picture, Rule, Seed, Temperature
from sketchrnn.cli.inputs import is_picture, one_drawing
from sketchrnn.cli.screen import busy


def main(argv: Sequence[str]) -> None:
    tyro.cli(analogy, prog="sketchrnn analogy", args=argv)


def analogy(
    model: Model,
    a: A,
    b: B,
    c: C,
    /,
    *,
    out: Picture,
    n: Number = 1,
    temperature: Temperature = 0.2,
    rule: Rule = "paper",
    seed: Seed = 0,
    columns: Columns = None,
    no_fit: NoFit = False,
    device: Device = "auto",
) -> None:
    """The drawing at A + (B - C) in the latent space.

    A cat's head (A), a pig (B) and a pig's head (C) give a cat with a body.

    For example:
        sketchrnn analogy runs/catpig cat-head.svg pig.svg pig-head.svg --out cat.svg
    """
    with busy("drawing"):
        network = sketchrnn.load(model, device=device)
        given = [one_drawing(text, network, fit=not no_fit) for text in (a, b, c)]
        made = sketchrnn.analogy(network, *given, n=n, temperature=temperature, temperature_rule=rule, seed=seed)
        if is_picture(out):
            labels = ["A", "B", "C", *["A + (B − C)"] * n]
            sketchrnn.write([*given, *made], out, labels=labels, columns=columns)
        else:
            sketchrnn.write(made, out)
    print(f"{out}: {len(made)} drawings at A + (B - C)")
