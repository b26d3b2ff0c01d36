"""Files of drawings: one format a module, each read and written in one place.

| kind | file |
|---|---|
| `svg` | one drawing of vector shapes, or a grid that `write` made |
| `npz` | sketch-rnn's arrays of stroke-3, split into train, valid and test |
| `ndjson-simplified`, `ndjson-raw` | Quick, Draw!, one JSON object a line |
| `binary` | Quick, Draw!, packed |
| `inkml` | one drawing of pen traces, W3C Ink Markup Language |
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sketchrnn.drawing import Drawing
from sketchrnn.formats.bad_rows import OnBad
from sketchrnn.formats.detect import kind

__all__ = ["DEVICE_KINDS", "OnBad", "iterate", "kind", "read", "write"]

DEVICE_KINDS = ("svg", "inkml", "ndjson-raw")  # points as a pen or a screen gave them, in units of their own


def read(path: str | os.PathLike[str], *, bad: OnBad | None = None) -> list[Drawing]:
    """All drawings of a file, in its order; see `iterate`."""
    return list(iterate(path, bad=bad))


def iterate(path: str | os.PathLike[str], *, bad: OnBad | None = None) -> Iterator[Drawing]:
    """The drawings of a file, one after the other; what kind of file it is, its content tells.

    Args:
        path: an SVG, npz, ndjson, Quick, Draw! binary or InkML file.
        bad: gets (where, reason) of each row that cannot be read, and reading goes on.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a row is bad and there is no `bad` to take it; or the file as a whole is not what it should be:
            empty, cut off, an HTML page, without any drawing.
    """
    from sketchrnn.formats import binary, inkml, ndjson, npz, svg

    path = Path(path)
    found = kind(path)
    readers = {"svg": svg, "npz": npz, "binary": binary, "inkml": inkml}
    drawings = readers.get(found, ndjson).iterate(path, bad=bad)
    count = 0
    for drawing in drawings:
        count += 1
        yield drawing
    if count == 0:
        raise ValueError(f"{path} holds no drawing")


def write(drawings: Sequence[Drawing], path: str | os.PathLike[str]) -> None:
    """Writes drawings to a file of the format that its ending names: .svg .ndjson .npz .bin .inkml.

    The file appears whole or not at all.

    Raises:
        ValueError: the ending is another one, there is no drawing, or the format cannot hold these.
        OSError: the folder is missing or not writable, or the disk is full.
    """
    from sketchrnn.formats import binary, inkml, ndjson, npz, svg

    writers = {
        ".svg": svg.write,
        ".ndjson": ndjson.write,
        ".npz": npz.write,
        ".bin": binary.write,
        ".inkml": inkml.write,
    }
    path = Path(path)
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"{path} has none of the endings that drawings are written to: {' '.join(writers)}")
    if not drawings:
        raise ValueError(f"there is no drawing to write to {path}")
    writer(drawings, path)
