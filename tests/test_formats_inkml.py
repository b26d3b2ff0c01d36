"""InkML: traces, their channels and differences."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchrnn import Drawing, formats
from sketchrnn.formats import inkml

HEAD = '<?xml version="1.0"?><ink xmlns="http://www.w3.org/2003/InkML">'


def read(folder: Path, inner: str, **arguments: object) -> Drawing:
    path = folder / "a.inkml"
    path.write_text(f"{HEAD}{inner}</ink>")
    (drawing,) = formats.read(path, **arguments)  # type: ignore[arg-type]
    return drawing


def lines(drawing: Drawing) -> list:
    return [line.tolist() for line in drawing.lines()]


values = st.one_of(st.integers(-9999, 9999).map(float), st.floats(-1e5, 1e5, width=32))
strokes = st.lists(st.lists(st.tuples(values, values), min_size=1, max_size=6), min_size=1, max_size=4)
text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"])).map(str.strip)


@settings(deadline=None)
@given(strokes, st.none() | text, st.none() | text)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, lines: list, label: str | None, key: str | None) -> None:
    path = tmp_path_factory.getbasetemp() / "a.inkml"
    drawing = Drawing.from_lines(lines, label=label, key=key)
    formats.write([drawing], path)
    assert formats.kind(path) == "inkml"
    (back,) = formats.read(path)
    assert np.allclose(back.stroke3, drawing.stroke3, rtol=1e-6, atol=1e-6)
    assert (back.label, back.key) == (label or None, key or None)


def test_traces(tmp_path: Path) -> None:
    inner = """
      <annotation type="UI">2012_07</annotation><annotation type="truth">$x$</annotation>
      <traceGroup><trace id="a">10 0, 9 14,
      8 28</trace><traceGroup><annotation type="truth">x</annotation><trace>1.5e1 -2.5,.5 1.</trace></traceGroup>
      <traceView traceDataRef="#a"/></traceGroup><trace type="penUp">1 1, 2 2</trace><trace>7 7</trace>"""
    drawing = read(tmp_path, inner)
    assert lines(drawing) == [[[10, 0], [9, 14], [8, 28]], [[15, -2.5], [0.5, 1]], [[7, 7]]]
    assert drawing.label == "$x$"
    assert drawing.meta == {"UI": "2012_07"}


def test_channels_in_another_order(tmp_path: Path) -> None:
    inner = """<traceFormat><channel name="T" type="integer"/><channel name="Y"/><channel name="X"/>
      <intermittentChannels><channel name="F"/></intermittentChannels></traceFormat>
      <trace>0 1 2, 5 3 4 0.7</trace>"""
    assert lines(read(tmp_path, inner)) == [[[2, 1], [4, 3]]]


def test_channels_by_context(tmp_path: Path) -> None:
    x, y = '<channel name="X"/>', '<channel name="Y"/>'
    inner = f"""<definitions><traceFormat xml:id="f">{y}{x}</traceFormat>
      <inkSource xml:id="s"><traceFormat><channel name="F"/>{x}{y}</traceFormat></inkSource>
      <context xml:id="byformat" traceFormatRef="#f"/><context xml:id="bysource" inkSourceRef="#s"/>
      <context xml:id="inner"><inkSource><traceFormat>{x}{y}</traceFormat></inkSource></context>
      <context xml:id="like" contextRef="#bysource"/></definitions>
      <trace contextRef="#byformat">1 2</trace><trace contextRef="#bysource">0 3 4</trace>
      <trace contextRef="#inner">5 6</trace><trace contextRef="#like">0 7 8</trace><trace>10 9</trace>"""
    assert lines(read(tmp_path, inner)) == [[[2, 1]], [[3, 4]], [[5, 6]], [[7, 8]], [[9, 10]]]


def test_differences(tmp_path: Path) -> None:
    """The recommendation's own example: values, differences, then differences of differences."""
    drawing = read(tmp_path, """<trace>1125 18432,'23'43,"7"-8,3-5,7 -3,6 2,6 8,3 6,2 4</trace>""")
    assert lines(drawing)[0][:5] == [[1125, 18432], [1148, 18475], [1178, 18510], [1211, 18540], [1251, 18567]]
    assert lines(drawing)[0][-1] == [1461, 18723]
    assert lines(read(tmp_path, "<trace>1 1,'1'2,1 2,!9!9,8 7,* 3</trace>")) == [
        [[1, 1], [2, 3], [3, 5], [9, 9], [8, 7], [8, 3]]
    ]


