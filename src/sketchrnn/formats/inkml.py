"""W3C Ink Markup Language: one drawing a file, each trace a stroke. https://www.w3.org/TR/InkML/"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from sketchrnn.drawing import Drawing
from sketchrnn.formats import safexml
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.formats.bad_rows import OnBad, report

MAX_POINTS = 1_000_000

_LABELS = ("label", "truth")
_ID = "{http://www.w3.org/XML/1998/namespace}id"
_DEFAULT = ("X", "Y")
_VALUE = re.compile(
    r"\s*+(?>([!'\"])\s*+)?(?:(?>([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))|(#[0-9a-fA-F]{1,200})|([TF*?]))"
)

Channels = tuple[str, ...]


def iterate(path: Path, *, bad: OnBad | None = None) -> Iterator[Drawing]:
    """The one drawing of the file: its traces in document order, those of a pen in the air left out.

    The label is the document's annotation of type `label` or `truth`; its other annotations go into `meta`.

    Raises:
        ValueError: it is not well-formed, declares entities, or has no traces with X and Y; a bad trace, when there is
            no `bad` to take it.
    """
    root = safexml.parse(path)
    traces = _traces(root)
    if not traces:
        raise ValueError(f"{path} has no traces")
    channels = _channels(root)
    strokes: dict[str, list[tuple[float, float]]] = {}  # by the trace's id, or its place
    num_points = 0
    for i, trace in enumerate(traces):
        try:
            context = trace.get("contextRef", "").removeprefix("#")
            points = _points(trace.text or "", channels.get(context, channels[""]))
        except ValueError as error:
            report(bad, f"{path.name}:trace {i}", str(error))
            continue
        num_points += len(points)
        if num_points > MAX_POINTS:
            raise ValueError(f"{path} has more than {MAX_POINTS:,} points, too many for one drawing")
        prior = trace.get("priorRef", "").removeprefix("#")
        if trace.get("continuation") in ("middle", "end") and prior in strokes:
            earlier = strokes.pop(prior)  # the pen had not lifted
            earlier += points
            points = earlier
        strokes[trace.get(_ID) or trace.get("id") or f"trace {i}"] = points
    annotations = {a.get("type", ""): (a.text or "").strip() for a in root if safexml.local_name(a) == "annotation"}
    label = next((annotations.pop(name) for name in _LABELS if annotations.get(name)), None)
    key = annotations.pop("key", None)
    lines = [np.array(points) for points in strokes.values()]
    try:
        yield Drawing.from_lines(lines, label=label, key=key, meta=annotations)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def write(drawings: Sequence[Drawing], path: Path) -> None:
    """Writes the one drawing.

    Raises:
        ValueError: there is more than one.
    """
    if len(drawings) != 1:
        raise ValueError(f"an InkML file holds one drawing, not {len(drawings)}: write .ndjson or .npz")
    drawing = drawings[0]
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n<ink xmlns="http://www.w3.org/2003/InkML">\n']
    for name, text in (("label", drawing.label), ("key", drawing.key)):
        if text:
            parts.append(f'<annotation type="{name}">{safexml.escaped(text)}</annotation>\n')
    for line in drawing.lines():
        points = ", ".join(f"{_number(x)} {_number(y)}" for x, y in line.tolist())
        parts.append(f"<trace>{points}</trace>\n")
    with atomic_file(path) as temporary:
        temporary.write_text("".join([*parts, "</ink>\n"]), encoding="utf-8")


def _traces(root: Element) -> list[Element]:
    """The traces in document order; those among the definitions only where there are no others."""
    found: list[Element] = []
    defined: list[Element] = []
    waiting = [(root, False)]
    while waiting:
        element, in_definitions = waiting.pop()
        name = safexml.local_name(element)
        if name == "trace" and element.get("type") != "penUp":
            (defined if in_definitions else found).append(element)
        in_definitions = in_definitions or name == "definitions"
        waiting += [(child, in_definitions) for child in reversed(element)]
    return found or defined


def _channels(root: Element) -> dict[str, Channels]:
    """Names of the channels by the id of their context; under "" those of traces that name no context."""
    formats: dict[str, Channels] = {}  # by the id of a traceFormat, and of the inkSource and context it stands in
    first: Channels | None = None
    for element in root.iter():
        name, own = safexml.local_name(element), element.get(_ID) or element.get("id") or ""
        if name == "traceFormat":
            first = first or _format(element)
            formats[own] = _format(element)
        elif name in ("inkSource", "context"):
            inner = [child for source in _named(element, "inkSource") for child in _named(source, "traceFormat")]
            references = [
                element.get(a, "").removeprefix("#") for a in ("traceFormatRef", "inkSourceRef", "contextRef")
            ]
            known = [_format(child) for child in _named(element, "traceFormat") + inner]
            known += [formats[reference] for reference in references if reference and reference in formats]
            if known:
                formats[own] = known[0]
    return formats | {"": first or _DEFAULT}


def _format(element: Element) -> Channels:
    return tuple(channel.get("name", "") for channel in _named(element, "channel"))


def _named(element: Element, name: str) -> list[Element]:
    return [child for child in element if safexml.local_name(child) == name]


def _points(text: str, channels: Channels) -> list[tuple[float, float]]:
    """The positions of a trace: points are parted by commas, the values of a point by blanks or by their prefixes.

    A prefix holds for its channel until the next one: ! a value, ' a difference, " a difference of differences.
    """
    if "X" not in channels or "Y" not in channels:
        raise ValueError(f"its traces have the channels {', '.join(channels)}; X and Y are needed")
    wanted = (channels.index("X"), channels.index("Y"))
    modes = ["!"] * len(channels)
    values, speeds = [0.0] * len(channels), [0.0] * len(channels)
    points = []
    for number, point in enumerate(text.split(",")):
        if not point.strip():
            continue
        at = 0
        for channel in range(max(wanted) + 1):
            match = _VALUE.match(point, at)
            if match is None:
                raise ValueError(f"point {number} is {point.strip()[:40]!r}, not {len(channels)} values")
            at = match.end()
            prefix, decimal, hexadecimal, sign = match.groups()
            modes[channel] = prefix or modes[channel]
            if sign == "?" and channel in wanted:
                raise ValueError(f"point {number} has no position")
            if sign:  # "*": as before
                continue
            value = float(decimal) if decimal else float.fromhex(hexadecimal[1:])
            if modes[channel] == "!":
                values[channel], speeds[channel] = value, 0.0
            else:
                speeds[channel] = value if modes[channel] == "'" else speeds[channel] + value
                values[channel] += speeds[channel]
        points.append((values[wanted[0]], values[wanted[1]]))
    return points


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
