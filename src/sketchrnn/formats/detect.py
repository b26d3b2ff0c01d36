"""The first look at a file: is it there, and what is in it."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from itertools import islice
from pathlib import Path
from xml.parsers import expat

_COMMENT = rb"<!--(?:(?!-->).)*-->\s*|<\?(?:(?!\?>).)*\?>\s*"
_HTML = re.compile(rb"(?:" + _COMMENT + rb")*<(!doctype\s+html|html|head|body|title|script)\b", re.I | re.S)
_PICTURES = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"RIFF": "WebP", b"BM": "BMP"}
_ENDINGS = {".svg": "svg", ".npz": "npz", ".ndjson": "ndjson-simplified", ".bin": "binary", ".inkml": "inkml"}
_HEAD = 1 << 16

MAX_LINE = 1 << 24  # bytes of one row of ndjson


def kind(path: str | os.PathLike[str]) -> str:
    """What drawings the file holds: svg, npz, ndjson-simplified, ndjson-raw, binary or inkml.

    Its content decides; the ending only where the content leaves it open.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, is empty, or is no file of drawings (an HTML page, a picture, ...).
    """
    path = Path(path)
    head = _first_bytes(path)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if path.suffix.lower() == ".bin" and head[8:10].isalpha() and head[10:11] in (b"\0", b"\1"):
        return "binary"  # it has no mark of its own, and its key may begin like any other file
    if head.startswith(b"PK"):
        return "npz"
    if _HTML.match(text[:4096]):
        raise ValueError(f"{path} is an HTML page, not drawings: the download may have been refused, fetch it again")
    if text.startswith(b"<") or head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        name = _root_name(head)
        if name in ("svg", "ink"):
            return {"svg": "svg", "ink": "inkml"}[name]
        if name is not None:
            raise ValueError(f"{path} is an XML file of <{name}>, not of drawings: <svg> and <ink> are read")
    elif text.startswith(b"{"):
        return _ndjson_kind(path) or "ndjson-simplified"
    for start, picture in _PICTURES.items():
        if head.startswith(start) and path.suffix.lower() not in _ENDINGS:
            raise ValueError(f"{path} is a {picture} picture of pixels: trace it to strokes and save those as SVG")
    by_ending = _ENDINGS.get(path.suffix.lower())
    if by_ending == "binary":
        return by_ending
    if path.suffix.lower() == ".ndjson" and (rows := _ndjson_kind(path)):  # its first row is a bad one
        return rows
    if by_ending is not None:
        raise ValueError(f"{path} does not hold what its ending says: it is cut off, damaged or another kind of file")
    raise ValueError(f"{path} is not a file of drawings that can be read: {' '.join(_ENDINGS)} are")


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder: `sketchrnn data prepare` reads folders") from None
    except OSError as error:
        raise type(error)(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not head:
        raise ValueError(f"{path} is empty")
    return head


def _root_name(head: bytes) -> str | None:
    """Local name of the first XML element in `head`, None where none can be made out."""
    names: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, _: names.append(name)
    with suppress(expat.ExpatError, LookupError):  # LookupError: an unknown encoding
        parser.Parse(head, False)
    return names[0].rpartition(":")[2] if names else None


def _ndjson_kind(path: Path) -> str | None:
    """Raw strokes have times beside x and y: the first row that has a stroke tells. None where no row is an object."""
    found = None
    with path.open("rb") as file:
        for line in islice(iter(lambda: file.readline(MAX_LINE), b""), 100):
            try:
                row = json.loads(line)
                found = "ndjson-simplified" if isinstance(row, dict) else found
                return "ndjson-raw" if len(row["drawing"][0]) > 2 else "ndjson-simplified"
            except (ValueError, KeyError, TypeError, IndexError, RecursionError):
                continue
    return found
