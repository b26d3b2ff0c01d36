"""`sketchrnn evaluate`: how well a model explains drawings it has not seen."""

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

import sketchrnn
from sketchrnn.cli.arguments import Data, Device, Json, Model
from sketchrnn.cli.screen import busy, figures


def main(argv: Sequence[str]) -> None:
    tyro.cli(evaluate, prog="sketchrnn evaluate", args=argv)


def evaluate(
    model: Model,
    data: Data,
    /,
    *,
    split: Literal["train", "valid", "test"] = "test",
    importance_samples: int = 0,
    batch_size: int = 100,
    seed: Annotated[int, arg(help="Of the latent vectors drawn from the encoder.")] = 0,
    json_only: Json = False,
    device: Device = "auto",
) -> None:
    """The losses and likelihoods of a dataset's drawings under a model.

    Lower is better. The nats can be compared between models of the same data.

    For example:
        sketchrnn evaluate runs/cat data/cat --split test --json

    Args:
        split: Which part of the dataset.
        importance_samples: Draws of z for the importance-weighted bound of a conditional model; 0 leaves it out.
        batch_size: Drawings at a time; it changes the speed, not the figures.
    """
    dataset = sketchrnn.Dataset(data)
    drawings = dataset.split(split)
    with busy("evaluating"):
        network = sketchrnn.load(model, device=device)
        theirs, ours = dataset.info.first_offset, network.data.first_offset
        if theirs != ours and not network.data.from_first_point:
            print(
                f"{model} learned from drawings whose first offset is a {ours}, that of {data} is a {theirs}: "
                "the figures are not those of data that was prepared alike",
                file=sys.stderr,
            )
        result = sketchrnn.evaluate(
            network, drawings, seed=seed, importance_samples=importance_samples, batch_size=batch_size
        )
    if json_only:
        print(json.dumps(result))
    else:
        figures(f"{model} on {data}:{split}", result)
