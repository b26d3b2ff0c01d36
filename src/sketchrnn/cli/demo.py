"""`sketchrnn demo`: the whole road in minutes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import arg

from sketchrnn.cli.arguments import Device


def main(argv: Sequence[str]) -> None:
    tyro.cli(demo, prog="sketchrnn demo", args=argv)


def demo(
    *,
    out: Annotated[Path, arg(metavar="DIR")] = Path("demo"),
    minutes: float = 3,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """The whole road on drawings that install with the package: data, training, a page of pictures.

    For example:
        sketchrnn demo --out demo

    Args:
        out: A folder for the dataset, the run and the page.
        minutes: About how long to train, on two cores.
        seed: Of all that is left to chance.
    """
    from sketchrnn.demo import demo as whole_road

    page = whole_road(out, minutes=minutes, seed=seed, device=device)
    print(
        f"{page}: open it in a browser. The model is {out / 'run'}; go on with\n"
        f"  sketchrnn sample {out / 'run'} -n 16 --out characters.svg\n"
        "  sketchrnn data prepare YOUR-DRAWINGS/ --out data\n"
        "  sketchrnn train data --out run --preset small-data"
    )
