"""Text of SVG attributes to curves, and curves to points."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from sketchrnn.formats import svg_geometry as geometry

numbers = st.floats(-1000, 1000).map(lambda x: round(x, 3))
points = st.tuples(numbers, numbers)


def corners(d: str) -> list:
    """Where the segments of each stroke begin and end."""
    return [[stroke[0, 0].tolist(), *stroke[:, 3].tolist()] for stroke in geometry.path(d)]


@pytest.mark.parametrize(
    ("d", "expected"),
    [
        ("M1 2L3 4", [[[1, 2], [3, 4]]]),
        ("M1 2 3 4 5 6", [[[1, 2], [3, 4], [5, 6]]]),
        ("m1 2 3 4 5 6", [[[1, 2], [4, 6], [9, 12]]]),
        ("M1,2,L,3,4", [[[1, 2], [3, 4]]]),
        ("M1-2.5.5-.5", [[[1, -2.5], [0.5, -0.5]]]),
        ("M0 0H5V6h-1v-1", [[[0, 0], [5, 0], [5, 6], [4, 6], [4, 5]]]),
        ("M0 0L4 0L4 4z", [[[0, 0], [4, 0], [4, 4], [0, 0]]]),
        ("M0 0L4 0zl1 1", [[[0, 0], [4, 0], [0, 0]], [[0, 0], [1, 1]]]),
        ("M5 5L6 6zm1 1l1 0", [[[5, 5], [6, 6], [5, 5]], [[6, 6], [7, 6]]]),
        ("M0 0L1 1M2 2L3 3", [[[0, 0], [1, 1]], [[2, 2], [3, 3]]]),
        ("M1e1 1E-1L2e+0 3", [[[10, 0.1], [2, 3]]]),
        ("M5 5z", [[[5, 5], [5, 5]]]),
        ("M5 5zzz", [[[5, 5], [5, 5]]]),
        ("M0 0a5 5 0 1110 0", [[[0, 0]]]),  # see below for where arcs go
        ("M5 5", []),
        ("L5 5", []),
        ("", []),
        ("none", []),
        # with an error: up to the error
        ("M0 0L10 10 20", [[[0, 0], [10, 10]]]),
        ("M0 0L10 10 20 L30 30", [[[0, 0], [10, 10]]]),
        ("M0 0L1 1 x 5 5", [[[0, 0], [1, 1]]]),
        ("M0 0L1 1hV5", [[[0, 0], [1, 1]]]),
        ("M0 0L1 1A5 5 0 2 1 5 5L9 9", [[[0, 0], [1, 1]]]),
        ("M0 0L1 1A5 5 0 0", [[[0, 0], [1, 1]]]),
        ("M0 0C1 1 2 2", []),
        ("M0 0v5z3", [[[0, 0], [0, 5], [0, 0]]]),
    ],
)
def test_path_data(d: str, expected: list) -> None:
    if "a5" in d:
        assert corners(d)[0][-1] == [10, 0]
    else:
        assert corners(d) == expected


def test_smooth_curves_mirror_the_last_control() -> None:
    (stroke,) = geometry.path("M0 0C1 2 3 4 5 5S8 8 9 9")
    assert stroke[1].tolist() == [[5, 5], [7, 6], [8, 8], [9, 9]]
    (stroke,) = geometry.path("M0 0L5 5S8 8 9 9")
    assert stroke[1, 1].tolist() == [5, 5]
    (stroke,) = geometry.path("M0 0Q3 0 3 3T6 6")
    assert np.allclose(stroke[1], [[3, 3], [3, 5], [4, 6], [6, 6]])
    (stroke,) = geometry.path("M0 0C1 2 3 4 5 5T9 9")
    assert np.allclose(stroke[1, 1], [5, 5])


@given(points, points, st.floats(0.5, 500), st.floats(0.5, 500), st.floats(-360, 360), st.booleans(), st.booleans())
def test_arcs(a: tuple, b: tuple, rx: float, ry: float, angle: float, large: bool, sweep: bool) -> None:
    """By the definition: the ends, the ellipse's equation, the side of the chord, more or less than half."""
    (stroke,) = geometry.path(f"M{a[0]} {a[1]}A{rx} {ry} {angle} {large:d} {sweep:d} {b[0]} {b[1]}")
    assert stroke[0, 0].tolist() == list(a)
    assert stroke[-1, 3].tolist() == list(b)
    if math.hypot(b[0] - a[0], b[1] - a[1]) < 1e-2:
        return
    turn = math.radians(angle)
    to_circle = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]) / [[rx], [ry]]
    (line,) = geometry.flatten([stroke], 1e-5)
    circle = line @ to_circle.T
    chord = math.hypot(*(circle[-1] - circle[0]))
    radius = max(1, chord / 2)
    steps = np.diff(circle, axis=0)
    angles = np.arctan2(steps[:, 1], steps[:, 0])
    turned = np.diff(np.unwrap(angles))
    size = max(1.0, np.ptp(circle, axis=0).max())
    assert np.hypot(*steps.T).sum() == pytest.approx(
        2
        * radius
        * (math.pi - math.asin(min(1, chord / 2 / radius)) if large else math.asin(min(1, chord / 2 / radius))),
        rel=2e-2,
        abs=1e-2 * size,
    )
    if chord > 0.1:
        assert (turned.sum() > 0) == sweep or abs(turned.sum()) < 1e-6


