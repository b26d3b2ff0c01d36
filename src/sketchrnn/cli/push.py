"""`sketchrnn push`: a model on the Hugging Face hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg

from sketchrnn.cli.arguments import Flag, Model
from sketchrnn.cli.screen import busy


def main(argv: Sequence[str]) -> None:
    tyro.cli(push, prog="sketchrnn push", args=argv)


def push(
    model: Model,
    repo: Annotated[str, Positional, arg(metavar="ORG/NAME", help="What it shall be called on the hub.")],
    /,
    *,
    data: Annotated[Path | None, arg(metavar="DATA", help_behavior_hint="")] = None,
    licence: str = "",
    private: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None,
) -> None:
    """Publish a model on the Hugging Face hub, with a card and pictures.

    Others then load it by its name. Log in first: hf auth login. With --out you see beforehand what would be published.

    For example:
        sketchrnn push runs/cat my-name/cat --data data/cat --out card
        sketchrnn push runs/cat my-name/cat --data data/cat

    Args:
        data: The dataset it learned from: adds figures of its test split, and pictures of some of its drawings with
            their reconstructions.
        licence: Of the drawings and the model, for instance "CC BY 4.0", where the dataset does not tell one.
        private: Make it visible to yourself and your organisation alone.
        out: Write all of it into this folder instead, and publish nothing.
    """
    from sketchrnn.interop import hub

    if out is not None:
        with busy("writing the card"):
            files = hub.write_folder(model, repo, out, data=data, licence=licence)
        print(f"{out}: {', '.join(sorted(file.name for file in files))}; nothing was published")
        return
    with busy("publishing"):
        page = hub.push(model, repo, data=data, licence=licence, private=private)
    print(page)
