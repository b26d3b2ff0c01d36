"""Quick, Draw! ndjson: one JSON object a line, `drawing` a list of strokes.

Simplified strokes are `[xs, ys]`, raw ones `[xs, ys, ts]` with times in milliseconds; both are read by the same code.
https://github.com/googlecreativelab/quickdraw-dataset#the-raw-moderated-dataset
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sketchrnn.drawing import Drawing
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.formats.bad_rows import OnBad, report
from sketchrnn.formats.detect import MAX_LINE

_HALF = re.compile("[\ud800-\udfff]")  # of a pair of UTF-16: JSON can name one alone, no file can hold it


def iterate(path: Path, *, bad: OnBad | None = None) -> Iterator[Drawing]:
    """The drawings of the file, read line by line. Blank lines are skipped.

    `word` becomes the label and `key_id` the key; every other field goes into `meta` under its own name, and the times
    of a raw drawing into `meta["times"]`, a list for each stroke.
    """
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), 1):
            if not line.strip():
                continue
            try:
                drawing = _drawing(line)
            except ValueError as error:
                report(bad, f"{path.name}:{number}", str(error))
            else:
                yield drawing


def write(drawings: Sequence[Drawing], path: Path) -> None:
    """Writes one line a drawing: simplified, or raw where `meta["times"]` fits the strokes."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for drawing in drawings:
            file.write(_line(drawing))


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines of at most MAX_LINE + 1 bytes: what is longer arrives cut, and its rest is skipped without being kept."""
    while line := file.readline(MAX_LINE + 1):
        yield line
        while len(line) > MAX_LINE and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE + 1) or b"\n"


def _drawing(line: bytes) -> Drawing:
    if len(line) > MAX_LINE:
        raise ValueError(f"the line is longer than {MAX_LINE:,} bytes")
    try:
        row = json.loads(line, parse_constant=_refuse_constant)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        if not line.endswith(b"\n"):
            raise ValueError("the line is cut off: the file ends in the middle of it") from None
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("not a drawing: its lists are nested too deeply") from None
    if not isinstance(row, dict) or not isinstance(row.get("drawing"), list):
        raise ValueError('not a drawing: there is no list "drawing" in it')
    meta = {name: value for name, value in row.items() if name not in ("drawing", "word", "key_id")}
    strokes = [_stroke(stroke, number) for number, stroke in enumerate(row["drawing"])]
    if any(len(stroke) > 2 for stroke in row["drawing"]):
        meta["times"] = [_stroke_times(stroke) for stroke in row["drawing"] if stroke[0]]
    word, key = row.get("word"), row.get("key_id")
    label, key = word if isinstance(word, str) else None, None if key is None else str(key)
    for name, text in (("word", label), ("key_id", key)):
        if text and not text.isascii() and _HALF.search(text):
            raise ValueError(f"{name} {ascii(text)[:80]} holds half a character")
    return Drawing.from_lines(strokes, label=label, key=key, meta=meta)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"not JSON: {name} is not a number")


def _stroke(stroke: Any, number: int) -> NDArray[np.float64]:
    """(k, 2) positions of `[xs, ys]` or `[xs, ys, ts]`."""
    if not isinstance(stroke, list) or len(stroke) < 2:
        raise ValueError(f"stroke {number} is not [xs, ys]")
    xs, ys = stroke[:2]
    if not isinstance(xs, list) or not isinstance(ys, list):
        raise ValueError(f"stroke {number} is not two lists of numbers")
    if len(xs) != len(ys):
        raise ValueError(f"stroke {number} has {len(xs)} x and {len(ys)} y, not as many of each")
    # Before numpy sees them: it makes room for the longest text at each place.
    if not {*map(type, xs), *map(type, ys)} <= {int, float}:
        raise ValueError(f"stroke {number} holds something other than numbers")
    try:
        return np.column_stack([np.array(xs, np.float64), np.array(ys, np.float64)])
    except OverflowError:
        raise ValueError(f"stroke {number} holds a number that is too large") from None


def _stroke_times(stroke: list[Any]) -> list[Any]:
    return stroke[2] if len(stroke) > 2 and isinstance(stroke[2], list) else []


def _line(drawing: Drawing) -> str:
    row: dict[str, Any] = {}
    if drawing.label is not None:
        row["word"] = drawing.label
    if drawing.key is not None:
        row["key_id"] = drawing.key
    row |= {name: value for name, value in drawing.meta.items() if name not in ("times", "word", "key_id", "drawing")}
    lines = drawing.lines()
    strokes = [[_numbers(line[:, 0]), _numbers(line[:, 1])] for line in lines]
    if times := _times(drawing.meta, lines):
        strokes = [[*stroke, ts] for stroke, ts in zip(strokes, times, strict=True)]
    row["drawing"] = strokes
    return json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n"


def _times(meta: Mapping[str, Any], lines: list[NDArray[np.float64]]) -> list[list[float]] | None:
    """The times that a raw drawing was read with, if it still has the same points."""
    times = meta.get("times")
    if not isinstance(times, list) or not all(isinstance(ts, list) for ts in times):
        return None
    return times if [len(ts) for ts in times] == [len(line) for line in lines] else None


def _numbers(values: NDArray[np.float64]) -> list[float]:
    """Whole numbers without a decimal point, as the data set has them."""
    return [int(value) if value.is_integer() else value for value in values.tolist()]