def test_hexadecimal_and_signs(tmp_path: Path) -> None:
    inner = """<traceFormat><channel name="B"/><channel name="X"/><channel name="Y"/></traceFormat>
      <trace>T#ff#10,F 1 2,? 3 4,*5 6</trace>"""
    assert lines(read(tmp_path, inner)) == [[[255, 16], [1, 2], [3, 4], [5, 6]]]


def test_a_stroke_in_pieces(tmp_path: Path) -> None:
    inner = """<trace id="a" continuation="begin">1 1, 2 2</trace><trace>9 9</trace>
      <trace id="b" continuation="middle" priorRef="#a">3 3</trace>
      <trace continuation="end" priorRef="#b">4 4</trace>"""
    assert sorted(lines(read(tmp_path, inner))) == [[[1, 1], [2, 2], [3, 3], [4, 4]], [[9, 9]]]


def test_traces_among_the_definitions(tmp_path: Path) -> None:
    defined = '<definitions><trace id="a">1 1</trace></definitions>'
    assert lines(read(tmp_path, defined + '<traceView traceDataRef="#a"/>')) == [[[1, 1]]]
    assert lines(read(tmp_path, defined + "<trace>2 2</trace>")) == [[[2, 2]]]


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        ("1 2, x", "point 1 is 'x', not 2 values"),
        ("1", "point 0 is '1', not 2 values"),
        ("1 2, 3 ?", "point 1 has no position"),
        ("1 2, nan nan", "point 1"),
        ("#" + "f" * 10**6 + " 1", "point 0"),
        ("1 2, ''''", "point 1"),
    ],
)
def test_bad_traces_are_set_aside(tmp_path: Path, trace: str, reason: str) -> None:
    inner = f"<trace>0 0</trace><trace>{trace}</trace>"
    with pytest.raises(ValueError, match=r"^a\.inkml:trace 1: " + reason):
        read(tmp_path, inner)
    bad: list[tuple[str, str]] = []
    assert lines(read(tmp_path, inner, bad=lambda *args: bad.append(args))) == [[[0, 0]]]
    assert bad[0][0] == "a.inkml:trace 1"


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ("", "has no traces"),
        ("<trace>1e999 0</trace>", "cannot be read: point 0 is not finite"),
        ("<trace>1 2", "not well-formed XML"),
        ('<traceFormat><channel name="F"/></traceFormat><trace>1</trace>', "X and Y are needed"),
    ],
)
def test_no_drawing(tmp_path: Path, inner: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(tmp_path, inner)


def test_too_many_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inkml, "MAX_POINTS", 1000)
    with pytest.raises(ValueError, match="more than 1,000 points"):
        read(tmp_path, f"<trace>{'0 0,' * 1001}</trace>")


def test_nested_contexts_cost_their_length(tmp_path: Path) -> None:
    deep = '<context xml:id="c">' * 50_000 + "</context>" * 50_000
    assert lines(read(tmp_path, f"<definitions>{deep}</definitions><trace>1 1</trace>")) == [[[1, 1]]]


def test_pieces_cost_their_length(tmp_path: Path) -> None:
    pieces = "".join(f'<trace id="t{i}" continuation="middle" priorRef="#t{i - 1}">1 1</trace>' for i in range(20_000))
    assert len(read(tmp_path, pieces)) == 20_000


def test_entities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.inkml"
    path.write_text('<!DOCTYPE ink [<!ENTITY a "1 1">]><ink><trace>&a;</trace></ink>')
    with pytest.raises(ValueError, match="declares XML entities"):
        formats.read(path)


def test_one_drawing_a_file(tmp_path: Path) -> None:
    drawing = Drawing.from_lines([[[0, 0]]])
    with pytest.raises(ValueError, match=r"one drawing, not 2: write \.ndjson"):
        formats.write([drawing, drawing], tmp_path / "a.inkml")
