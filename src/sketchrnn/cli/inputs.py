"""The drawings that INPUT names, at the size and with the detail of those the model was trained on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sketchrnn.data.inputs import in_foreign_units, name_and_number, open_input
from sketchrnn.drawing import Drawing, like_quickdraw
from sketchrnn.render import DATA_ENDINGS

if TYPE_CHECKING:
    from sketchrnn.model.network import SketchRNN


def drawings_of(inputs: Sequence[str], model: SketchRNN, *, fit: bool) -> list[Drawing]:
    """All drawings of all inputs, in order."""
    if not inputs:
        raise ValueError("no INPUT is given: name a file of drawings, FILE#7 or DATA:test#7")
    drawings = []
    for text in inputs:
        found = open_input(text)
        if fit and model.data.size > 0 and _in_foreign_units(text):
            found = [like_quickdraw(each, model.data.size).limited(model.data.max_length) for each in found]
        drawings += found
    return drawings


def one_drawing(text: str, model: SketchRNN, *, fit: bool) -> Drawing:
    """The drawing that `text` names; of several the first, with a line on stderr that says so."""
    first, *others = drawings_of([text], model, fit=fit)
    if others:
        print(f"{text} holds {len(others) + 1} drawings: the first is taken, {text}#1 is the next", file=sys.stderr)
    return first


def is_picture(path: Path) -> bool:
    """Whether a file of this ending shows drawings, rather than holding them as data."""
    return path.suffix.lower() not in DATA_ENDINGS


def _in_foreign_units(text: str) -> bool:
    """Whether the drawings are in units of a pen, a screen or a page; those in our own pictures are in a model's."""
    path = Path(name_and_number(text)[0])
    return path.is_file() and in_foreign_units(path)