def test_degenerate_arcs_are_lines() -> None:
    assert corners("M0 0A0 5 0 0 1 5 5") == corners("M0 0A5 0 0 0 1 5 5") == [[[0, 0], [5, 5]]]
    assert corners("M1 1A5 5 0 0 1 1 1") == [[[1, 1], [1, 1]]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5), (" -2.5px ", -2.5), ("3pt", 4), ("1pc", 16), ("1in", 96), ("2.54cm", 96), ("25.4mm", 96),
        ("101.6Q", 96), ("50%", 100), ("2em", 20), ("1rem", 10), ("2ex", 10), ("1e2", 100), (".5", 0.5),
        ("auto", None), ("", None), (None, None), ("5parsec", None), ("5 5", None), ("calc(5px)", None),
    ],
)  # fmt: skip
def test_lengths(text: str | None, expected: float | None) -> None:
    assert geometry.length(text, 200, 10) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("translate(3)", (4, 2)), ("translate(3,4)", (4, 6)), ("scale(2)", (2, 4)), ("scale(2 3)", (2, 6)),
        ("rotate(90)", (-2, 1)), ("rotate(90 1 1)", (0, 1)), ("skewX(45)", (3, 2)), ("skewY(45)", (1, 3)),
        ("matrix(1 2 3 4 5 6)", (12, 16)), ("translate(10 20) scale(2)", (12, 24)), ("rotate(450)", (-2, 1)),
        ("scale(2),translate(1)", (4, 4)), (" rotate (90deg) ", (-2, 1)),
        ("", (1, 2)), (None, (1, 2)), ("none", (1, 2)), ("matrix(1 2)", (1, 2)), ("rotate()", (1, 2)),
        ("turn(5)", (1, 2)),
    ],
)  # fmt: skip
def test_transforms(text: str | None, expected: tuple) -> None:
    assert (geometry.transform(text) @ [1, 2, 1])[:2] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("preserve", "expected"),
    [
        (None, [(50, 0), (150, 100)]), ("xMidYMid meet", [(50, 0), (150, 100)]), ("xMinYMin", [(0, 0), (100, 100)]),
        ("xMaxYMax", [(100, 0), (200, 100)]), ("xMinYMin slice", [(0, 0), (200, 200)]),
        ("xMaxYMax slice", [(0, -100), (200, 100)]), ("none", [(0, 0), (200, 100)]),
        ("nonsense", [(50, 0), (150, 100)]),
    ],
)  # fmt: skip
def test_viewports(preserve: str | None, expected: list) -> None:
    matrix = geometry.viewport_transform((0, 0, 200, 100), (-1, -1, 2, 2), preserve)
    assert [tuple((matrix @ [*corner, 1])[:2]) for corner in ((-1, -1), (1, 1))] == expected


