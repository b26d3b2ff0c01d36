"""The Quick, Draw! binary form, little endian, one record after the other without a header.

u64 key_id, 2 bytes country code, i8 recognized, u32 time, u16 number of strokes; each stroke u16 n, n bytes x, n
bytes y.
https://github.com/googlecreativelab/quickdraw-dataset#binary-files-bin
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sketchrnn.drawing import Drawing
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.formats.bad_rows import OnBad, report

_RECORD = struct.Struct("<Q2sbIH")
_COUNT = struct.Struct("<H")


def iterate(path: Path, *, bad: OnBad | None = None) -> Iterator[Drawing]:
    """The drawings of the file, read record by record.

    Records do not say where the next one starts, so a bad one ends the reading; in the first record it means that this
    is another kind of file.

    Raises:
        ValueError: the first record is not one; or a later one is bad and there is no `bad` to take it.
    """
    with path.open("rb") as file:
        start = 0
        while True:
            try:
                drawing = _record(file)
            except ValueError as error:
                if start == 0:
                    raise ValueError(f"{path} is not a Quick, Draw! binary file: {error}") from None
                report(bad, f"{path.name}:byte {start}", f"{error}; what follows is not read")
                return
            if drawing is None:
                return
            yield drawing
            start = file.tell()


def write(drawings: Sequence[Drawing], path: Path) -> None:
    """Writes one record a drawing. The label, and a key that is no 64-bit number, are not part of the format.

    Raises:
        ValueError: a coordinate is not a whole number from 0 to 255, or a stroke has more than 65,535 points.
    """
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        for number, drawing in enumerate(drawings):
            file.write(_packed(drawing, number))


def _record(file: BinaryIO) -> Drawing | None:
    """The next drawing, None at the end of the file."""
    head = file.read(_RECORD.size)
    if not head:
        return None
    if len(head) < _RECORD.size:
        raise ValueError("the file is cut off in the middle of a drawing")
    key, country, recognized, time, num_strokes = _RECORD.unpack(head)
    if recognized not in (0, 1) or not country.isalpha():
        raise ValueError("there is no drawing: its country code or recognized mark cannot be")
    lines = []
    for _ in range(num_strokes):
        (n,) = _COUNT.unpack(_exactly(file, _COUNT.size))
        lines.append(np.frombuffer(_exactly(file, 2 * n), np.uint8).reshape(2, n).T)
    meta = {"countrycode": country.decode("ascii"), "recognized": bool(recognized), "timestamp": time}
    return Drawing.from_lines(lines, key=str(key), meta=meta)


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file is cut off in the middle of a drawing")
    return data


def _packed(drawing: Drawing, number: int) -> bytes:
    lines = drawing.lines()
    if len(lines) > 65535 or any(len(line) > 65535 for line in lines):
        raise ValueError(f"drawing {number} has more than 65,535 strokes, or points in one: a .bin file cannot hold it")
    country = str(drawing.meta.get("countrycode", "ZZ")).encode("ascii", "replace")
    country = country if len(country) == 2 and country.isalpha() else b"ZZ"  # what the data set has for unknown
    recognized = bool(drawing.meta.get("recognized", True))
    time = _seconds(drawing.meta.get("timestamp"))
    parts = [_RECORD.pack(_key_id(drawing.key), country, recognized, time, len(lines))]
    for line in lines:
        if (line != line.round()).any() or line.min() < 0 or line.max() > 255:
            raise ValueError(
                f"drawing {number} has coordinates other than whole numbers from 0 to 255, which is all a .bin file "
                "holds: write .ndjson or .npz"
            )
        parts += [_COUNT.pack(len(line)), line.T.astype(np.uint8).tobytes()]
    return b"".join(parts)


def _key_id(key: str | None) -> int:
    value = int(key) if key is not None and key.isascii() and key.isdigit() and len(key) < 21 else 0
    return value if value < 2**64 else 0


def _seconds(timestamp: Any) -> int:
    """Seconds since 1970 of a number, or of the text that ndjson has ("2017-03-08 21:12:07.26638 UTC"); else 0."""
    if isinstance(timestamp, str):
        try:
            moment = datetime.strptime(timestamp.removesuffix(" UTC"), "%Y-%m-%d %H:%M:%S.%f")
        except ValueError:
            return 0
        timestamp = moment.replace(tzinfo=UTC).timestamp()
    return int(timestamp) if isinstance(timestamp, int | float) and 0 <= timestamp < 2**32 else 0
