"""SVG: any file of vector shapes is read as one drawing; our own grids as the drawings they were made of.

The document is walked here and not by a library: what is hidden, what a `<use>` brings in, how often, and in which
viewport, decides whether a file is read as it looks, and whether a hostile one ends. Text, images, clipping and
animation are not drawing and are passed over. https://www.w3.org/TR/SVG2/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from sketchrnn.drawing import STROKE_COLOR, SVG_MARK, Drawing
from sketchrnn.formats import safexml
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.formats.bad_rows import OnBad, report
from sketchrnn.formats.svg_geometry import (
    MAX_SEGMENTS,
    Matrix,
    Stroke,
    apply,
    flatten,
    length,
    numbers,
    shape,
    transform,
    translation,
    viewbox,
    viewport_transform,
)

TOLERANCE = 1e-3  # how far a polyline may be from its curve, as a fraction of the drawing's longer side
MAX_USE_DEPTH = 100
MAX_TEXT = 2 * safexml.MAX_BYTES  # of attributes, counted each time a <use> repeats them

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_SHAPES = ("path", "rect", "circle", "ellipse", "line", "polyline", "polygon")
_DRAWN = (*_SHAPES, "g", "a", "svg", "switch", "symbol", "use")
_INHERITED = ("visibility", "fill", "stroke", "fill-opacity", "stroke-opacity", "stroke-width", "font-size")
_PROPERTIES = (*_INHERITED, "display", "opacity", "transform")
_SELECTOR = re.compile(r"(?:[a-zA-Z]+|\*)?(?:\.[\w-]+)?|#[\w-]+")

Rules = Mapping[str, Mapping[str, str]]


def iterate(path: Path, *, bad: OnBad | None = None) -> Iterator[Drawing]:
    """The one drawing of the file, in CSS pixels as a browser shows it; or the drawings of a grid that `write` made.

    One path may hold several strokes. A filled shape counts by its outline; a shape with neither fill nor stroke, and a
    plain fill over the whole sheet, are left out unless there is nothing else. KanjiVG's characters get their label
    and their code as key. Drawings of a grid are in their own units.

    Raises:
        ValueError: it is not well-formed, declares entities, has no shapes, or more of them than a drawing can have.
    """
    root = safexml.parse(path)
    if groups := _own_groups(root):
        for i, group in enumerate(groups):
            try:
                drawing = _own_drawing(group)
            except ValueError as error:
                report(bad, f"{path.name}#{i}", str(error))
            else:
                yield drawing
        return
    try:
        only = _foreign_drawing(root)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if only is None:
        raise ValueError(f"{path} has no shapes to draw; text and images are not drawings, convert them to paths")
    yield only


def is_ours(path: Path) -> bool:
    """Whether the file is a grid that `write` made, or `Drawing.to_svg`: its drawings are in their own units."""
    return bool(_own_groups(safexml.parse(path)))


def sheet(path: Path) -> tuple[float, float] | None:
    """Width and height of the sheet in CSS pixels, where the file says them: in a viewBox, or as two lengths."""
    root = safexml.parse(path)
    box = viewbox(root.get("viewBox"))
    said = [text for name in ("width", "height") if length(text := root.get(name), 0.0)]  # a percentage says nothing
    width, height = _sheet(root, box)
    known = (box is not None or len(said) == 2) and math.isfinite(width) and math.isfinite(height)
    return (width, height) if known and min(width, height) > 0 else None


def write(drawings: Sequence[Drawing], path: Path) -> None:
    """Writes a grid of the drawings, which `iterate` reads back in their own units; see `document`."""
    with atomic_file(path) as temporary:
        temporary.write_text(document(drawings, cell=256 if len(drawings) == 1 else 160), encoding="utf-8")


def document(
    drawings: Sequence[Drawing],
    *,
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    cell: float = 160.0,
    title: str | None = None,
    background: str | None = "#ffffff",
    color: str = STROKE_COLOR,
    colors: Sequence[str] | None = None,
) -> str:
    """An SVG document of the drawings in a grid, row by row, each fitted into its cell.

    Each is a `<g class="drawing">` whose path is in the drawing's own units, agreeing with it to 1e-4 of its size; an
    empty drawing leaves its cell empty.

    Args:
        drawings: what to show.
        columns: drawings in a row; unset: as many as there are rows.
        labels: a caption under each.
        cell: side of a cell in CSS pixels.
        title: a line above the grid.
        background: its colour; None leaves it transparent.
        color: of the strokes.
        colors: of the strokes of each drawing, instead.

    Raises:
        ValueError: there are not as many labels or colors as drawings, or columns or cell are not positive.
    """
    for name, given in (("labels", labels), ("colors", colors)):
        if given is not None and len(given) != len(drawings):
            raise ValueError(f"there are {len(given)} {name} for {len(drawings)} drawings")
    if columns is not None and columns < 1:
        raise ValueError(f"a grid has at least 1 column, not {columns}")
    if not (math.isfinite(cell) and cell > 0):
        raise ValueError(f"the side of a cell is {cell:g}; it must be positive")
    columns = min(columns or math.ceil(math.sqrt(len(drawings))), max(len(drawings), 1)) or 1
    rows = math.ceil(len(drawings) / columns)
    above = 0.25 * cell if title else 0.0
    height = cell * 1.12 if labels else cell  # a row with its captions
    width, whole = columns * cell, above + max(rows, 1) * height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {SVG_MARK}="" width="{width:g}" height="{whole:g}" '
        f'viewBox="0 0 {width:g} {whole:g}" font-family="Helvetica, Arial, sans-serif" text-anchor="middle">\n'
    ]
    if title:
        parts.append(f"<title>{safexml.escaped(title)}</title>\n")
    if background:
        parts.append(f'<rect width="{width:g}" height="{whole:g}" fill={safexml.quoted(background)}/>\n')
    if title:
        parts.append(_text(title, width / 2, 0.16 * cell, min(0.11 * cell, width / (0.6 * len(title))), color))
    for i, drawing in enumerate(drawings):
        x, y = i % columns * cell, above + i // columns * height
        parts.append(_group(drawing, x, y, cell, colors[i] if colors else color))
        if labels and labels[i]:
            parts.append(_text(labels[i], x + cell / 2, y + 1.06 * cell, _caption_size(labels[i], cell), color))
    return "".join([*parts, "</svg>\n"])


def _caption_size(text: str, cell: float) -> float:
    """As large as fits, but not too small to be read: a very long caption reaches into its neighbours."""
    return max(min(0.085 * cell, 0.96 * cell / (0.6 * len(text))), min(7.0, 0.085 * cell))


def _group(drawing: Drawing, x: float, y: float, cell: float, color: str) -> str:
    left, top, right, bottom = drawing.bounds()
    scale = 0.88 * cell / drawing.size if drawing.size > 0 else 1.0
    x, y = x + cell / 2 - scale * (left + right) / 2, y + cell / 2 - scale * (top + bottom) / 2
    named = "".join(
        f" data-{name}={safexml.quoted(text)}"
        for name, text in (("label", drawing.label), ("key", drawing.key))
        if text
    )
    return (
        f'<g class="drawing"{named} transform="translate({x:.12g} {y:.12g}) scale({scale:.12g})" fill="none" '
        f'stroke={safexml.quoted(color)} stroke-width="{max(cell / 80, 1.25) / scale:.6g}" stroke-linecap="round" '
        f'stroke-linejoin="round"><path d="{drawing.svg_path()}"/></g>\n'
    )


def _text(text: str, x: float, y: float, size: float, color: str) -> str:
    fill = safexml.quoted(color)
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:.3g}" fill={fill}>{safexml.escaped(text)}</text>\n'


# -- reading: documents to drawings


@dataclass(frozen=True)
class _Shape:
    """A shape as it stands on the sheet, in CSS pixels."""

    strokes: list[Stroke]
    filled: bool
    stroked: bool


@dataclass(frozen=True)
class _Context:
    """What an element inherits."""

    matrix: Matrix = field(default_factory=lambda: np.eye(3))
    width: float = 300.0  # of the viewport: what percentages are of. CSS's size of a picture without one
    height: float = 150.0
    style: Mapping[str, str] = field(default_factory=dict)
    font_size: float = 16.0
    used: frozenset[Element] = frozenset()  # by the <use> elements above
    user: Element | None = None  # the <use> that brought in this very element


def _own_groups(root: Element) -> list[Element]:
    """The drawings of a file that we wrote; none in any other."""
    return [element for element in root if element.get("class") == "drawing"] if SVG_MARK in root.attrib else []


@np.errstate(all="ignore")  # what overflows is no longer finite, and is refused as such
def _own_drawing(group: Element) -> Drawing:
    group = _without_transform(group)
    strokes = [stroke for shape in _shapes(group, _Context(), {}, {}) for stroke in shape.strokes]
    lines = flatten(strokes, TOLERANCE)
    # A dot is written as a line to where it starts.
    lines = [line[:1] if len(line) == 2 and (line[0] == line[1]).all() else line for line in lines]
    return Drawing.from_lines(lines, label=group.get("data-label"), key=group.get("data-key"))


def _without_transform(group: Element) -> Element:
    bare = Element(group.tag, {name: value for name, value in group.items() if name not in ("transform", "style")})
    bare.extend(group)
    return bare


@np.errstate(all="ignore")
def _foreign_drawing(root: Element) -> Drawing | None:
    ids: dict[str, Element] = {}
    for element in root.iter():
        if name := element.get("id"):
            ids.setdefault(name, element)
    box = viewbox(root.get("viewBox"))
    width, height = _sheet(root, box)
    sheet = _Context(width=width, height=height)
    root.attrib.update(width=str(width), height=str(height), x="0", y="0")
    shapes = list(_shapes(root, sheet, ids, _rules(root)))
    shown = [s for s in shapes if s.stroked or (s.filled and not _is_paper(s.strokes, width, height))]
    lines = flatten([stroke for s in shown or shapes for stroke in s.strokes], TOLERANCE)
    lines = [line[np.append(True, (np.diff(line, axis=0) != 0).any(axis=1))] for line in lines]
    if not lines:
        return None
    label, key = _kanjivg_name(root)
    return Drawing.from_lines(lines, label=label, key=key)


def _sheet(root: Element, box: tuple[float, float, float, float] | None) -> tuple[float, float]:
    """Width and height of the whole picture in CSS pixels."""
    _, _, whole_width, whole_height = box or (0, 0, 300.0, 150.0)
    width, height = length(root.get("width"), whole_width), length(root.get("height"), whole_height)
    if width is None and height is not None and box:
        width = height * whole_width / whole_height
    elif height is None and width is not None and box:
        height = width * whole_height / whole_width
    return whole_width if width is None else width, whole_height if height is None else height


def _is_paper(strokes: list[Stroke], width: float, height: float) -> bool:
    """One axis-parallel rectangle over the whole sheet."""
    if len(strokes) != 1 or not 3 <= len(strokes[0]) <= 5:
        return False
    corners = strokes[0].reshape(-1, 2)[::4]
    low, high = corners.min(axis=0), corners.max(axis=0)
    slack = 1e-3 * max(width, height)
    at_corners = ((corners == low) | (corners == high)).all()
    return bool(at_corners and (low <= slack).all() and (high >= np.array([width, height]) - slack).all())


def _kanjivg_name(root: Element) -> tuple[str | None, str | None]:
    """The character and the code ("05b57") of KanjiVG's outermost group; (None, None) in other files."""
    for element in root.iter():
        for name, value in element.items():
            if name.endswith("}element") and "kanjivg" in name:
                return value, element.get("id", "").removeprefix("kvg:") or None
    return None, None


