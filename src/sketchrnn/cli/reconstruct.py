"""`sketchrnn reconstruct`: drawings through the latent vector and back."""

from collections.abc import Sequence

import tyro

import sketchrnn
from sketchrnn.cli.arguments import Columns, Device, Inputs, Model, NoFit, Number, Picture, Rule, Seed, Temperature
from sketchrnn.cli.inputs import drawings_of, is_picture
from sketchrnn.cli.screen import busy


def main(argv: Sequence[str]) -> None:
    tyro.cli(reconstruct, prog="sketchrnn reconstruct", args=argv)


def reconstruct(
    model: Model,
    inputs: Inputs,
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
    """Drawings as the model draws them again from their latent vectors.

    A picture shows what was given beside them; the other forms do not hold it.

    For example:
        sketchrnn reconstruct runs/cat cat.svg "data/cat:test#7" --temperature 0.2 --out again.svg

    Args:
        n: Reconstructions of each drawing.
    """
    with busy("drawing"):
        network = sketchrnn.load(model, device=device)
        given = drawings_of(inputs, network, fit=not no_fit)
        made = sketchrnn.reconstruct(network, given, temperature=temperature, temperature_rule=rule, seed=seed, n=n)
        if is_picture(out):
            groups = [[drawing, *made[i * n : (i + 1) * n]] for i, drawing in enumerate(given)]
            labels = ["given", *["reconstruction"] * n] * len(given)
            sketchrnn.write([d for group in groups for d in group], out, labels=labels, columns=columns or n + 1)
        else:
            sketchrnn.write(made, out)
    print(f"{out}: {len(made)} reconstructions of {len(given)} drawings")
