"""A dataset: a folder of drawings ready to train on, read without loading it.

    dataset.json                             what `sketchrnn data info` shows
    train.arrow · valid.arrow · test.arrow   Arrow IPC files, one record batch each

Columns: `strokes`, a large_list of fixed_size_list<3> of int16 (of float32 where an offset is no whole number): the
stroke-3 rows in the drawings' own units; `label`, a dictionary of strings; `key`, a string. The files are
memory-mapped: opening ten million drawings costs nothing, and a drawing is read where it lies. Any Arrow reader opens
them.
"""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sketchrnn.config import DataInfo, FirstOffset
from sketchrnn.drawing import Drawing
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.formats.npz import SPLITS

VERSION = 1
FORMAT = "sketchrnn dataset"


class Split(Sequence[Drawing]):
    """The drawings of one split, in the file's order; each is made when it is asked for.

    The arrays are views of the file: what training reads, many drawings at once.
    """

    values: NDArray[Any]
    """(sum of N_s, 3) int16 or float32: the stroke-3 rows of all drawings, one after the other; read-only."""
    offsets: NDArray[np.int64]
    """(n + 1,): drawing i is `values[offsets[i] : offsets[i + 1]]`."""
    label_ids: NDArray[np.int32]
    """(n,): index into `labels`; -1 where a drawing has none."""
    labels: tuple[str, ...]

    def __init__(self, path: str | Path, *, first_left_out: bool = False) -> None:
        """
        Args:
            first_left_out: the rows in the file leave out the first point of every drawing, (0, 0); the drawings that
                are asked for have it.

        Raises:
            OSError: there is no such file.
            ValueError: the file is cut off, or not one that `write_split` made.
        """
        self.path = Path(path)
        self._first = np.zeros((int(first_left_out), 3), np.float32)
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} is missing: prepare the dataset again")
        try:
            reader = pa.ipc.open_file(pa.memory_map(os.fsencode(self.path)))  # as bytes: a path may be no text
            batch = reader.get_batch(0)
            batch.validate()
            strokes, label = batch.column("strokes"), batch.column("label")
            self.values = strokes.values.values.to_numpy().reshape(-1, 3)
            self.offsets = strokes.offsets.to_numpy()
            indices = label.indices.fill_null(-1) if label.null_count else label.indices
            self.label_ids = indices.to_numpy()
            self.labels = tuple(label.dictionary.to_pylist())
            self._keys = batch.column("key")
        except (pa.ArrowException, OSError, KeyError, AttributeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{self.path} is cut off or damaged ({reason}): prepare the dataset again") from error

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(n,): N_s, the points of each drawing."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def stroke3(self, i: int) -> NDArray[Any]:
        """(N_s, 3) rows of drawing `i` as they were learned from, a view of the file."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    @overload
    def __getitem__(self, i: int) -> Drawing: ...
    @overload
    def __getitem__(self, i: slice) -> list[Drawing]: ...
    def __getitem__(self, i: int | slice) -> Drawing | list[Drawing]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        at = operator.index(i)
        at += len(self) if at < 0 else 0
        if not 0 <= at < len(self):
            raise IndexError(f"{self.path.stem} has {len(self)} drawings; there is no #{i}")
        label_id = self.label_ids[at]
        rows = np.concatenate([self._first, self.stroke3(at)]) if len(self._first) else self.stroke3(at)
        return Drawing(rows, self.labels[label_id] if label_id >= 0 else None, self._keys[at].as_py())

    def __iter__(self) -> Iterator[Drawing]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Split({str(self.path)!r}, {len(self)} drawings)"


class Dataset:
    """The drawings in a dataset folder, as `prepare` makes one.

    Raises:
        OSError: there is no such folder, or a file of it is missing.
        ValueError: the folder is no dataset, is damaged, or was made by a newer version.
    """

    train: Split
    valid: Split
    test: Split

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._summary = _read_summary(self.folder)
        left_out = self._summary.get("first_offset") == "line"
        self.train, self.valid, self.test = (
            Split(self.folder / f"{name}.arrow", first_left_out=left_out) for name in SPLITS
        )
        for name in SPLITS:
            said, there = self._summary["drawings"][name], len(self.split(name))
            if said != there:
                raise ValueError(f"{self.folder}: {name}.arrow holds {there} drawings, dataset.json says {said}")

    @property
    def info(self) -> DataInfo:
        """What a model trained on it must know."""
        summary = self._summary
        return DataInfo(
            scale_factor=float(summary["scale_factor"]),
            max_length=int(summary["max_length"]),
            labels=self.labels,
            name=summary["name"],
            licence=summary["licence"],
            size=float(summary["size"]),
            first_offset=summary.get("first_offset", "position"),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes in it, sorted."""
        return tuple(self._summary["labels"])

    def split(self, name: str) -> Split:
        """The split called `name`: train, valid or test."""
        if name not in SPLITS:
            raise ValueError(f"a dataset has no split {name!r}; it has {', '.join(SPLITS)}")
        split: Split = getattr(self, name)
        return split

    def summary(self) -> dict[str, Any]:
        """What dataset.json says: `drawings` by split, `max_length` (N_max), `mean_length`, `scale_factor`, `size`
        (median longer side), `first_offset` (what the first rows are, see `DataInfo`), `labels`, `counts` by label,
        `licence`, `sources`, `dropped` by reason, `clamped`, `settings`."""
        return json.loads(json.dumps(self._summary))  # a copy, all the way down

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.split(name))} {name}" for name in SPLITS)
        return f"Dataset({str(self.folder)!r}: {counts})"


