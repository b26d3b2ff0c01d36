"""The INPUT of a command: drawings named by one text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sketchrnn import formats
from sketchrnn.data.dataset import SPLITS, Dataset, Split
from sketchrnn.drawing import Drawing, like_quickdraw
from sketchrnn.formats import svg


def open_input(text: str) -> list[Drawing]:
    """The drawings that `text` names, in their own units.

    `FILE` is all drawings of a file in any format, `FILE#7` the eighth of them (of an .npz: train, then valid, then
    test); `DATASET:test` all drawings of a dataset's split, `DATASET:test#7` the eighth. What exists under the whole
    text is taken as a path, whatever signs it holds.

    Raises:
        OSError: there is no such file or dataset.
        ValueError: it cannot be read, holds no drawing, or none of that number.
    """
    name, wanted = name_and_number(text)
    if wanted is None:
        drawings = list(_drawings(text))
        if not drawings:
            raise ValueError(f"{text} holds no drawing")
        return drawings
    count, source = 0, _drawings(name)
    if isinstance(source, Split) and wanted < len(source):
        return [source[wanted]]
    for count, drawing in enumerate(source, 1):
        if count == wanted + 1:
            return [drawing]
    raise ValueError(f"{text}: there is no #{wanted}, {name} holds {count} drawings and the first is #0")


def name_and_number(text: str) -> tuple[str, int | None]:
    """What stands before and after the # of an INPUT; the whole and None where it names no number."""
    name, _, number = text.rpartition("#")
    if Path(text).exists() or not name or not number.isdecimal():
        return text, None
    return name, int(number)


def in_foreign_units(path: Path) -> bool:
    """Whether the drawings of a file are in units of a pen, a screen or a page; those in our own pictures are in a
    model's."""
    kind = formats.kind(path)
    return kind in formats.DEVICE_KINDS and not (kind == "svg" and svg.is_ours(path))


def fitted(
    drawings: Sequence[Drawing], path: Path, size: float, max_points: int, *, begun: bool = False
) -> list[Drawing]:
    """The drawings of a file in foreign units, at a size and of at most so many points.

    Args:
        begun: they are not finished: what is brought to that size is the sheet, where the file says it.
    """
    sheet = svg.sheet(path) if begun and formats.kind(path) == "svg" else None
    return [like_quickdraw(each, size, sheet=sheet).limited(max_points) for each in drawings]


def _drawings(name: str) -> Iterable[Drawing]:
    folder, _, split = name.rpartition(":")
    if folder and split in SPLITS and not Path(name).exists():
        return Dataset(folder).split(split)
    if Path(name).is_dir():
        raise ValueError(f"{name} is a folder: name a file, or a dataset's drawings like {name}:test#7")
    return formats.iterate(name)
