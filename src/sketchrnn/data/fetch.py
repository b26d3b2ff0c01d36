"""A file from an address: whole and checked, or not there at all."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_TRIES = 5


def cache_folder(name: str) -> Path:
    """Where downloads of one kind are kept: $XDG_CACHE_HOME/sketchrnn/NAME, by default under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sketchrnn" / name


def check_address(base: str) -> None:
    """Raises ValueError where the address of a mirror cannot be one."""
    import httpx

    if not base.startswith(("http://", "https://")):
        raise ValueError(f"the mirror's address is {base!r}; it must begin with https:// or http://")
    try:
        httpx.URL(base)
    except httpx.InvalidURL as error:
        raise ValueError(f"the mirror's address is {base!r}, which is none: {error}") from error


def fetch(
    url: str,
    path: Path,
    *,
    check: Callable[[Path], None],
    max_bytes: int | None = None,
    progress: bool = False,
    pause: float = 1.0,
) -> None:
    """Downloads `url` to `path`.

    The file is fetched under another name and takes its own only when its length, its checksum (where the server tells
    one) and its content are right. What an interrupted download leaves is continued by the next.

    Args:
        url: the address.
        path: the file; its folder is made if need be.
        check: looks at what came, under that other name, and raises ValueError where it is not what it should be.
        max_bytes: longer files are refused.
        progress: show a progress bar on stderr.
        pause: seconds before the second of five tries, doubled before each further one.

    Raises:
        ValueError: what came is something else, damaged, or too long.
        OSError: the network or the disk failed.
    """
    import httpx  # not needed by who has the files

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part.{path.name}")  # hidden: who reads the folder does not take it for a file of its kind
    with (
        httpx.Client(timeout=30, follow_redirects=True, headers={"Accept-Encoding": "identity"}) as client,
        _bar(path.name, progress) as show,
    ):
        for attempt in range(_TRIES):
            try:
                headers = _attempt(client, url, part, max_bytes, show)
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
        _check_bytes(part, url, headers)
        check(part)
    except ValueError:
        _forget(part)
        raise
    _etag_file(part).unlink(missing_ok=True)
    os.replace(part, path)


def _attempt(
    client: httpx.Client, url: str, part: Path, max_bytes: int | None, show: Callable[[int, int], None]
) -> httpx.Headers:
    """One try: what is missing of `part` is appended to it."""
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
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            _forget(part)
            raise httpx.ReadError("another part than the missing one came")
        total = have + int(answer.headers.get("Content-Length", 0))
        if tag := answer.headers.get("ETag"):
            etag.write_text(tag, "utf-8")
        else:  # without one nothing says that a rest belongs to the same file
            etag.unlink(missing_ok=True)
        with part.open("ab" if have else "wb") as file:
            for chunk in answer.iter_raw():  # as it comes: what arrived before a break is kept
                have += file.write(chunk)
                if max_bytes is not None and max(have, total) > max_bytes:
                    _forget(part)
                    raise ValueError(f"{url} is longer than {max_bytes:,} bytes: it is not what it should be")
                show(have, total)
            file.flush()
            os.fsync(file.fileno())
        if total and have != total:
            raise httpx.ReadError(f"{have} of {total} bytes came")
        return answer.headers


def _check_bytes(part: Path, url: str, headers: httpx.Headers) -> None:
    """Raises ValueError where `part` is not what the server has, or a web page."""
    if match := re.search(r"md5=([A-Za-z0-9+/=]+)", headers.get("x-goog-hash", "")):
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").digest()
        if digest != base64.b64decode(match[1]):
            raise ValueError(f"{url} came damaged, its checksum is wrong: download it again")
    with part.open("rb") as file:
        head = file.read(512).lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        raise ValueError(f"{url} answers with a web page instead of a file: something between here and there did that")


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
