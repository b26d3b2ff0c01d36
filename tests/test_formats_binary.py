"""The Quick, Draw! binary form."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchrnn import Drawing, formats

RECORD = struct.pack("<Q2sbIH", 5, b"US", 1, 1488000000, 2) + b"\x02\x00\x00\x0a\x05\x05" + b"\x01\x00\x03\x04"
META = {"countrycode": "US", "recognized": True, "timestamp": 1488000000}


def save(folder: Path, data: bytes) -> Path:
    path = folder / "cat.bin"
    path.write_bytes(data)
    return path


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    byte = st.integers(0, 255)
    lines = draw(st.lists(st.lists(st.tuples(byte, byte), min_size=1, max_size=6), max_size=4))
    meta = {
        "countrycode": draw(st.text("ABCXYZ", min_size=2, max_size=2)),
        "recognized": draw(st.booleans()),
        "timestamp": draw(st.integers(0, 2**32 - 1)),
    }
    return Drawing.from_lines(lines, key=str(draw(st.integers(0, 2**64 - 1))), meta=meta)


@settings(deadline=None)
@given(st.lists(drawings(), min_size=1, max_size=4))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, given_: list[Drawing]) -> None:
    path = tmp_path_factory.getbasetemp() / "a.bin"
    formats.write(given_, path)
    assert formats.kind(path) == "binary"
    for one, two in zip(given_, formats.read(path), strict=True):
        assert one == two
        assert (one.key, one.meta) == (two.key, two.meta)


def test_as_the_data_set_has_it(tmp_path: Path) -> None:
    path = save(tmp_path, RECORD * 2)
    first, second = formats.read(path)
    assert first == second
    assert first.stroke3.tolist() == [[0, 5, 0], [10, 0, 1], [-7, -1, 1]]
    assert (first.key, first.meta) == ("5", META)
    formats.write([first, second], tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == RECORD * 2


def test_what_other_formats_say_is_kept_where_it_fits(tmp_path: Path) -> None:
    meta = {"timestamp": "2017-03-08 21:12:07.26638 UTC", "countrycode": "Atlantis", "recognized": False}
    told = Drawing.from_lines([[[1, 2]]], label="cat", key="0002e", meta=meta)
    untold = Drawing.from_lines([[[1, 2]]], meta={"timestamp": "long ago"})
    formats.write([told, untold], tmp_path / "a.bin")
    one, two = formats.read(tmp_path / "a.bin")
    assert (one.label, one.key) == (None, "0")
    assert one.meta == {"timestamp": 1489007527, "countrycode": "ZZ", "recognized": False}
    assert two.meta == {"timestamp": 0, "countrycode": "ZZ", "recognized": True}


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"{", b"<svg", b"<html>", b" {", b"\xff\xfe"])
def test_a_key_that_begins_like_another_file(tmp_path: Path, start: bytes) -> None:
    path = save(tmp_path, start.ljust(8, b"\0") + RECORD[8:])
    assert formats.kind(path) == "binary"
    assert formats.read(path)[0].key == str(int.from_bytes(start, "little"))


@pytest.mark.parametrize("length", range(1, len(RECORD)))
def test_cut_off_anywhere(tmp_path: Path, length: int) -> None:
    path = save(tmp_path, RECORD + RECORD[:length])
    where = f"cat.bin:byte {len(RECORD)}"
    with pytest.raises(ValueError, match=f"^{where}: the file is cut off in the middle of a drawing"):
        formats.read(path)
    bad: list[tuple[str, str]] = []
    assert len(formats.read(path, bad=lambda *args: bad.append(args))) == 1
    assert [at for at, _ in bad] == [where]
    with pytest.raises(ValueError, match=r"cat\.bin is not a Quick, Draw! binary file"):
        formats.read(save(tmp_path, RECORD[:length]))


def test_out_of_step(tmp_path: Path) -> None:
    path = save(tmp_path, RECORD + b"\xff" * 40)
    with pytest.raises(ValueError, match="there is no drawing: its country code"):
        formats.read(path)
    with pytest.raises(ValueError, match="is not a Quick, Draw! binary file"):
        formats.read(save(tmp_path, b"\x01" * 100))


def test_the_largest_drawing_that_a_short_file_can_claim(tmp_path: Path) -> None:
    path = save(tmp_path, struct.pack("<Q2sbIHH", 5, b"US", 1, 0, 65535, 65535))
    with pytest.raises(ValueError, match="cut off"):
        formats.read(path)


@pytest.mark.parametrize("line", [[[0.5, 0]], [[0, 256]], [[-1, 0]], [[1e9, 1e9]]])
def test_only_bytes_are_written(tmp_path: Path, line: list) -> None:
    fits = Drawing.from_lines([[[1, 1]]])
    with pytest.raises(ValueError, match="drawing 1 has coordinates other than whole numbers from 0 to 255"):
        formats.write([fits, Drawing.from_lines([line])], tmp_path / "a.bin")
    assert not list(tmp_path.iterdir())


def test_too_long(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 65,535"):
        formats.write([Drawing.from_lines([[[1, 1]] * 65536])], tmp_path / "a.bin")
