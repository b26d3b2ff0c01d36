"""Drawings that have a name: KanjiVG, which installs from PyPI, and Quick, Draw!, which is downloaded."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.metadata
import importlib.resources
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from sketchrnn import formats

if TYPE_CHECKING:
    import httpx

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
_TRIES = 5


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
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sketchrnn" / "quickdraw"


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
    import httpx  # not needed by who has the files

    if not base.startswith(("http://", "https://")):
        raise ValueError(f"the mirror's address is {base!r}; it must begin with https:// or http://")
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
    with httpx.Client(timeout=30, follow_redirects=True, headers={"Accept-Encoding": "identity"}) as client:
        for name in names:
            path = folder / _PATHS[form].format(name).rpartition("/")[2]
            if form == "raw":  # its files are named like the simplified ones
                path = path.with_name(f"{name}.raw.ndjson")
            if not path.exists():
                url = f"{base.rstrip('/')}/{_PATHS[form].format(quote(name))}"
                _download(client, url, path, progress=progress, pause=pause)
            paths.append(path)
    return paths


def _is_kanji(code: int) -> bool:
    """In one of Unicode's blocks of CJK ideographs."""
    return 0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or code >= 0x20000


def _download(client: httpx.Client, url: str, path: Path, *, progress: bool, pause: float) -> None:
    """Fetch `url` to `path`, continuing what an earlier attempt left beside it."""
    import httpx

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part.{path.name}")  # hidden: who reads the folder does not take it for drawings
    with _bar(path.name, progress) as show:
        for attempt in range(_TRIES):
            try:
                headers = _fetch(client, url, part, show)
                break
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if status < 500 and status not in (408, 429):
                    raise OSError(f"{url} answers {status} {error.response.reason_phrase}") from error
                failure: Exception = error
            except httpx.RequestError as error:
                failure = error
            if attempt + 1 < _TRIES:
                time.sleep(pause * 2**attempt)
        else:
            raise OSError(
                f"{url} could not be downloaded in {_TRIES} tries ({failure}): run the same again to continue"
            ) from failure
    try:
        _check(part, path, url, headers)
    except ValueError:
        _forget(part)
        raise
    _etag_file(part).unlink(missing_ok=True)
    os.replace(part, path)


def _fetch(client: httpx.Client, url: str, part: Path, show: Callable[[int, int], None]) -> httpx.Headers:
    """One attempt: what is missing of `part` is appended to it."""
    import httpx

    etag = _etag_file(part)
    have = part.stat().st_size if part.exists() and etag.exists() else 0
    # If-Range: the rest of the same file, or, where the server's file has changed, all of the new one.
    wanted = {"Range": f"bytes={have}-", "If-Range": etag.read_text("utf-8")} if have else {}
    with client.stream("GET", url, headers=wanted) as answer:
        if answer.status_code == 416:  # nothing is left to fetch, or the part is longer than the file: start anew
            _forget(part)
            raise httpx.ReadError("the part that was kept did not fit the file")
        answer.raise_for_status()
        if answer.status_code != 206:
            have = 0
        total = have + int(answer.headers.get("Content-Length", 0))
        if tag := answer.headers.get("ETag"):
            etag.write_text(tag, "utf-8")
        else:  # without one nothing says that a rest belongs to the same file
            etag.unlink(missing_ok=True)
        with part.open("ab" if have else "wb") as file:
            for chunk in answer.iter_raw():  # as it comes: what arrived before a break is kept
                have += file.write(chunk)
                show(have, total)
            file.flush()
            os.fsync(file.fileno())
        if total and have != total:
            raise httpx.ReadError(f"{have} of {total} bytes came")
        return answer.headers


def _check(part: Path, path: Path, url: str, headers: httpx.Headers) -> None:
    """Raise ValueError where `part` is not the drawings it should be."""
    if match := re.search(r"md5=([A-Za-z0-9+/=]+)", headers.get("x-goog-hash", "")):
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").digest()
        if digest != base64.b64decode(match[1]):
            raise ValueError(f"{url} came damaged, its checksum is wrong: download it again")
    with part.open("rb") as file:
        head = file.read(512).lstrip().lower()
        file.seek(max(0, part.stat().st_size - 1))
        last = file.read(1)
    if head.startswith((b"<!doctype html", b"<html")):
        raise ValueError(
            f"{url} answers with a web page instead of drawings: something between here and there did that"
        )
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


def _etag_file(part: Path) -> Path:
    """Holds the server's ETag of the file that `part` is the beginning of."""
    return part.with_name(part.name + ".etag")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _etag_file(part).unlink(missing_ok=True)


@contextlib.contextmanager
def _bar(name: str, progress: bool) -> Iterator[Callable[[int, int], None]]:
    """Gives a function that shows (bytes there, bytes in all)."""
    if not progress:
        yield lambda have, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda have, total: bar.update(task, completed=have, total=total or None)