def is_dataset(folder: str | Path) -> bool:
    """Whether `folder` is a dataset, of whatever version."""
    try:
        return json.loads((Path(folder) / "dataset.json").read_text("utf-8"))["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_split(
    path: Path,
    values: NDArray[Any],
    offsets: NDArray[np.int64],
    label_ids: NDArray[np.int32],
    labels: Sequence[str],
    keys: pa.LargeStringArray,
) -> None:
    """Write one split: `values` (sum of N_s, 3) int16 or float32, the others as `Split` has them. Nothing is copied, so
    that memory-mapped arrays of any size can be written."""
    rows = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 3)
    strokes = pa.LargeListArray.from_arrays(pa.array(offsets), rows)
    indices = pa.array(label_ids, mask=label_ids < 0)
    label = pa.DictionaryArray.from_arrays(indices, pa.array(list(labels), pa.string()))
    batch = pa.record_batch({"strokes": strokes, "label": label, "key": keys})
    with (
        atomic_file(path) as temporary,
        pa.OSFile(os.fsencode(temporary), "wb") as file,
        pa.ipc.new_file(file, batch.schema) as writer,
    ):
        writer.write_batch(batch)


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Write dataset.json: the mapping that `Dataset.summary` gives back."""
    text = json.dumps({"format": FORMAT, "version": VERSION, **summary}, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_file(folder / "dataset.json") as temporary:
        temporary.write_text(text + "\n", "utf-8", errors="replace")  # a name of a file may be no text


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no dataset at {folder}: `sketchrnn data prepare SOURCE --out DIR` makes one")
    if not path.is_file():
        raise ValueError(f"{folder} is not a dataset, it has no dataset.json: `sketchrnn data prepare` makes one")
    try:
        summary = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): prepare the dataset again") from error
    if not isinstance(summary, dict) or summary.pop("format", None) != FORMAT:
        raise ValueError(f"{path} does not describe a sketchrnn dataset")
    version = summary.pop("version", None)
    if not isinstance(version, int) or version > VERSION:
        raise ValueError(f"{folder} has dataset version {version}, this sketchrnn reads up to {VERSION}: upgrade it")
    if missing := sorted(
        {"drawings", "max_length", "scale_factor", "labels", "name", "licence", "size"} - set(summary)
    ):
        raise ValueError(f"{path} lacks {', '.join(missing)}: prepare the dataset again")
    if not isinstance(summary["drawings"], dict) or not summary["drawings"].keys() >= set(SPLITS):
        raise ValueError(f'"drawings" in {path} does not count {", ".join(SPLITS)}: prepare the dataset again')
    if (kind := summary.get("first_offset", "position")) not in get_args(FirstOffset):
        raise ValueError(f'"first_offset" in {path} is {kind!r}, not position, zero or line')
    return summary