# -- reading: elements to shapes


def _shapes(root: Element, sheet: _Context, ids: Mapping[str, Element], rules: Rules) -> Iterator[_Shape]:
    """The visible shapes below and including `root`, in the order in which they are painted.

    Raises:
        ValueError: `<use>` elements multiply to more than a drawing can have.
    """
    waiting = [(root, sheet)]  # a stack, so that nesting has no limit but the file's length
    known: dict[tuple[Element, float, float, float], list[Stroke]] = {}  # what <use> repeats is not parsed again
    num_elements = num_segments = num_characters = 0
    while waiting:
        element, above = waiting.pop()
        num_elements += 1
        num_characters += sum(map(len, element.attrib.values()))
        if num_elements > safexml.MAX_ELEMENTS or num_characters > MAX_TEXT:
            raise ValueError("its <use> elements repeat more than a drawing can have")
        name = element.tag.removeprefix(_NAMESPACE)
        if name not in _DRAWN:
            continue
        style = _style(element, name, above.style, rules)
        if style.get("display") == "none" or _is_zero(style.get("opacity")):
            continue
        context = _inside(style, above)
        if name in _SHAPES:
            if style.get("visibility") not in ("hidden", "collapse"):
                place = (element, context.width, context.height, context.font_size)
                if place not in known:
                    known[place] = shape(name, element.attrib, *place[1:])
                num_segments += sum(map(len, known[place]))
                if num_segments > MAX_SEGMENTS:
                    raise ValueError(f"it has more than {MAX_SEGMENTS:,} segments, too many for a drawing")
                if known[place]:
                    yield _painted(apply(context.matrix, known[place]), name, style)
        elif name == "use":
            target = ids.get(_reference(element))
            if target is not None and target not in above.used:
                waiting.append((target, _used(element, target, context)))
        elif name == "svg" or (name == "symbol" and above.user is not None):
            viewport = _viewport(element, context, above.user)
            if viewport is not None:
                waiting += [(child, viewport) for child in reversed(element)]
        elif name in ("g", "a"):
            waiting += [(child, context) for child in reversed(element)]
        elif name == "switch":
            waiting += [(child, context) for child in element if _suits(child)][:1]


