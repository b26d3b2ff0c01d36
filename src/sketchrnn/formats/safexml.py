"""XML from strangers: read without entities, without fetching anything, and within bounds."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

MAX_BYTES = 16 * 2**20
MAX_ELEMENTS = 100_000

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(path: Path) -> ElementTree.Element:
    """The root element of the XML file at `path`.

    A document type with attribute defaults (KanjiVG has one) is read; one that declares an entity is refused before
    anything is expanded, since entities are what makes a small file fill the memory or read other files.

    Raises:
        ValueError: it declares entities, is larger than `MAX_BYTES` or `MAX_ELEMENTS`, or is not well-formed XML.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path} has {size:,} bytes, more than the {MAX_BYTES:,} that are read of one drawing")
    data = path.read_bytes()
    elements = 0

    def on_entity(*_: object) -> None:
        raise ValueError(f"{path} declares XML entities, which are not read: save it again as plain XML without them")

    def on_element(*_: object) -> None:
        nonlocal elements
        elements += 1
        if elements > MAX_ELEMENTS:
            raise ValueError(f"{path} has more than {MAX_ELEMENTS:,} elements, too many for one drawing")

    try:
        scan = expat.ParserCreate()
        scan.EntityDeclHandler = on_entity
        scan.StartElementHandler = on_element
        scan.Parse(data, True)
        return ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError, LookupError) as error:  # LookupError: an unknown encoding
        raise ValueError(f"{path} is not well-formed XML: {error}") from None


def local_name(element: ElementTree.Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def quoted(text: str) -> str:
    """`text` as an attribute's value in its quotes; characters that XML cannot hold become U+FFFD."""
    return quoteattr(_NOT_XML.sub("\ufffd", text))


def escaped(text: str) -> str:
    """`text` as an element's content; characters that XML cannot hold become U+FFFD."""
    text = _NOT_XML.sub("\ufffd", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\r", "&#13;")
