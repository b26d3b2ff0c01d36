"""`sketchrnn sample`: new drawings."""

from collections.abc import Sequence

import tyro

import sketchrnn
from sketchrnn.cli.arguments import Columns, Device, Flag, Model, Number, Picture, Rule, Seed, Temperature
from sketchrnn.cli.screen import busy


def main(argv: Sequence[str]) -> None:
    tyro.cli(sample, prog="sketchrnn sample", args=argv)


def sample(
    model: Model,
    /,
    *,
    out: Picture,
    n: Number = 16,
    temperature: Temperature = 0.4,
    rule: Rule = "paper",
    seed: Seed = 0,
    columns: Columns = None,
    animate: Flag = False,
    device: Device = "auto",
) -> None:
    """New drawings from a model.

    For example:
        sketchrnn sample runs/cat -n 16 --temperature 0.4 --seed 0 --out cats.svg

    Args:
        animate: An .svg that draws itself.
    """
    with busy("drawing"):
        network = sketchrnn.load(model, device=device)
        drawings = sketchrnn.sample(network, n, temperature=temperature, temperature_rule=rule, seed=seed)
        sketchrnn.write(drawings, out, columns=columns, animate=animate)
    print(f"{out}: {len(drawings)} drawings")