def test_viewboxes() -> None:
    assert geometry.viewbox("0,0 10 20") == (0, 0, 10, 20)
    for text in (None, "", "1 2 3", "0 0 0 5", "0 0 5 -1", "0 0 1 1 1"):
        assert geometry.viewbox(text) is None


@given(st.lists(points, min_size=4, max_size=4), st.floats(1e-4, 0.1))
def test_flattened_within_the_tolerance(control: list, fraction: float) -> None:
    stroke = np.array([control])
    (line,) = geometry.flatten([stroke], fraction)
    t = np.linspace(0, 1, 500)[:, None]
    a, b, c, d = stroke[0]
    curve = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
    size = np.ptp(curve, axis=0).max()
    away = shapely.distance(shapely.points(curve), shapely.LineString(line))
    assert away.max() <= fraction * size + 1e-9 * (1 + size)
    assert line[0].tolist() == list(control[0])
    assert line[-1].tolist() == list(control[3])


def test_flattening_adds_nothing_to_straight_lines() -> None:
    (stroke,) = geometry.path("M0 0L0.1 1000L1000 1000.3z")
    assert [line.tolist() for line in geometry.flatten([stroke], 1e-6)] == [
        [[0, 0], [0.1, 1000], [1000, 1000.3], [0, 0]]
    ]
    assert geometry.flatten([], 1e-3) == []


def test_shapes() -> None:
    assert geometry.shape("rect", {"width": "50%", "height": "50%"}, 20, 10, 16)[0][:, 3].tolist() == [
        [10, 0], [10, 5], [0, 5], [0, 0],
    ]  # fmt: skip
    (circle,) = geometry.shape("circle", {"r": "10%"}, 30, 40, 16)
    assert circle[0, 0, 0] == pytest.approx(math.hypot(30, 40) / math.sqrt(2) / 10)
    (rounded,) = geometry.rectangle(0, 0, 10, 10, 2, 3)
    (line,) = geometry.flatten([rounded], 1e-5)
    assert shapely.Polygon(line).area == pytest.approx(100 - 4 * 6 + math.pi * 6, rel=1e-4)
    assert shapely.Polygon(line).is_valid
    for name in ("rect", "circle", "ellipse", "polygon", "polyline", "path"):
        assert geometry.shape(name, {}, 10, 10, 16) == []


def test_more_than_a_drawing_can_have() -> None:
    many = "1 " * (geometry.MAX_SEGMENTS + 1)
    with pytest.raises(ValueError, match="path has more than 250,000 segments"):
        geometry.path(f"M0 0h{many}")
    with pytest.raises(ValueError, match="path has more than 250,000 segments"):
        geometry.path("M0 0" + "z" * geometry.MAX_SEGMENTS)
    with pytest.raises(ValueError, match="polygon has 250,001 points"):
        geometry.shape("polyline", {"points": many * 2}, 1, 1, 16)
    with pytest.raises(ValueError, match="1,750,007 numbers"):
        geometry.numbers(many * 7)
    circles = geometry.ellipse(0, 0, 1, 1) * 50_000
    with pytest.raises(ValueError, match="more than 1,000,000 points"):
        geometry.flatten(circles, 1e-4)


def test_coordinates_that_are_no_numbers() -> None:
    for d in ("M0 0L1e999 0", "M0 0L1 1e-999999 -1e999"):
        with pytest.raises(ValueError, match="too large or not a number"):
            geometry.path(d)
    with pytest.raises(ValueError, match="too large or not a number"):
        geometry.flatten([np.full((1, 4, 2), np.nan)], 1e-3)
