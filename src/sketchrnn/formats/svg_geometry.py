"""The geometry of SVG: text of attributes in, curves out.

A stroke is a `(k, 4, 2)` array of k cubic Bezier segments in a row, each four control points; a straight line is one
with its controls on the line. That one form holds every shape exactly (arcs of ellipses to 4e-6 of their radius), is
mapped by a matrix as it stands, and is flattened by one function. Sections are those of SVG 2,
https://www.w3.org/TR/SVG2/.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Stroke = NDArray[np.float64]
Matrix = NDArray[np.float64]
Point = tuple[float, float]
Cubic = tuple[Point, Point, Point, Point]

MAX_SEGMENTS = 250_000
MAX_POINTS = 1_000_000

# Numbers and separators are matched without backtracking (atomic, possessive): hostile text must not cost more than its
# length.
_NUMBER = re.compile(r"(?>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_COMMAND = re.compile(r"([MmZzLlHhVvCcSsQqTtAa])([^MmZzLlHhVvCcSsQqTtAa]*)")
_NOT_IN_PATHS = re.compile(r"[^MmZzLlHhVvCcSsQqTtAaeE0-9+\-.,\s]")
_ARC = re.compile(  # the two flags need no separator: "a5 5 0 0110 10"
    r"[\s,]*+" + r"[\s,]*+".join([f"({_NUMBER.pattern})"] * 3 + ["([01])"] * 2 + [f"({_NUMBER.pattern})"] * 2)
)
_TRANSFORM = re.compile(r"(matrix|translate|scale|rotate|skewX|skewY)\s*\(([^()]*)\)")
_LENGTH = re.compile(rf"({_NUMBER.pattern})\s*([a-zA-Z]*|%)")
_PIXELS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "q": 96 / 101.6, "in": 96.0}
_FONT_SIZES = {"em": 1.0, "rem": 1.0, "ex": 0.5, "ch": 0.5}
_ARITY = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2}


def numbers(text: str) -> list[float]:
    """All numbers in `text`, whatever stands between them.

    Raises:
        ValueError: there are too many, or one is beyond the range of a float.
    """
    found = _NUMBER.findall(text)
    if len(found) > 6 * MAX_SEGMENTS:
        raise ValueError(f"an element has {len(found):,} numbers, too many for a drawing")
    values = [float(number) for number in found]
    if not all(map(math.isfinite, values)):
        raise ValueError("a coordinate is too large or not a number")
    return values


def length(text: str | None, whole: float, font_size: float = 16.0) -> float | None:
    """A length in CSS pixels, 96 to the inch; percentages are of `whole`. None for `auto` and what is no length."""
    match = _LENGTH.fullmatch((text or "").strip())
    if match is None:
        return None
    value, unit = float(match[1]), match[2].lower()
    if unit == "%":
        return value / 100 * whole
    if unit in _FONT_SIZES:
        return value * font_size * _FONT_SIZES[unit]
    return value * _PIXELS[unit] if unit in _PIXELS else None


# -- coordinate systems (section 8)


def transform(text: str | None) -> Matrix:
    """The 3 x 3 matrix of a `transform`; parts that are no transform are left out."""
    matrix = np.eye(3)
    for name, arguments in _TRANSFORM.findall(text or ""):
        matrix = matrix @ _transform(name, numbers(arguments))
    return matrix


def _transform(name: str, values: list[float]) -> Matrix:
    match name, values:
        case "matrix", [a, b, c, d, e, f]:
            return np.array([[a, c, e], [b, d, f], [0, 0, 1]])
        case "translate", [x, *rest]:
            return translation(x, rest[0] if rest else 0)
        case "scale", [x, *rest]:
            return np.diag([x, rest[0] if rest else x, 1])
        case "rotate", [angle, *center]:
            turn = math.radians(angle % 360)
            cos, sin = math.cos(turn), math.sin(turn)
            x, y = center if len(center) == 2 else (0.0, 0.0)
            matrix = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
            return translation(x, y) @ matrix @ translation(-x, -y)
        case "skewX", [angle]:
            return np.array([[1, math.tan(math.radians(angle)), 0], [0, 1, 0], [0, 0, 1]])
        case "skewY", [angle]:
            return np.array([[1, 0, 0], [math.tan(math.radians(angle)), 1, 0], [0, 0, 1]])
    return np.eye(3)


def translation(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def viewbox(text: str | None) -> tuple[float, float, float, float] | None:
    """(x, y, width, height) of a `viewBox`, None where it is none."""
    values = numbers(text or "")
    if len(values) != 4 or not (values[2] > 0 and values[3] > 0):
        return None
    return values[0], values[1], values[2], values[3]


def viewport_transform(
    viewport: tuple[float, float, float, float],
    box: tuple[float, float, float, float],
    preserve: str | None,
) -> Matrix:
    """What maps a viewBox into its viewport, both (x, y, width, height), by `preserveAspectRatio`."""
    x, y, width, height = viewport
    scale_x, scale_y = width / box[2], height / box[3]
    words = (preserve or "").split() or ["xMidYMid"]
    if words[0] != "none":
        scale_x = scale_y = (max if "slice" in words else min)(scale_x, scale_y)
        x += _alignment(words[0][:4]) * (width - box[2] * scale_x)
        y += _alignment(words[0][4:]) * (height - box[3] * scale_y)
    return np.array([[scale_x, 0, x - box[0] * scale_x], [0, scale_y, y - box[1] * scale_y], [0, 0, 1]])


def _alignment(word: str) -> float:
    return {"min": 0.0, "max": 1.0}.get(word[1:].lower(), 0.5)


# -- shapes (section 10)


def shape(name: str, attributes: Mapping[str, str], width: float, height: float, font_size: float) -> list[Stroke]:
    """The strokes of a path, rect, circle, ellipse, line, polyline or polygon in a viewport of width x height."""
    if name == "path":
        return path(attributes.get("d", ""))
    if name in ("polyline", "polygon"):
        values = numbers(attributes.get("points", ""))
        return polygon(list(zip(values[::2], values[1::2], strict=False)), closed=name == "polygon")

    def value(attribute: str, whole: float) -> float | None:
        return length(attributes.get(attribute), whole, font_size)

    diagonal = math.hypot(width, height) / math.sqrt(2)
    if name == "line":
        start = (value("x1", width) or 0, value("y1", height) or 0)
        return polygon([start, (value("x2", width) or 0, value("y2", height) or 0)])
    if name == "circle":
        radius = value("r", diagonal) or 0
        return ellipse(value("cx", width) or 0, value("cy", height) or 0, radius, radius)
    rx, ry = value("rx", width), value("ry", height)
    rx, ry = (ry if rx is None else rx) or 0, (rx if ry is None else ry) or 0
    if name == "ellipse":
        return ellipse(value("cx", width) or 0, value("cy", height) or 0, rx, ry)
    assert name == "rect"
    return rectangle(
        value("x", width) or 0,
        value("y", height) or 0,
        value("width", width) or 0,
        value("height", height) or 0,
        rx,
        ry,
    )


def polygon(points: list[Point], *, closed: bool = False) -> list[Stroke]:
    """One stroke through `points`."""
    if len(points) > MAX_SEGMENTS:
        raise ValueError(f"a polygon has {len(points):,} points, too many for a drawing")
    if closed and len(points) > 1:
        points = [*points, points[0]]
    lines = [_straight(a, b) for a, b in itertools.pairwise(points)]
    return [np.array(lines)] if lines else []


def ellipse(cx: float, cy: float, rx: float, ry: float) -> list[Stroke]:
    """One closed stroke from three o'clock, by way of positive y."""
    if not (rx > 0 and ry > 0):
        return []
    return [np.array(list(_turn((cx, cy), (rx, 0.0), (0.0, ry), 0.0, 2 * math.pi)))]


