"""The drawings that INPUT names, at the size and with the detail of those the model was trained on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sketchrnn.data.inputs import fitted, in_foreign_units, name_and_number, open_input
from sketchrnn.drawing import Drawing
from sketchrnn.render import DATA_ENDINGS

if TYPE_CHECKING:
    from sketchrnn.model.network import SketchRNN


def drawings_of(inputs: Sequence[str], model: SketchRNN, *, fit: bool, begun: bool = False) -> list[Drawing]:
    """All drawings of all inputs, in order; those that are only begun fitted as `data.inputs.fitted` says."""
    if not inputs:
        raise ValueError("no INPUT is given: name a file of drawings, FILE#7 or DATA:test#7")
    drawings = []
    for text in inputs:
        found = open_input(text)
        path = Path(name_and_number(text)[0])
        if fit and model.data.size > 0 and path.is_file() and in_foreign_units(path):
            found = fitted(found, path, model.data.size, model.data.max_length, begun=begun)
        drawings += found
    return drawings


def one_drawing(text: str, model: SketchRNN, *, fit: bool, begun: bool = False) -> Drawing:
    """The drawing that `text` names; of several the first, with a line on stderr that says so."""
    first, *others = drawings_of([text], model, fit=fit, begun=begun)
    if others:
        print(f"{text} holds {len(others) + 1} drawings: the first is taken, {text}#1 is the next", file=sys.stderr)
    return first


def is_picture(path: Path) -> bool:
    """Whether a file of this ending shows drawings, rather than holding them as data."""
    return path.suffix.lower() not in DATA_ENDINGS
