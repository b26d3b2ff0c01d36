"""Drawings: the three forms say the same, geometry keeps its promises, bad rows are refused."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sketchrnn import Drawing
from sketchrnn.drawing import like_quickdraw

coordinates = st.floats(-1000, 1000, width=32)
offsets = st.one_of(st.integers(-300, 300).map(float), coordinates)


@st.composite
def drawings(draw: st.DrawFn, min_points: int = 0, max_points: int = 40) -> Drawing:
    n = draw(st.integers(min_points, max_points))
    rows = np.zeros((n, 3), np.float32)
    rows[:, :2] = draw(arrays(np.float32, (n, 2), elements=offsets))
    rows[:, 2] = draw(arrays(np.int8, n, elements=st.integers(0, 1)))
    return Drawing(rows, label=draw(st.sampled_from([None, "cat"])))


def ended(drawing: Drawing) -> Drawing:
    """The same with the last stroke lifted, as lines write it."""
    rows = drawing.stroke3.copy()
    rows[-1:, 2] = 1
    return Drawing(rows)


def distances(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """From each point to the polyline."""
    target = shapely.LineString(line) if len(line) > 1 else shapely.Point(line[0])
    return shapely.distance(shapely.points(points), target)


@given(drawings())
def test_lines_round_trip(drawing: Drawing) -> None:
    lines = drawing.lines()
    assert len(lines) == drawing.num_strokes
    assert sum(map(len, lines)) == len(drawing)
    back = Drawing.from_lines(lines, label=drawing.label)
    assert back.label == drawing.label
    assert np.array_equal(back.stroke3[:, 2], ended(drawing).stroke3[:, 2])
    assert np.allclose(back.stroke3, ended(drawing).stroke3, atol=1e-6)


@given(drawings(), st.integers(0, 5))
def test_stroke5_round_trip(drawing: Drawing, padding: int) -> None:
    rows = drawing.stroke5(len(drawing) + padding)
    assert rows.shape == (len(drawing) + padding, 5)
    assert (rows[:, 2:].sum(axis=1) == 1).all()
    assert (rows[len(drawing) :] == [0, 0, 0, 0, 1]).all()
    assert Drawing.from_stroke5(rows) == drawing
    assert Drawing.from_stroke5(drawing.stroke5()) == drawing


def test_stroke5_too_short() -> None:
    with pytest.raises(ValueError, match="3 points does not fit into 2 rows"):
        Drawing(np.zeros((3, 3))).stroke5(2)
    with pytest.raises(ValueError, match="stroke-5"):
        Drawing.from_stroke5(np.zeros((3, 3)))


def test_equality_ignores_the_label() -> None:
    one, two = Drawing(np.ones((2, 3)), label="a"), Drawing(np.ones((2, 3)), label="b")
    assert one == two
    assert hash(one) == hash(two)
    assert one != Drawing(np.zeros((2, 3)))
    assert one != "a"


@given(drawings(), st.floats(0.01, 100))
def test_scaled(drawing: Drawing, factor: float) -> None:
    scaled = drawing.scaled(factor)
    assert np.allclose(scaled.points(), drawing.points() * factor, rtol=1e-5, atol=1e-2)
    assert scaled.label == drawing.label
    assert np.array_equal(scaled.stroke3[:, 2], drawing.stroke3[:, 2])


@given(drawings(min_points=1), st.floats(1, 1000))
def test_fitted(drawing: Drawing, size: float) -> None:
    left, top, right, bottom = drawing.fitted(size).bounds()
    assert abs(left) <= 1e-3 * size
    assert abs(top) <= 1e-3 * size
    if drawing.size > 1e-3:
        assert math.isclose(max(right - left, bottom - top), size, rel_tol=1e-3)


@given(drawings(min_points=1, max_points=12), st.floats(5, 500))
def test_resampled(drawing: Drawing, spacing: float) -> None:
    resampled = drawing.resampled(spacing)
    assert resampled.num_strokes == drawing.num_strokes
    for before, after in zip(drawing.lines(), resampled.lines(), strict=True):
        assert np.allclose(after[0], before[0], atol=1e-2)
        assert np.allclose(after[-1], before[-1], atol=1e-2)
        assert (distances(after, before) <= 1e-2).all()
        length = np.hypot(*np.diff(before, axis=0).T).sum()
        assert len(after) <= length / spacing + 2


def test_resampled_in_equal_steps() -> None:
    line = Drawing.from_lines([[[0, 0], [10, 0], [10, 10]]]).resampled(5).lines()[0]
    assert line.tolist() == [[0, 0], [5, 0], [10, 0], [10, 5], [10, 10]]
    with pytest.raises(ValueError, match="positive"):
        Drawing.from_lines([]).resampled(0)
    with pytest.raises(ValueError, match="positive"):
        Drawing.from_lines([]).resampled(math.nan)


@given(drawings(min_points=1), st.floats(0, 200))
def test_simplified(drawing: Drawing, epsilon: float) -> None:
    simplified = drawing.simplified(epsilon)
    assert simplified.num_strokes == drawing.num_strokes
    assert len(simplified) <= len(drawing)
    for before, after in zip(drawing.lines(), simplified.lines(), strict=True):
        assert np.allclose(after[[0, -1]], before[[0, -1]], atol=1e-2)
        assert (distances(before, after) <= epsilon + 1e-2).all()


@given(drawings(min_points=1), st.integers(2, 40))
def test_limited(drawing: Drawing, max_points: int) -> None:
    least = sum(min(len(line), 2) for line in drawing.lines())
    if least > max_points:
        with pytest.raises(ValueError, match="more than the"):
            drawing.limited(max_points)
        return
    limited = drawing.limited(max_points)
    assert len(limited) <= max_points
    assert limited.num_strokes == drawing.num_strokes
    if len(drawing) <= max_points:
        assert limited is drawing


def test_limited_of_ten_thousand_points() -> None:
    t = np.linspace(0, 60, 10_000)
    spiral = Drawing.from_lines([np.column_stack([t * np.cos(t), t * np.sin(t)])])
    assert 100 < len(spiral.limited(200)) <= 200


def test_limited_ends_on_coordinates_of_a_billion() -> None:
    rng = np.random.default_rng(0)
    huge = Drawing.from_lines([rng.uniform(-1e9, 1e9, (500, 2))])
    assert len(huge.limited(20)) <= 20


def test_limited_ends_on_repeated_points() -> None:
    assert len(Drawing(np.zeros((500, 3))).limited(10)) <= 10
    closed = Drawing.from_lines([[[0, 0], [5, 5]] * 100 + [[0, 0]]])
    assert len(closed.limited(10)) <= 10


def test_raw_drawings_become_what_quickdraw_makes_of_them() -> None:
    t = np.linspace(0, 2 * np.pi, 2000)
    circle = np.column_stack([500 + 400 * np.cos(t), -300 + 400 * np.sin(t)])
    made = like_quickdraw(Drawing.from_lines([circle, [[100, -700], [900, 100]]]))
    assert made.bounds() == (0, 0, 255, 255)
    assert (made.stroke3 == np.rint(made.stroke3)).all()
    assert made.num_strokes == 2
    assert 12 < len(made) < 40
    radius = np.hypot(*(made.lines()[0] - 127.5).T)
    assert np.abs(radius - 127.5).max() < 3.5


def test_what_is_too_long_to_resample() -> None:
    scribble = Drawing.from_lines([[[0, 0], [9, 0]] * 5000])
    for size in (255, 9):
        with pytest.raises(ValueError, match="its strokes are 2,549,745 units long at size 255, more than 250,000"):
            like_quickdraw(scribble, size)
    assert len(like_quickdraw(scribble, epsilon=0)) == 10_000
    assert len(like_quickdraw(Drawing.from_lines([[[0, 0], [9, 0]] * 100]))) < 300


def test_simplification_scales_with_the_size() -> None:
    drawing = Drawing.from_lines([np.column_stack([np.arange(400), 90 * np.sin(np.arange(400) / 30)])])
    large, small = like_quickdraw(drawing, 255), like_quickdraw(drawing, 1)
    assert len(large) == pytest.approx(len(small), abs=3)
    assert small.size == pytest.approx(1)
    assert not (small.stroke3 == np.rint(small.stroke3)).all()


@given(drawings(min_points=1))
def test_head(drawing: Drawing) -> None:
    assert drawing.head(len(drawing)) == drawing
    assert np.array_equal(drawing.head(1).stroke3, drawing.stroke3[:1])
    assert len(drawing.head(0)) == 0


def test_empty() -> None:
    empty = Drawing(np.zeros((0, 3)))
    assert Drawing.from_lines([]) == empty
    assert Drawing.from_lines([[], np.zeros((0, 2))]) == empty
    assert empty.lines() == []
    assert empty.num_strokes == 0
    assert empty.bounds() == (0, 0, 0, 0)
    for same in (empty.fitted(10), empty.resampled(1), empty.simplified(1), empty.limited(5), empty.scaled(2)):
        assert same == empty
    assert "<svg" in empty.to_svg()


def test_rows_are_read_only_and_apart() -> None:
    rows = np.zeros((2, 3), np.float32)
    drawing = Drawing(rows)
    rows[0, 0] = 5
    assert drawing.stroke3[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        drawing.stroke3[0, 0] = 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e39])
def test_not_finite(value: float) -> None:
    rows = np.zeros((3, 3))
    rows[1, 0] = value
    with pytest.raises(ValueError, match="point 1 is not finite"):
        Drawing(rows)


@pytest.mark.parametrize("rows", [np.zeros((3, 2)), np.zeros(3), np.zeros((1, 3, 3)), np.array([["a", "b", "c"]])])
def test_not_rows_of_three(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(n, 3\) array of numbers"):
        Drawing(rows)


@pytest.mark.parametrize("pen", [2, -1, 0.5])
def test_not_a_pen_state(pen: float) -> None:
    with pytest.raises(ValueError, match="pen state of point 1"):
        Drawing(np.array([[0, 0, 0], [0, 0, pen]]))


def test_object_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="array of numbers"):
        Drawing(np.array([[None, None, None]]))


@given(drawings(min_points=1))
def test_svg_is_well_formed_and_holds_all_points(drawing: Drawing) -> None:
    root = ET.fromstring(drawing.to_svg(background="#fff"))
    box = [float(number) for number in root.attrib["viewBox"].split()]
    left, top, right, bottom = drawing.bounds()
    slack = 1e-3 * box[2]
    assert box[0] <= left + slack
    assert box[1] <= top + slack
    assert box[0] + box[2] >= right - slack
    assert box[1] + box[3] >= bottom - slack
    assert drawing.svg_path().count("M") == drawing.num_strokes


def test_svg_path_is_short() -> None:
    assert Drawing.from_lines([[[0, 0], [100, 0.5]], [[7, 7]]]).svg_path() == "M0 0L100 0.5M7 7L7 7"
    assert Drawing.from_lines([[[-0.001, 0], [100, 1]]]).svg_path(2) == "M0 0L100 1"