def _style(element: Element, name: str, above: Mapping[str, str], rules: Rules) -> dict[str, str]:
    """The properties that count, by attributes, style sheet and `style`, each stronger than the one before."""
    own = {prop: element.attrib[prop] for prop in _PROPERTIES if prop in element.attrib}
    if rules:
        classes = element.get("class", "").split()
        selectors = ["*", name, *(f".{c}" for c in classes), *(f"{name}.{c}" for c in classes), f"#{element.get('id')}"]
        for selector in selectors:
            own |= rules.get(selector, {})
    if "style" in element.attrib:
        own |= _declarations(element.attrib["style"])
    style = {prop: above[prop] for prop in _INHERITED if prop in above}
    for prop, value in own.items():
        value = value.strip()
        if value != "inherit":
            style[prop] = value
        elif prop in above:
            style[prop] = above[prop]
    return style


def _rules(root: Element) -> Rules:
    """The style sheets' rules for a type, a class, an id, or a type with a class; other selectors are passed over."""
    rules: dict[str, dict[str, str]] = {}
    for element in root.iter(f"{_NAMESPACE}style"):
        before, *comments = (element.text or "").split("/*")
        text = before + "".join(comment.partition("*/")[2] for comment in comments)
        nested = False
        for block in text.split("}"):
            selectors, brace, body = block.partition("{")
            nested = (nested and bool(brace)) or "{" in body  # within @media and its like
            if nested:
                continue
            declarations = _declarations(body)
            for selector in selectors.split(","):
                if declarations and _SELECTOR.fullmatch(selector.strip()):
                    rules.setdefault(selector.strip(), {}).update(declarations)
    return rules


