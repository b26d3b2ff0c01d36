"""The arguments that several commands share, each with its help."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

_INPUT = "a file of drawings, FILE#7 for the eighth drawing in it, or DATA:test#7 for a dataset's."

Model = Annotated[
    str,
    Positional,
    arg(
        metavar="MODEL",
        help="A run folder, a .safetensors file, the name of a model that comes with sketchrnn, or ORG/NAME on the "
        "Hugging Face hub.",
    ),
]
Data = Annotated[Path, Positional, arg(metavar="DATA", help="A dataset: a folder that `sketchrnn data prepare` wrote.")]
A = Annotated[str, Positional, arg(metavar="A", help=f"Drawing A: {_INPUT}")]
B = Annotated[str, Positional, arg(metavar="B", help="Drawing B, likewise.")]
C = Annotated[str, Positional, arg(metavar="C", help="Drawing C, likewise.")]
Prefix = Annotated[str, Positional, arg(metavar="PREFIX", help=f"The unfinished drawing: {_INPUT}")]
Inputs = Annotated[
    tuple[str, ...], Positional, arg(metavar="INPUT [INPUT ...]", help=f"Drawings: {_INPUT}", help_behavior_hint="")
]

Picture = Annotated[
    Path,
    arg(
        metavar="FILE",
        help="Where to write; the ending chooses: .svg .png .gif .mp4 for a picture, "
        ".ndjson .npz .bin .inkml for the drawings alone.",
    ),
]
Number = Annotated[int, arg(name="n", aliases=("-n",), help="How many drawings.")]
Temperature = Annotated[
    float, arg(help="From 0, the most likely point at each step, to 1, as varied as the model believes.")
]
Rule = Annotated[
    Literal["paper", "reference", "magenta-js"],
    arg(name="temperature-rule", help="What the temperature does in the paper, the reference, or its JavaScript."),
]
Seed = Annotated[int, arg(help="The same seed makes the same drawings.")]
Columns = Annotated[
    int | None, arg(metavar="INT", help="Columns of the picture; chosen to suit if not given.", help_behavior_hint="")
]
Flag = FlagCreatePairsOff[bool]  # --flag alone, without a --no-flag
NoFit = Annotated[
    Flag,
    arg(
        name="no-fit",
        help="Take drawings of SVG, InkML and raw files as they are; else they are brought to the size and the detail "
        "of those the model was trained on.",
    ),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], arg(help="Where to compute.")]
Json = Annotated[Flag, arg(name="json", help="Print JSON and nothing else.")]