def rectangle(x: float, y: float, width: float, height: float, rx: float = 0, ry: float = 0) -> list[Stroke]:
    """One closed stroke from the upper left corner, its corners rounded where rx and ry are positive."""
    if not (width > 0 and height > 0):
        return []
    rx, ry = min(rx, width / 2), min(ry, height / 2)
    right, bottom = x + width, y + height
    if not (rx > 0 and ry > 0):
        return polygon([(x, y), (right, y), (right, bottom), (x, bottom)], closed=True)
    curves: list[Cubic] = []
    corners = [(right - rx, y + ry), (right - rx, bottom - ry), (x + rx, bottom - ry), (x + rx, y + ry)]
    for quarter, center in enumerate(corners, 3):  # a quarter turn each, the first from twelve to three o'clock
        corner = list(_turn(center, (rx, 0.0), (0.0, ry), quarter * math.pi / 2, math.pi / 2))
        last = curves[-1][3] if curves else (x + rx, y)
        curves += [_straight(last, corner[0][0]), *corner]
    return [np.array([*curves, _straight(curves[-1][3], curves[0][0])])]


# -- path data (section 9)


def path(d: str) -> list[Stroke]:
    """The strokes of path data, one for each subpath; a path with an error counts up to the error (section 9.5.4)."""
    error = _NOT_IN_PATHS.search(d)
    d = d[: error.start()] if error else d
    strokes: list[list[Cubic]] = []
    current = start = (0.0, 0.0)  # of the pen; of the subpath
    control: Point | None = None  # the last one, for S and T
    last, open_ = "", False
    num_segments = 0
    for found in _COMMAND.finditer(d):
        letter, command = found[1], found[1].upper()
        rows, complete = _rows(command, found[2])
        num_segments += 1 + len(rows)
        if num_segments > MAX_SEGMENTS:
            raise ValueError(f"a path has more than {MAX_SEGMENTS:,} segments, too many for a drawing")
        if last == "" and command != "M":
            break
        if command == "Z":
            if last == "M":  # "M5 5z" is a dot
                strokes.append([])
            if last != "Z":
                strokes[-1].append(_straight(current, start))
            current, open_, last = start, False, "Z"
            continue
        for row in rows:
            x, y = current if letter.islower() else (0.0, 0.0)
            if command == "M":
                current = start = (x + row[0], y + row[1])
                open_, command, last = False, "L", "M"  # more pairs are lines
                continue
            if not open_:
                strokes.append([])
                open_ = True
            smooth = control if control and last in ("CS" if command == "S" else "QT") else current
            mirrored = (2 * current[0] - smooth[0], 2 * current[1] - smooth[1])
            match command:
                case "L":
                    curves = [_straight(current, (x + row[0], y + row[1]))]
                case "H":
                    curves = [_straight(current, (x + row[0], current[1]))]
                case "V":
                    curves = [_straight(current, (current[0], y + row[0]))]
                case "C" | "S":
                    points = [(x + row[i], y + row[i + 1]) for i in range(0, len(row), 2)]
                    points = points if command == "C" else [mirrored, *points]
                    curves = [(current, points[0], points[1], points[2])]
                    control = points[1]
                case "Q" | "T":
                    control = (x + row[0], y + row[1]) if command == "Q" else mirrored
                    curves = [_quadratic(current, control, (x + row[-2], y + row[-1]))]
                case _:
                    curves = list(_arc(current, row, (x + row[5], y + row[6])))
            strokes[-1] += curves
            current, last = curves[-1][3], command
        if not complete:
            break
    return [np.array(stroke) for stroke in strokes if stroke]


