"""Columns of drawings on disk: what the tasks of a preparation write, and how it is joined.

A shard is a folder of plain arrays, five for each split. Joining them copies bytes from file to file; what is kept in
memory is a few numbers a drawing, never its points.
"""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sketchrnn.config import FirstOffset
from sketchrnn.data.dataset import SPLITS
from sketchrnn.drawing import MAX_OFFSET

FLUSH = 1024  # drawings of a split that are held before they are written
CHUNK = 1 << 20  # rows, or numbers, handled at a time


@dataclass
class Shard:
    """What one task made; the columns lie in its folder."""

    folder: Path
    labels: list[str] = field(default_factory=list)
    """Its own numbering of labels."""
    dropped: Counter[str] = field(default_factory=Counter)
    """How many drawings were set aside, by the kind of reason."""
    clamped: int = 0
    """Drawings with an offset beyond +-1000."""
    whole_numbers: bool = True
    """Every value fits into int16."""


class ShardWriter:
    """Takes drawings and appends them to the columns of a shard, a thousand at a time."""

    def __init__(self, shard: Shard, on_write: Callable[[], None]) -> None:
        self._shard = shard
        self._on_write = on_write
        self._label_ids: dict[str, int] = {}
        self.failed = False
        """A write did not come to its end: the columns no longer fit each other."""
        self._held: dict[str, list[tuple[NDArray[np.float32], int, str | None]]] = {split: [] for split in SPLITS}

    def add(self, split: str, stroke3: NDArray[np.float32], label: str | None, key: str | None) -> None:
        """Takes a drawing of at least one point."""
        label_id = -1 if label is None else self._label_ids.setdefault(label, len(self._label_ids))
        self._held[split].append((stroke3, label_id, key))
        if len(self._held[split]) >= FLUSH:
            self._write(split)

    def close(self) -> None:
        """Writes what is still held."""
        for split in SPLITS:
            if self._held[split]:
                self._write(split)
        self._shard.labels = list(self._label_ids)

    def _write(self, split: str) -> None:
        self.failed = True
        strokes, label_ids, keys = zip(*self._held[split], strict=True)
        values, lengths = np.concatenate(strokes), np.array([len(rows) for rows in strokes])
        texts = [b"" if key is None else key.encode() for key in keys]
        key_lengths = [-1 if key is None else len(text) for key, text in zip(keys, texts, strict=True)]
        for column, content in (
            ("values", values.tobytes()),
            ("lengths", lengths.astype(np.int64).tobytes()),
            ("labels", np.array(label_ids, np.int32).tobytes()),
            ("keys", b"".join(texts)),
            ("key_lengths", np.array(key_lengths, np.int32).tobytes()),
        ):
            with (self._shard.folder / f"{split}.{column}").open("ab") as file:
                file.write(content)
        limits = np.iinfo(np.int16)
        self._shard.whole_numbers &= bool(
            (values >= limits.min).all() and (values <= limits.max).all() and (values == np.rint(values)).all()
        )
        beyond = np.abs(values[:, :2]).max(axis=1) > MAX_OFFSET
        self._shard.clamped += int(np.logical_or.reduceat(beyond, np.cumsum(lengths) - lengths).sum())
        self._held[split].clear()
        self._on_write()
        self.failed = False


