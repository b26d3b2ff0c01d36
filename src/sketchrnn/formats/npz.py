"""sketch-rnn's npz: a zip of arrays `train`, `valid` and `test`, each a list of stroke-3 drawings of their own length.

The lists are object arrays, which numpy pickles: the official files by Python 2. `pickled_arrays` reads them without
the pickle module, so that a file cannot run anything. Plain arrays are read too: (drawings, points, 3), or (points, 3)
for one drawing.
"""

from __future__ import annotations

import io
import lzma
import os
import pickle  # to write; nothing is ever unpickled
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchrnn.drawing import Drawing
from sketchrnn.formats import pickled_arrays
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.formats.bad_rows import OnBad, report
from sketchrnn.formats.detect import kind

SPLITS = ("train", "valid", "test")
MAX_BYTES = 2**31  # unpacked, all arrays together
MAX_RATIO = 100  # of unpacked bytes to the file's, beyond the first million: drawings pack to a half or a fifth
MAX_POINTS = 2 * 10**8  # of all drawings together: what a small file could repeat

_HEADER = re.compile(
    r"\{'descr': '([<>|=]?[a-zA-Z]\d*)', 'fortran_order': (True|False), 'shape': \((|\d+L?(?:, ?\d+L?)*),?\),? ?\}\s*"
)
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip


def iterate(path: Path, *, bad: OnBad | None = None) -> Iterator[Drawing]:
    """The drawings of all splits, in the order train, valid, test."""
    for name, rows in _arrays(path).items():
        yield from _drawings(rows, f"{path.name}:{name}", bad)


def splits(path: str | os.PathLike[str], *, bad: OnBad | None = None) -> dict[str, list[Drawing]]:
    """The drawings by split: train, valid and test where the file has them, else each array under its own name.

    A bad drawing is reported as ("cat.npz:train#17", reason), counted from 0.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a drawing is bad and there is no `bad` to take it; or the file is cut off, is no npz file, holds
            something other than drawings or names something that is no array.
    """
    path = Path(path)
    if kind(path) != "npz":
        raise ValueError(f"{path} is not an npz file")
    return {name: list(_drawings(rows, f"{path.name}:{name}", bad)) for name, rows in _arrays(path).items()}


def write(drawings: Sequence[Drawing], path: Path) -> None:
    """Writes all drawings as `train`, with `valid` and `test` empty."""
    write_splits({"train": drawings}, path)


def write_splits(splits: Mapping[str, Sequence[Drawing]], path: str | os.PathLike[str]) -> None:
    """Writes train, valid and test as the reference reads them.

    That is `numpy.load(path, encoding="latin1", allow_pickle=True)`, which needs the latin1 for older files only.
    Offsets are int16 where all are whole numbers in its range, else float32. The same drawings give the same bytes.
    Labels and keys are not part of the format.

    Raises:
        ValueError: a split has another name.
        OSError: the folder is missing or not writable, or the disk is full.
    """
    if other := sorted(set(splits) - set(SPLITS)):
        raise ValueError(f"an npz file has the splits train, valid and test, not {', '.join(other)}")
    rows = [drawing.stroke3 for drawings in splits.values() for drawing in drawings]
    whole = all(((array >= -(2**15)) & (array < 2**15) & (array == array.round())).all() for array in rows)
    dtype = np.dtype(np.int16 if whole else np.float32)
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in SPLITS:
            arrays = [drawing.stroke3.astype(dtype) for drawing in splits.get(name, ())]
            member = zipfile.ZipInfo(f"{name}.npy")  # its date is fixed, 1980-01-01
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, _npy_bytes(arrays))


def _npy_bytes(arrays: list[NDArray[Any]]) -> bytes:
    """An .npy file of an object array, pickled so that Python 2 and numpy 1 read it too."""
    objects = np.empty(len(arrays), dtype=object)
    for i, array in enumerate(arrays):
        objects[i] = array
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": objects.shape})
    # numpy 2 pickles its function under a module that numpy 1 lacks; the old name still opens in both.
    pickled = pickle.dumps(objects, protocol=2)
    file.write(pickled.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1))
    return file.getvalue()


def _arrays(path: Path) -> dict[str, Sequence[Any]]:
    """The items of the arrays that hold drawings, by name."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            members = {name: members[name] for name in SPLITS if name in members} or members
            size = sum(info.file_size for info in members.values())
            most = min(MAX_BYTES, 10**6 + MAX_RATIO * path.stat().st_size)
            if size > most:
                raise ValueError(
                    f"{path} unpacks to {size:,} bytes, more than the {most:,} that are read of such a file"
                )
            if not members:
                raise ValueError(f"{path} holds no arrays")
            arrays = {name: _items(archive.read(info), f"{path}:{name}") for name, info in members.items()}
    except _DAMAGED:
        raise ValueError(f"{path} is cut off or damaged: fetch or copy it again") from None
    num_points = sum(len(item) for items in arrays.values() for item in items if isinstance(item, np.ndarray))
    if num_points > MAX_POINTS:
        raise ValueError(f"{path} holds {num_points:,} points, more than the {MAX_POINTS:,} that are read of one file")
    return arrays


def _items(data: bytes, where: str) -> Sequence[Any]:
    """The drawings, still as arrays, in the bytes of an .npy file."""
    version, start = data[6:7], 10 if data[6:7] == b"\x01" else 12
    if data[:6] != b"\x93NUMPY" or version not in (b"\x01", b"\x02"):
        raise ValueError(f"{where} is not an array that numpy wrote")
    end = start + int.from_bytes(data[8:start], "little")
    header = _HEADER.fullmatch(data[start:end].decode("latin1"))
    if header is None or end > len(data):
        raise ValueError(f"{where} is not an array of drawings: its header is {data[start : start + 60]!r}")
    descr, by_columns, shape_text = header.groups()
    if descr.lstrip("|<>=").startswith("O"):
        try:
            return pickled_arrays.load(data, end)
        except ValueError as error:
            raise ValueError(f"{where} cannot be read: {error}") from None
    shape = tuple(int(n.rstrip("L")) for n in shape_text.replace(",", " ").split())
    if descr[-2:] not in pickled_arrays.CODES or len(shape) not in (2, 3) or shape[-1] != 3 or shape[1] == 0 < shape[0]:
        raise ValueError(f"{where} is an array {descr} {shape}, not drawings: (points, 3) or (drawings, points, 3)")
    try:
        array = np.frombuffer(data, np.dtype(descr), offset=end).reshape(
            shape, order="F" if by_columns == "True" else "C"
        )
    except ValueError:
        raise ValueError(f"{where} is cut off or damaged: fetch or copy it again") from None
    return [array] if array.ndim == 2 else list(array)


def _drawings(items: Sequence[Any], where: str, bad: OnBad | None) -> Iterator[Drawing]:
    for i, item in enumerate(items):
        try:
            if not isinstance(item, np.ndarray):
                raise ValueError(f"a drawing is an array of (dx, dy, p), not a {type(item).__name__}")
            drawing = Drawing(item)
        except ValueError as error:
            report(bad, f"{where}#{i}", str(error))
        else:
            yield drawing