def _rows(command: str, arguments: str) -> tuple[list[list[float]], bool]:
    """The numbers of each repetition of the command, and whether they came out even."""
    if command == "Z":
        return [], True
    if command == "A":
        rows, at = [], 0
        while match := _ARC.match(arguments, at):
            rows.append([float(number) for number in match.groups()])
            at = match.end()
        return rows, bool(rows) and not arguments[at:].strip(", \t\r\n\f")
    values = numbers(arguments)
    arity = _ARITY[command]
    rows = [values[i : i + arity] for i in range(0, len(values) - arity + 1, arity)]
    return rows, bool(rows) and len(values) % arity == 0


def _straight(a: Point, b: Point) -> Cubic:
    (ax, ay), (bx, by) = a, b
    return a, (ax + (bx - ax) / 3, ay + (by - ay) / 3), (bx + (ax - bx) / 3, by + (ay - by) / 3), b


def _quadratic(a: Point, control: Point, b: Point) -> Cubic:
    (ax, ay), (cx, cy), (bx, by) = a, control, b
    return a, (ax + (cx - ax) * 2 / 3, ay + (cy - ay) * 2 / 3), (bx + (cx - bx) * 2 / 3, by + (cy - by) * 2 / 3), b


def _arc(a: Point, row: list[float], b: Point) -> Iterator[Cubic]:
    """An elliptical arc from `a` to `b`; row is rx, ry, rotation, large arc, sweep (implementation notes, B.2.4)."""
    rx, ry, turn = abs(row[0]), abs(row[1]), math.radians(row[2] % 360)
    if not (rx > 0 and ry > 0 and math.isfinite(math.hypot(*a, *b, rx, ry))) or a == b:
        yield _straight(a, b)
        return
    cos, sin = math.cos(turn), math.sin(turn)
    half_x, half_y = (a[0] - b[0]) / 2, (a[1] - b[1]) / 2
    # The ends on the unit circle that the ellipse is an image of: +-(u, v) around their middle.
    u, v = (cos * half_x + sin * half_y) / rx, (cos * half_y - sin * half_x) / ry
    distance = math.hypot(u, v)
    if not math.isfinite(distance) or distance == 0:
        yield _straight(a, b)
        return
    if distance > 1:  # too small to reach: grown until they just do
        rx, ry, u, v = rx * distance, ry * distance, u / distance, v / distance
        distance = 1.0
    offset = math.sqrt(max(0.0, 1 - distance**2)) / distance * (-1 if row[3] == row[4] else 1)
    cu, cv = offset * v, -offset * u
    first, second = math.atan2(v - cv, u - cu), math.atan2(-v - cv, -u - cu)
    sweep = (second - first) % (2 * math.pi) if row[4] else -((first - second) % (2 * math.pi))
    axis_x, axis_y = (cos * rx, sin * rx), (-sin * ry, cos * ry)
    center = (
        (a[0] + b[0]) / 2 + axis_x[0] * cu + axis_y[0] * cv,
        (a[1] + b[1]) / 2 + axis_x[1] * cu + axis_y[1] * cv,
    )
    curves = list(_turn(center, axis_x, axis_y, first, sweep))
    curves[0] = (a, *curves[0][1:])  # its ends exactly
    curves[-1] = (*curves[-1][:3], b)
    yield from curves