@dataclass
class Columns:
    """All drawings of a split; the values and the keys' text lie on disk."""

    values: NDArray[Any]
    """(sum of N_s, 3) stroke-3 rows."""
    lengths: NDArray[np.int64]
    label_ids: NDArray[np.int32]
    keys: pa.LargeStringArray

    def __len__(self) -> int:
        return len(self.lengths)

    def offsets(self) -> NDArray[np.int64]:
        """(n + 1,): where each drawing begins and ends in `values`."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def without_last(self) -> tuple[Columns, Columns]:
        """All drawings but the last, and the last."""
        n, row = len(self) - 1, len(self.values) - int(self.lengths[-1])
        return (
            Columns(self.values[:row], self.lengths[:n], self.label_ids[:n], self.keys.slice(0, n)),
            Columns(self.values[row:], self.lengths[n:], self.label_ids[n:], self.keys.slice(n)),
        )


def join(shards: Sequence[Shard], split: str, labels: Sequence[str], folder: Path) -> Columns:
    """The columns of a split, from all shards in their order; `folder` takes the files that they need.

    Args:
        labels: the common numbering of labels, with all that occur.
    """
    dtype = np.int16 if all(shard.whole_numbers for shard in shards) else np.float32
    number = {label: i for i, label in enumerate(labels)}
    lengths, label_ids, key_lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    values_path, keys_path = folder / f"{split}.values", folder / f"{split}.keys"
    with values_path.open("wb") as values, keys_path.open("wb") as keys:
        for shard in shards:
            if not (shard.folder / f"{split}.lengths").exists():
                continue
            with (shard.folder / f"{split}.values").open("rb") as file:
                while len(chunk := np.fromfile(file, np.float32, CHUNK)):
                    values.write(chunk.astype(dtype).tobytes())
            with (shard.folder / f"{split}.keys").open("rb") as file:
                shutil.copyfileobj(file, keys)
            lengths.append(np.fromfile(shard.folder / f"{split}.lengths", np.int64))
            key_lengths.append(np.fromfile(shard.folder / f"{split}.key_lengths", np.int32))
            numbers = np.array([*(number[label] for label in shard.labels), -1], np.int32)
            label_ids.append(numbers[np.fromfile(shard.folder / f"{split}.labels", np.int32)])  # -1 finds the last, -1
    return Columns(
        values=_mapped(values_path, dtype).reshape(-1, 3),
        lengths=np.concatenate(lengths),
        label_ids=np.concatenate(label_ids),
        keys=_strings(_mapped(keys_path, np.uint8), np.concatenate(key_lengths)),
    )


def fill_empty(splits: dict[str, Columns], wanted: Sequence[str]) -> None:
    """Chance may leave a split of a small dataset empty: give it a drawing of the largest one. There is always one to
    train on, and with three or more drawings one in each of the `wanted` splits."""
    enough = sum(map(len, splits.values())) >= 3
    for name in ("train", *(wanted if enough else ())):
        if not len(splits[name]):
            giver = max(splits, key=lambda other: len(splits[other]))
            splits[giver], splits[name] = splits[giver].without_last()


def label_counts(splits: Mapping[str, Columns], labels: Sequence[str]) -> dict[str, int]:
    """How many drawings each label has."""
    label_ids = np.concatenate([split.label_ids for split in splits.values()])
    counts = np.bincount(label_ids[label_ids >= 0], minlength=len(labels))
    return dict(zip(labels, counts.tolist(), strict=True))


def scale_factor(values: NDArray[Any]) -> float:
    """The standard deviation of all dx and dy of `values` together, clamped to +-1000: the reference's `np.std`.

    Raises:
        ValueError: it is 0.
    """
    low = min(chunk.min() for chunk in _offset_chunks(values))
    high = max(chunk.max() for chunk in _offset_chunks(values))
    if low == high:
        raise ValueError(
            f"all drawings are alike, every offset is {low:g} (scale factor 0): there is nothing to learn, "
            "give other drawings"
        )
    count = 2 * len(values)
    mean = sum(chunk.sum() for chunk in _offset_chunks(values)) / count
    return math.sqrt(sum(((chunk - mean) ** 2).sum() for chunk in _offset_chunks(values)) / count)


def median_size(split: Columns) -> float:
    """The median of the drawings' longer sides, their offsets clamped."""
    sides = []
    for points, starts in _points(split):
        widths = np.maximum.reduceat(points, starts, axis=0) - np.minimum.reduceat(points, starts, axis=0)
        sides.append(widths.max(axis=1))
    return float(np.median(np.concatenate(sides)))


def first_offset(split: Columns, size: float) -> FirstOffset:
    """What the first rows of the drawings are: see `DataInfo.first_offset`.

    They are `zero` where nine drawings in ten begin within 2 % of `size`, the median longer side, of the origin. They
    are lines where the origin is no corner of a sheet, half of the drawings reaching beyond it to the left or upwards,
    and the offsets are no longer than lines are, half of them below 10 % of the size. Else they are positions.
    """
    firsts = np.abs(split.values[split.offsets()[:-1], :2].astype(np.float64)).max(axis=1)
    if np.quantile(firsts, 0.9) <= 0.02 * size:
        return "zero"
    if np.median(firsts) > 0.1 * size:
        return "position"
    beyond = []
    for points, starts in _points(split):
        before = np.zeros((len(starts), 2))
        before[1:] = points[starts[1:] - 1]
        corners = np.minimum.reduceat(points, starts, axis=0) - before
        beyond.append(corners.min(axis=1) < -0.02 * size)
    return "line" if np.concatenate(beyond).mean() >= 0.5 else "position"


def _points(split: Columns) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """A thousand drawings at a time: their clamped offsets added up, from one drawing to the next without a break, and
    the rows with which they begin."""
    offsets = split.offsets()
    for i in range(0, len(split), FLUSH):
        ends = offsets[i : i + FLUSH + 1]
        rows = split.values[ends[0] : ends[-1], :2].astype(np.float64).clip(-MAX_OFFSET, MAX_OFFSET)
        yield np.cumsum(rows, axis=0), ends[:-1] - ends[0]


def _offset_chunks(values: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    for i in range(0, len(values), CHUNK):
        yield values[i : i + CHUNK, :2].astype(np.float64).clip(-MAX_OFFSET, MAX_OFFSET)


def _mapped(path: Path, dtype: type) -> NDArray[Any]:
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.zeros(0, dtype)  # nothing cannot be mapped


def _strings(text: NDArray[np.uint8], lengths: NDArray[np.int32]) -> pa.LargeStringArray:
    """The strings that follow each other in `text`; None where the length is -1."""
    offsets = np.concatenate([[0], np.cumsum(lengths.clip(0), dtype=np.int64)])
    valid = np.packbits(lengths >= 0, bitorder="little")
    buffers = [pa.py_buffer(array) for array in (valid, offsets, text)]
    return pa.Array.from_buffers(pa.large_string(), len(lengths), buffers)
