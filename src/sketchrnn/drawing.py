"""A drawing: pen strokes, and the geometry that prepares them.

Three forms of the same thing, all in the drawing's own units:

* **lines**: a list of `(k, 2)` arrays of absolute positions, one for each stroke of the pen;
* **stroke-3** `(n, 3)`: rows `(dx, dy, p)`, `p = 1` where the pen lifts *after* the point. The first row is the
  offset of the first point from the origin;
* **stroke-5** `(n, 5)`: rows `(dx, dy, p1, p2, p3)` with a one-hot pen state: a line follows, the pen lifts, the
  drawing ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import ArrayLike, NDArray

END_TOKEN = (0.0, 0.0, 0.0, 0.0, 1.0)  # what pads a drawing after its last point

MAX_OFFSET = 1000.0  # offsets are clamped to +-this, in the drawing's own units, before they are scaled

STROKE_COLOR = "#1b1b1f"

SVG_MARK = "data-sketchrnn"  # of our own SVG: by it formats.svg reads what has the class "drawing" in its own units

QUICKDRAW_SIZE = 255.0  # the longer side of Quick, Draw!'s simplified drawings
MAX_LENGTH = 250_000  # of all strokes at that size: about as many points are resampled, and simplified in seconds


@dataclass(frozen=True, eq=False)
class Drawing:
    """Strokes of a pen, in the drawing's own units. Immutable.

    Two drawings are equal when their stroke-3 rows are, whatever their labels.

    Raises:
        ValueError: the rows are not `(n, 3)`, hold NaN or infinity, or a pen state other than 0 and 1.
    """

    stroke3: NDArray[np.float32]
    """(n, 3) float32 rows `(dx, dy, p)`; read-only. n may be 0: an empty sheet."""
    label: str | None = None
    """What is drawn ("cat"), where it is known."""
    key: str | None = None
    """The drawing's name in the place it comes from, where it has one."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the file says of it, under the file format's own names (`countrycode`, `recognized`, ...)."""

    def __post_init__(self) -> None:
        given = np.asarray(self.stroke3)
        if given.size == 0:
            given = given.reshape(0, 3)
        if given.ndim != 2 or given.shape[1] != 3 or given.dtype.kind not in "iufb":
            raise ValueError(f"a drawing is an (n, 3) array of numbers (dx, dy, p), not {given.dtype} {given.shape}")
        with np.errstate(over="ignore"):  # what does not fit into float32 becomes infinite and is refused below
            rows = np.array(given, dtype=np.float32) + np.float32(0)  # -0 becomes 0: equal drawings hash alike
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            raise ValueError(f"point {int(np.argmax(bad))} is not finite: {given[np.argmax(bad)].tolist()}")
        pen = (rows[:, 2] != 0) & (rows[:, 2] != 1)
        if pen.any():
            raise ValueError(f"the pen state of point {int(np.argmax(pen))} is {rows[np.argmax(pen), 2]:g}, not 0 or 1")
        rows.flags.writeable = False
        object.__setattr__(self, "stroke3", rows)

    def __len__(self) -> int:
        """N_s: the number of points."""
        return len(self.stroke3)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Drawing) and np.array_equal(self.stroke3, other.stroke3)

    def __hash__(self) -> int:
        return hash(self.stroke3.tobytes())

    def __repr__(self) -> str:
        name = f"{self.label!r}, " if self.label else ""
        return f"Drawing({name}{len(self)} points, {self.num_strokes} strokes)"

    # -- the three forms

    @classmethod
    def from_lines(
        cls,
        lines: Iterable[ArrayLike],
        *,
        label: str | None = None,
        key: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Drawing:
        """The drawing of `lines`, each `(k, 2)` absolute positions of one stroke; those without points are skipped."""
        strokes = [np.asarray(line, dtype=np.float64).reshape(-1, 2) for line in lines]
        strokes = [stroke for stroke in strokes if len(stroke)]
        if not strokes:
            return cls(np.zeros((0, 3), np.float32), label, key, meta or {})
        points = np.concatenate(strokes)
        rows = np.zeros((len(points), 3))
        rows[:, :2] = np.diff(points, axis=0, prepend=np.zeros((1, 2)))
        rows[np.cumsum([len(stroke) for stroke in strokes]) - 1, 2] = 1
        return cls(rows, label, key, meta or {})  # type: ignore[arg-type]  # float64 here, float32 within

    def lines(self) -> list[NDArray[np.float64]]:
        """The strokes as `(k, 2)` float64 arrays of absolute positions; a last one that never lifts counts too."""
        if not len(self):
            return []
        cuts = np.flatnonzero(self.stroke3[:-1, 2]) + 1
        return np.split(self.points(), cuts)

    def points(self) -> NDArray[np.float64]:
        """(n, 2) absolute positions, the origin at (0, 0)."""
        return np.cumsum(self.stroke3[:, :2], axis=0, dtype=np.float64)

    @classmethod
    def from_stroke5(cls, rows: ArrayLike, *, label: str | None = None) -> Drawing:
        """The drawing in `(n, 5)` rows, up to the first whose p3 is set; a start token is not expected."""
        array = np.asarray(rows, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != 5:
            raise ValueError(f"stroke-5 rows are (n, 5), not {array.shape}")
        ended = np.flatnonzero(array[:, 4] > 0)
        array = array[: ended[0]] if len(ended) else array
        return cls(array[:, [0, 1, 3]], label)

    def stroke5(self, max_length: int | None = None) -> NDArray[np.float32]:
        """(n, 5) rows, or `(max_length, 5)` padded with (0, 0, 0, 0, 1); without a start token.

        Raises:
            ValueError: the drawing has more than `max_length` points.
        """
        length = len(self) if max_length is None else max_length
        if len(self) > length:
            raise ValueError(f"a drawing of {len(self)} points does not fit into {length} rows")
        rows = np.zeros((length, 5), np.float32)
        rows[:, 4] = 1
        rows[: len(self), :2] = self.stroke3[:, :2]
        rows[: len(self), 2] = 1 - self.stroke3[:, 2]
        rows[: len(self), 3] = self.stroke3[:, 2]
        rows[: len(self), 4] = 0
        return rows

    # -- what it measures

    @property
    def num_strokes(self) -> int:
        return int(self.stroke3[:-1, 2].sum()) + 1 if len(self) else 0

    def bounds(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of all points; zeros for an empty drawing."""
        if not len(self):
            return 0.0, 0.0, 0.0, 0.0
        points = self.points()
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def size(self) -> float:
        """The longer side of the bounds."""
        left, top, right, bottom = self.bounds()
        return max(right - left, bottom - top)

    # -- geometry: each returns a new drawing

    def _with_lines(self, lines: Sequence[ArrayLike]) -> Drawing:
        return Drawing.from_lines(lines, label=self.label, key=self.key, meta=self.meta)

    def scaled(self, factor: float) -> Drawing:
        """Every offset multiplied by `factor`."""
        return replace(self, stroke3=self.stroke3 * np.array([factor, factor, 1], np.float32))

    def fitted(self, size: float) -> Drawing:
        """Moved to the corner (0, 0) and scaled uniformly so that the longer side is `size`; a dot is only moved."""
        left, top, _, _ = self.bounds()
        factor = size / self.size if self.size > 0 else 1.0
        return self._with_lines([(line - (left, top)) * factor for line in self.lines()])

    def resampled(self, spacing: float) -> Drawing:
        """Points at every `spacing` along each stroke, its two ends kept.

        Raises:
            ValueError: `spacing` is not positive.
        """
        if not spacing > 0:
            raise ValueError(f"the spacing is {spacing:g}; it must be positive")
        return self._with_lines([_resample(line, spacing) for line in self.lines()])

    def simplified(self, epsilon: float) -> Drawing:
        """Ramer-Douglas-Peucker: points nearer than `epsilon` to the segment that replaces them are left out."""
        import shapely  # a quarter of a second that only this function needs

        lines = self.lines()
        long = [i for i, line in enumerate(lines) if len(line) > 2]
        for i in long:
            kept = shapely.LineString(lines[i]).simplify(epsilon, preserve_topology=False)
            if not kept.is_empty:
                lines[i] = np.asarray(kept.coords)
        return self._with_lines(lines)

    def limited(self, max_points: int) -> Drawing:
        """At most `max_points` points: simplified with the epsilon raised until the drawing fits, else unchanged.

        Raises:
            ValueError: it has too many strokes to fit at any epsilon.
        """
        if len(self) <= max_points:
            return self
        least = sum(min(len(line), 2) for line in self.lines())
        if least > max_points:
            raise ValueError(f"{self.num_strokes} strokes need {least} points, more than the {max_points} allowed")
        epsilon = max(self.size, 1e-12) / 1024
        while True:
            fewer = self.simplified(epsilon)
            if len(fewer) <= max_points:
                return fewer
            epsilon *= 1.25

    def head(self, num_points: int) -> Drawing:
        """The first `num_points` points: what stood on the sheet at that moment."""
        return replace(self, stroke3=self.stroke3[:num_points])

    # -- to look at

    def svg_path(self, digits: int | None = None) -> str:
        """The strokes as the `d` of an SVG path; a stroke of one point is a dot.

        Numbers have so many decimal `digits`; unset, what keeps them within 1e-4 of the drawing's size.
        """
        if digits is None:
            digits = max(0, 4 - math.floor(math.log10(self.size))) if self.size > 0 else 4
        parts = []
        for line in self.lines():
            points = [f"{_short(x, digits)} {_short(y, digits)}" for x, y in line]
            parts.append("M" + "L".join(points if len(points) > 1 else points * 2))
        return "".join(parts)

    def to_svg(
        self,
        *,
        size: float = 256,
        margin: float = 0.06,
        color: str = STROKE_COLOR,
        background: str | None = None,
    ) -> str:
        """A whole SVG document of `size` x `size` CSS pixels, the drawing centred in it at its own coordinates."""
        left, top, right, bottom = self.bounds()
        side = max(self.size, 1e-6) * (1 + 2 * margin)
        x, y = (left + right - side) / 2, (top + bottom - side) / 2
        box = f'x="{x:.12g}" y="{y:.12g}" width="{side:.12g}" height="{side:.12g}"'
        paper = f"<rect {box} fill={quoteattr(background)}/>" if background else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {SVG_MARK}="" width="{size:g}" height="{size:g}" '
            f'viewBox="{x:.12g} {y:.12g} {side:.12g} {side:.12g}">'
            f'{paper}<path class="drawing" d="{self.svg_path()}" fill="none" stroke={quoteattr(color)} '
            f'stroke-width="{side / 80:g}" stroke-linecap="round" stroke-linejoin="round"/></svg>\n'
        )

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.to_svg(background="#ffffff")


