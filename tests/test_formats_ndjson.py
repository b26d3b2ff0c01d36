"""Quick, Draw! ndjson: simplified and raw rows, one bad line never ends the reading."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchrnn import Drawing, formats
from sketchrnn.formats import detect, ndjson

ROW = '{"word":"cat","countrycode":"US","key_id":"5","recognized":true,"drawing":[[[0,10],[5,5]],[[3],[4]]]}\n'


def save(folder: Path, text: str | bytes) -> Path:
    path = folder / "cat.ndjson"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def row(drawing: object) -> str:
    return json.dumps({"word": "cat", "drawing": drawing}) + "\n"


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    values = draw(st.sampled_from([st.integers(0, 255), st.floats(-1e5, 1e5, width=32)]))
    lines = draw(st.lists(st.lists(st.tuples(values, values), min_size=1, max_size=6), max_size=4))
    meta = draw(st.dictionaries(st.sampled_from(["countrycode", "timestamp"]), st.text(), max_size=2))
    return Drawing.from_lines(lines, label=draw(st.none() | st.text()), key=draw(st.none() | st.text()), meta=meta)


@settings(deadline=None)
@given(st.lists(drawings(), min_size=1, max_size=4))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, given_: list[Drawing]) -> None:
    path = tmp_path_factory.getbasetemp() / "a.ndjson"
    formats.write(given_, path)
    read = formats.read(path)
    for one, two in zip(given_, read, strict=True):
        assert np.allclose(one.stroke3, two.stroke3, rtol=1e-6, atol=1e-6)
        assert (one.label, one.key, one.meta) == (two.label, two.key, two.meta)


def test_simplified(tmp_path: Path) -> None:
    path = save(tmp_path, b"\n" + ROW.encode() + b"  \n" + ROW.encode())
    assert formats.kind(path) == "ndjson-simplified"
    first, second = formats.read(path)
    assert first == second
    assert first.stroke3.tolist() == [[0, 5, 0], [10, 0, 1], [-7, -1, 1]]
    assert (first.label, first.key) == ("cat", "5")
    assert first.meta == {"countrycode": "US", "recognized": True}


def test_written_as_the_data_set_is(tmp_path: Path) -> None:
    path = save(tmp_path, ROW)
    formats.write(formats.read(path), tmp_path / "copy.ndjson")
    assert json.loads((tmp_path / "copy.ndjson").read_text()) == json.loads(ROW)
    assert '"drawing":[[[0,10],[5,5]],[[3],[4]]]' in (tmp_path / "copy.ndjson").read_text()


def test_raw_keeps_its_times(tmp_path: Path) -> None:
    strokes = [[[0.5, 10], [5, 5], [0, 16]], [[3], [4], [99]]]
    path = save(tmp_path, row(strokes))
    assert formats.kind(path) == "ndjson-raw"
    (drawing,) = formats.read(path)
    assert drawing.meta["times"] == [[0, 16], [99]]
    formats.write([drawing], tmp_path / "copy.ndjson")
    assert json.loads((tmp_path / "copy.ndjson").read_text())["drawing"] == strokes
    formats.write([drawing.resampled(1)], tmp_path / "other.ndjson")
    assert formats.kind(tmp_path / "other.ndjson") == "ndjson-simplified"


def test_half_a_character(tmp_path: Path) -> None:
    for name in ("word", "key_id"):
        with pytest.raises(ValueError, match=rf"^cat.ndjson:1: {name} 'a\\udc00' holds half a character"):
            formats.read(save(tmp_path, ROW.replace('"recognized"', f'"{name}":"a\\udc00","recognized"')))
    (pair,) = formats.read(save(tmp_path, ROW.replace('"cat"', '"\\ud83d\\ude00"')))
    assert pair.label == "\U0001f600"


def test_a_long_text_among_many(tmp_path: Path) -> None:
    line = row([[["a" * 20_000, *range(20_000)], list(range(20_001))]])  # 1.6 GB as an array of text
    tracemalloc.start()
    with pytest.raises(ValueError, match="something other than numbers"):
        formats.read(save(tmp_path, line))
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("times", [5, [1, 2], None, {}])
def test_times_that_do_not_fit_are_not_written(tmp_path: Path, times: object) -> None:
    (drawing,) = formats.read(save(tmp_path, row([[[1], [1], times]])))
    assert drawing.meta["times"] == [times if isinstance(times, list) else []]
    formats.write([drawing], tmp_path / "copy.ndjson")
    assert json.loads((tmp_path / "copy.ndjson").read_text())["drawing"] == [[[1], [1]]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense\n", "not JSON: Expecting value"),
        ("[]\n", 'there is no list "drawing"'),
        ("3\n", 'there is no list "drawing"'),
        ('{"word":"cat"}\n', 'there is no list "drawing"'),
        (row("text"), 'there is no list "drawing"'),
        (row([[[1, 2]]]), r"stroke 0 is not \[xs, ys\]"),
        (row([[[1], [1]], 5]), r"stroke 1 is not \[xs, ys\]"),
        (row([[[1, 2], [1]]]), "stroke 0 has 2 x and 1 y"),
        (row([[5, 6]]), "stroke 0 is not two lists of numbers"),
        (row([[{"a": 1}, [1]]]), "stroke 0 is not two lists of numbers"),
        (row([[["1"], ["2"]]]), "something other than numbers"),
        (row([[[None], [1]]]), "something other than numbers"),
        (row([[[True], [1]]]), "something other than numbers"),
        (row([[[[1], [2, 3]], [1, 2]]]), "something other than numbers"),
        (row([[[float("nan")], [1]]]), "NaN is not a number"),
        (row([[[1], [float("-inf")]]]), "-Infinity is not a number"),
        ('{"drawing":[[[1e999],[1]]]}\n', "point 0 is not finite"),
        ('{"drawing":[[[1e39],[1]]]}\n', "point 0 is not finite"),
        (f'{{"drawing":[[[{"9" * 400}],[1]]]}}\n', "a number that is too large"),
        (f'{{"drawing":[[[{"9" * 5000}],[1]]]}}\n', "Exceeds the limit|not JSON"),
        (f'{{"drawing":{"[" * 100_000}\n', "nested too deeply|not JSON"),
    ],
)
def test_bad_lines_are_set_aside(tmp_path: Path, line: str, reason: str) -> None:
    bad: list[tuple[str, str]] = []
    path = save(tmp_path, ROW + line + ROW)
    assert len(formats.read(path, bad=lambda *args: bad.append(args))) == 2
    assert len(bad) == 1
    assert bad[0][0] == "cat.ndjson:2"
    with pytest.raises(ValueError, match=f"^cat.ndjson:2: .*({reason})"):
        formats.read(path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^cat\.ndjson:2: not JSON"):
        formats.read(save(tmp_path, ROW.encode() + b'{"drawing": "\xff"}\n'))


def test_a_bad_first_line(tmp_path: Path) -> None:
    path = save(tmp_path, 'ing":[[[1,2],[3,4]]]}\n' + ROW)
    bad: list[tuple[str, str]] = []
    assert len(formats.read(path, bad=lambda *args: bad.append(args))) == 1
    assert [where for where, _ in bad] == ["cat.ndjson:1"]


@pytest.mark.parametrize("length", range(20, len(ROW) - 2, 10))
def test_cut_off_in_the_last_line(tmp_path: Path, length: int) -> None:
    path = save(tmp_path, ROW + ROW[:length])
    with pytest.raises(ValueError, match=r"^cat\.ndjson:2: the line is cut off"):
        formats.read(path)
    assert len(formats.read(path, bad=lambda *_: None)) == 1


def test_no_newline_at_the_end(tmp_path: Path) -> None:
    assert len(formats.read(save(tmp_path, ROW + ROW.strip()))) == 2


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "MAX_LINE", 1000)
    long = row([[list(range(3000)), list(range(3000))]])
    bad: list[tuple[str, str]] = []
    path = save(tmp_path, ROW + long + ROW + long.strip())
    assert len(formats.read(path, bad=lambda *args: bad.append(args))) == 2
    assert bad == [(f"cat.ndjson:{n}", "the line is longer than 1,000 bytes") for n in (2, 4)]
    assert detect.MAX_LINE == 2**24


def test_streams(tmp_path: Path) -> None:
    """The first drawing arrives before the bad line after it is looked at."""
    rows = formats.iterate(save(tmp_path, ROW + "nonsense\n"))
    assert next(rows).label == "cat"
    with pytest.raises(ValueError, match=r"cat\.ndjson:2"):
        next(rows)


def test_nothing_but_bad_lines(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cat\.ndjson holds no drawing"):
        formats.read(save(tmp_path, "{}\n{}\n"), bad=lambda *_: None)


def test_infinity_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        formats.write([Drawing.from_lines([[[0, 0]]], meta={"score": float("nan")})], tmp_path / "a.ndjson")
    assert not list(tmp_path.iterdir())


def test_real_files(real_data: Path) -> None:
    counts = {path.stem: len(formats.read(path)) for path in real_data.glob("quickdraw-ndjson/*.ndjson")}
    assert counts == {"all_classes_small": 18322, "bird": 2254, "cat": 5274, "circle": 1351, "owl": 1065}


@pytest.mark.parametrize("name", ["cat", "circle"])
def test_ndjson_and_npz_hold_the_same_drawings(real_data: Path, name: str) -> None:
    lines = formats.read(real_data / f"quickdraw-ndjson/{name}.ndjson")
    arrays = formats.read(real_data / f"quickdraw/{name}.npz")
    # The npz starts each drawing at its first point.
    started = {Drawing(np.concatenate([[[0, 0, d.stroke3[0, 2]]], d.stroke3[1:]])) for d in lines}
    assert len(lines) == len(arrays)
    assert started == {Drawing(np.concatenate([[[0, 0, d.stroke3[0, 2]]], d.stroke3[1:]])) for d in arrays}
    assert all(drawing.label == name for drawing in lines)
