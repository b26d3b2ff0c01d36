"""Drawings that have a name: KanjiVG, which installs from PyPI, and Quick, Draw!, which is downloaded."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sketchrnn import formats
from sketchrnn.data.fetch import cache_folder, check_address, fetch

KANJIVG_LICENCE = "CC BY-SA 3.0 (KanjiVG, Ulrich Apel, https://kanjivg.tagaini.net)"
QUICKDRAW_LICENCE = "CC BY 4.0 (Quick, Draw!, Google, https://quickdraw.withgoogle.com/data)"
QUICKDRAW_URL = "https://storage.googleapis.com/quickdraw_dataset"

Form = Literal["sketch-rnn", "simplified", "raw", "binary"]
_PATHS: dict[Form, str] = {
    "sketch-rnn": "sketchrnn/{}.npz",
    "simplified": "full/simplified/{}.ndjson",
    "raw": "full/raw/{}.ndjson",
    "binary": "full/binary/{}.bin",
}


def quickdraw_classes() -> tuple[str, ...]:
    """The 345 classes of Quick, Draw!, as the data set itself lists them."""
    text = importlib.resources.files("sketchrnn.data").joinpath("quickdraw_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def kanjivg() -> list[tuple[Path, str]]:
    """The SVG file and the character of each of KanjiVG's 6,431 kanji, by code point; no kana, no variants.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        package = importlib.metadata.distribution("kanjivg")
    except importlib.metadata.PackageNotFoundError:
        raise ModuleNotFoundError('KanjiVG is not installed: pip install "sketchrnn[demo]"') from None
    found = []
    for file in package.files or []:
        # 04e00.svg; a variant has more in its name: 04e00-Kaisho.svg
        match = re.fullmatch(r"kanji/([0-9a-f]{5})\.svg", file.as_posix())
        if match and _is_kanji(int(match[1], 16)):
            found.append((Path(str(package.locate_file(file))), chr(int(match[1], 16))))
    if not found:
        raise ModuleNotFoundError('KanjiVG is installed without its files: pip install --force-reinstall "kanjivg"')
    return sorted(found)


def download_folder() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/sketchrnn/quickdraw, by default under ~/.cache."""
    return cache_folder("quickdraw")


def download(
    names: Sequence[str],
    *,
    out: str | Path | None = None,
    form: Form = "sketch-rnn",
    base: str = QUICKDRAW_URL,
    progress: bool = False,
    pause: float = 1.0,
) -> list[Path]:
    """Download Quick, Draw! classes; the paths of the files. What is there already is not fetched again.

    A file is fetched under another name and takes its own only when its length, its checksum (where the server tells
    one) and its content are right. What an interrupted download leaves is continued by the next.

    Args:
        names: as `quickdraw_classes` has them.
        out: folder for the files; by default `download_folder()`.
        form: `sketch-rnn` (.npz), `simplified` or `raw` (.ndjson), `binary` (.bin).
        base: address of a mirror.
        pause: seconds before the second of five tries, doubled before each further one.

    Raises:
        ValueError: there is no such class or form, or what came is something else.
        OSError: the network or the disk failed.
    """
    check_address(base)
    if form not in _PATHS:
        raise ValueError(f"no form is called {form!r}; there are {', '.join(_PATHS)}")
    known = quickdraw_classes()
    for name in names:
        if name not in known:
            raise ValueError(
                f"Quick, Draw! has no class {name!r}; `sketchrnn data list` shows its {len(known)} classes"
            )
    folder = download_folder() if out is None else Path(out)
    paths = []
    for name in names:
        path = folder / _PATHS[form].format(name).rpartition("/")[2]
        if form == "raw":  # its files are named like the simplified ones
            path = path.with_name(f"{name}.raw.ndjson")
        if not path.exists():
            url = f"{base.rstrip('/')}/{_PATHS[form].format(quote(name))}"
            fetch(url, path, check=partial(_check, path=path, url=url), progress=progress, pause=pause)
        paths.append(path)
    return paths


def _is_kanji(code: int) -> bool:
    """In one of Unicode's blocks of CJK ideographs."""
    return 0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or code >= 0x20000


def _check(part: Path, path: Path, url: str) -> None:
    """Raise ValueError where `part` is not the drawings it should be."""
    with part.open("rb") as file:
        file.seek(max(0, part.stat().st_size - 1))
        last = file.read(1)
    whole = True
    if path.suffix == ".npz":
        whole = zipfile.is_zipfile(part)
    elif path.suffix == ".ndjson":
        whole = last in (b"\n", b"}")
    if not whole:
        raise ValueError(f"what came from {url} is cut off or no {path.suffix} file: download it again")
    try:
        first = next(iter(formats.iterate(part)), None)
    except ValueError as error:
        raise ValueError(f"what came from {url} cannot be read: {error}") from error
    if first is None:
        raise ValueError(f"what came from {url} holds no drawing")