def normalise(stroke3: NDArray[np.number], scale_factor: float) -> NDArray[np.float32]:
    """(n, 3) stroke-3 rows as a network sees them: offsets clamped to +-`MAX_OFFSET`, divided by the scale factor."""
    rows = np.array(stroke3, dtype=np.float32)
    np.clip(rows[:, :2], -MAX_OFFSET, MAX_OFFSET, out=rows[:, :2])
    rows[:, :2] /= scale_factor
    return rows


def like_quickdraw(
    drawing: Drawing,
    size: float = QUICKDRAW_SIZE,
    epsilon: float = 2.0,
    *,
    sheet: tuple[float, float] | None = None,
) -> Drawing:
    """Simplified as Quick, Draw! does: moved to the corner, scaled to `size`, resampled, Ramer-Douglas-Peucker.

    The spacing of the resampling (1) and `epsilon` are at size 255 and scaled with it. Positions are rounded to whole
    units where those are no more than the tolerance, so that rounding loses less than the simplification did.
    With `epsilon` 0 every point stays where it is.

    Of a drawing that is only begun nobody knows how large it will be. Where its `sheet` is given, width and height from
    (0, 0), the longer side of that becomes `size` and the drawing keeps its place on it, unless it reaches beyond, or
    would be too small there for its shape to be seen.

    Raises:
        ValueError: its strokes are longer than 250,000 units at size 255.
    """
    tolerance = epsilon * size / QUICKDRAW_SIZE
    seen = sheet is not None and drawing.size * size / max(sheet) >= max(4 * tolerance, 0.02 * size)
    if sheet is not None and seen and _stands_on(drawing, *sheet):
        drawing = drawing.scaled(size / max(sheet))
    else:
        drawing = drawing.fitted(size)
    if tolerance > 0:
        length = sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in drawing.lines()) * QUICKDRAW_SIZE / size
        if length > MAX_LENGTH:
            raise ValueError(f"its strokes are {length:,.0f} units long at size 255, more than {MAX_LENGTH:,}")
        drawing = drawing.resampled(size / QUICKDRAW_SIZE).simplified(tolerance)
    if tolerance >= 1:
        drawing = replace(drawing, stroke3=_rounded(drawing))
    return drawing


def _stands_on(drawing: Drawing, width: float, height: float) -> bool:
    left, top, right, bottom = drawing.bounds()
    slack = 0.01 * max(width, height)
    return left >= -slack and top >= -slack and right <= width + slack and bottom <= height + slack


def _rounded(drawing: Drawing) -> NDArray[np.float32]:
    rows = drawing.stroke3.copy()
    rows[:, :2] = np.diff(np.rint(drawing.points()), axis=0, prepend=np.zeros((1, 2)))
    return rows


def _resample(line: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    if along[-1] == 0:
        return line[:1]
    at = np.append(np.arange(0, along[-1], spacing), along[-1])
    if len(at) > 2 and at[-1] - at[-2] < spacing * 1e-9:  # the length is a multiple of the spacing, but for rounding
        at = np.delete(at, -2)
    return np.column_stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)])


def _short(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