def _turn(center: Point, axis_x: Point, axis_y: Point, start: float, sweep: float) -> Iterator[Cubic]:
    """The ellipse `center + axis_x cos t + axis_y sin t` for t from `start` on, in pieces of an eighth turn at most."""
    pieces = max(1, math.ceil(abs(sweep) / (math.pi / 4) - 1e-9))
    step = sweep / pieces
    reach = 4 / 3 * math.tan(step / 4)

    def at(cos: float, sin: float) -> Point:
        return center[0] + axis_x[0] * cos + axis_y[0] * sin, center[1] + axis_x[1] * cos + axis_y[1] * sin

    for piece in range(pieces):
        t, end = start + piece * step, start + (piece + 1) * step
        cos, sin, cos_end, sin_end = math.cos(t), math.sin(t), math.cos(end), math.sin(end)
        yield (
            at(cos, sin),
            at(cos - reach * sin, sin + reach * cos),
            at(cos_end + reach * sin_end, sin_end - reach * cos_end),
            at(cos_end, sin_end),
        )


# -- curves to points


def apply(matrix: Matrix, strokes: list[Stroke]) -> list[Stroke]:
    """The strokes mapped by the matrix."""
    return [stroke @ matrix[:2, :2].T + matrix[:2, 2] for stroke in strokes]


def flatten(strokes: list[Stroke], fraction: float) -> list[NDArray[np.float64]]:
    """Each stroke as (n, 2) points of a polyline, nowhere further from its curve than `fraction` of the drawing's size.

    The size is the longer side of what all strokes cover. Straight lines keep their two ends. A cubic cut into n equal
    steps of t stays within max|P''| / (8 n^2) of its chords, and |P''| is greatest at an end.

    Raises:
        ValueError: a coordinate is not finite, or it would take more than `MAX_POINTS` points.
    """
    if not strokes:
        return []
    curves = np.concatenate(strokes)
    with np.errstate(over="ignore", invalid="ignore"):
        along = np.einsum("tc,kcx->tkx", _bernstein(np.linspace(0, 1, 9)), curves).reshape(-1, 2)
        tolerance = fraction * float(
            np.ptp(along, axis=0).max()
        )  # of points on the curves: never more than the true size
        second = 6 * (curves[:, :2] - 2 * curves[:, 1:3] + curves[:, 2:])
        bend = np.hypot(second[..., 0], second[..., 1]).max(axis=1)
    if not (math.isfinite(tolerance) and np.isfinite(bend).all()):
        raise ValueError("a coordinate is too large or not a number")
    steps = np.sqrt(bend / (8 * tolerance)) if tolerance > 0 else np.ones(len(curves))
    counts = np.ceil(np.clip(steps, 1, MAX_POINTS)).astype(np.intp)
    total = int(counts.sum())
    if total > MAX_POINTS:
        raise ValueError(f"its curves need more than {MAX_POINTS:,} points, too many for a drawing")
    step = np.arange(1, total + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    weights = _bernstein(step / np.repeat(counts, counts))
    points = np.einsum("nc,ncx->nx", weights, np.repeat(curves, counts, axis=0))
    ends = np.cumsum(counts)[np.cumsum([len(stroke) for stroke in strokes]) - 1]
    parts = np.split(points, ends[:-1])
    return [np.concatenate([stroke[0, :1], part]) for stroke, part in zip(strokes, parts, strict=True)]


def _bernstein(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4): how much each control point counts at each t."""
    s = 1 - t
    return np.column_stack([s**3, 3 * s * s * t, 3 * s * t * t, t**3])