def _declarations(text: str) -> dict[str, str]:
    pairs = (declaration.partition(":") for declaration in text.split(";"))
    named = ((name.strip(), value.replace("!important", "").strip()) for name, _, value in pairs)
    return {name: value for name, value in named if name in _PROPERTIES}


def _inside(style: dict[str, str], above: _Context) -> _Context:
    """What the children of an element with this style inherit."""
    matrix, font_size = above.matrix, above.font_size
    if "transform" in style:
        matrix = matrix @ transform(style["transform"])
    if "font-size" in style:
        font_size = length(style.pop("font-size"), above.font_size, above.font_size) or font_size
    return replace(above, matrix=matrix, font_size=font_size, style=style, user=None)


def _painted(strokes: list[Stroke], name: str, style: Mapping[str, str]) -> _Shape:
    return _Shape(
        strokes,
        filled=_is_paint(style.get("fill", "black")) and not _is_zero(style.get("fill-opacity")) and name != "line",
        stroked=_is_paint(style.get("stroke", "none"))
        and not _is_zero(style.get("stroke-opacity"))
        and not _is_zero(style.get("stroke-width")),
    )


def _is_paint(value: str) -> bool:
    return value not in ("none", "transparent")


def _is_zero(value: str | None) -> bool:
    return value is not None and numbers(value)[:1] == [0.0]


def _reference(element: Element) -> str:
    href = element.get("href") or element.get("{http://www.w3.org/1999/xlink}href") or ""
    return href.strip().removeprefix("#") if href.strip().startswith("#") else ""


def _used(element: Element, target: Element, context: _Context) -> _Context:
    x = length(element.get("x"), context.width, context.font_size) or 0.0
    y = length(element.get("y"), context.height, context.font_size) or 0.0
    if len(context.used) == MAX_USE_DEPTH:
        raise ValueError(f"its <use> elements refer to each other {MAX_USE_DEPTH} deep and more")
    return replace(context, matrix=context.matrix @ translation(x, y), used=context.used | {target}, user=element)


def _viewport(element: Element, context: _Context, user: Element | None) -> _Context | None:
    """The inside of an <svg> or <symbol>; None where its size is zero, which hides it."""

    def value(name: str, whole: float, default: float) -> float:
        text = (user.get(name) if user is not None and name in ("width", "height") else None) or element.get(name)
        found = length(text, whole, context.font_size)
        return default if found is None else found

    x, y = value("x", context.width, 0.0), value("y", context.height, 0.0)
    width, height = value("width", context.width, context.width), value("height", context.height, context.height)
    if not (width > 0 and height > 0):
        return None
    box = viewbox(element.get("viewBox"))
    if box is None:
        return replace(context, matrix=context.matrix @ translation(x, y), width=width, height=height)
    fitted = viewport_transform((x, y, width, height), box, element.get("preserveAspectRatio"))
    return replace(context, matrix=context.matrix @ fitted, width=box[2], height=box[3])


def _suits(child: Element) -> bool:
    """Whether a <switch> takes this child: it asks for no extension and no language."""
    return child.tag.removeprefix(_NAMESPACE) in ("g", "a", "svg", "use", *_SHAPES) and not (
        child.get("requiredExtensions") or child.get("systemLanguage")
    )
