"""The one door to files of drawings: what kind a file is, and what is said of one that is none."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sketchrnn
from sketchrnn import Drawing, formats

DRAWING = Drawing.from_lines([[[0, 5], [10, 5]], [[3, 4]]], label="cat", key="7")
ENDINGS = {".svg": "svg", ".npz": "npz", ".ndjson": "ndjson-simplified", ".bin": "binary", ".inkml": "inkml"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_write_and_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    formats.write([DRAWING], path)
    assert formats.kind(path) == ENDINGS[ending]
    assert sketchrnn.read(str(path)) == [DRAWING]
    assert list(formats.iterate(path)) == [DRAWING]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_content_counts_before_the_ending(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    formats.write([DRAWING], path)
    other = tmp_path / ("b.npz" if ending != ".npz" else "b.svg")
    path.rename(other)
    if ending == ".bin":  # nothing in it tells
        with pytest.raises(ValueError, match="does not hold what its ending says"):
            formats.read(other)
    else:
        assert formats.read(other) == [DRAWING]


@pytest.mark.parametrize("ending", [*ENDINGS, ".txt", ""])
def test_empty_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"{path.name} is empty"):
        formats.read(path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "page",
    [
        "<!doctype html><title>403</title>",
        "\n<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>\n<html>",
        "\ufeff<html lang=en><head>",
        "<!-- moved --> <!-- moved --><head>",
        "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'/>",
    ],
)
def test_html_page(tmp_path: Path, ending: str, page: str) -> None:
    path = tmp_path / f"cat{ending}"
    path.write_text(page, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"cat\{ending} is an HTML page, not drawings"):
        formats.read(path)


def test_comments_before_a_page_cost_their_length(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text("<!-- -->" * 400 + "<x")
    with pytest.raises(ValueError, match="does not hold what its ending says"):
        formats.read(path)


@pytest.mark.parametrize("ending", [".svg", ".npz", ".ndjson", ".inkml", ".dat"])
@pytest.mark.parametrize(
    "data", [b"some text\nand more\n", bytes(range(256)), b"[1, 2]", b"<<<", gzip.compress(b"x", mtime=0)]
)
def test_another_kind_of_file(tmp_path: Path, ending: str, data: bytes) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"does not hold what its ending says|not a file of drawings that can be read"):
        formats.read(path)


def test_binary_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_text("some text that is long enough for a header")
    with pytest.raises(ValueError, match="is not a Quick, Draw! binary file"):
        formats.read(tmp_path / "a.bin")


def test_other_xml(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("<rss><item/></rss>")
    with pytest.raises(ValueError, match="is an XML file of <rss>, not of drawings"):
        formats.read(tmp_path / "a.svg")


@pytest.mark.parametrize("picture", ["PNG", "JPEG", "GIF"])
def test_picture_of_pixels(tmp_path: Path, picture: str) -> None:
    path = tmp_path / f"a.{picture.lower()}"
    Image.new("RGB", (3, 3)).save(path, picture)
    with pytest.raises(ValueError, match=f"is a {picture} picture of pixels: trace it"):
        formats.read(path)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^there is no file .*missing\.svg$"):
        formats.read(tmp_path / "missing.svg")
    with pytest.raises(ValueError, match="is a folder: `sketchrnn data prepare` reads folders"):
        formats.read(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="cannot be read: not a directory"):
        formats.read(tmp_path / "file/a.svg")


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no drawing to write"):
        formats.write([], tmp_path / "a.svg")


@pytest.mark.parametrize("name", ["a.txt", "a.png", "a", ".svg"])
def test_unknown_ending(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"none of the endings that drawings are written to: \.svg \.ndjson \.npz"):
        formats.write([DRAWING], tmp_path / name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_nowhere_to_write(tmp_path: Path, ending: str) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        formats.write([DRAWING], tmp_path / f"missing/a{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_ten_thousand_points(tmp_path: Path, ending: str) -> None:
    points = np.random.default_rng(0).integers(0, 256, (10_000, 2))
    drawing = Drawing.from_lines([points[:5000], points[5000:]])
    formats.write([drawing], tmp_path / f"a{ending}")
    assert formats.read(tmp_path / f"a{ending}") == [drawing]


@pytest.mark.parametrize("ending", [".svg", ".npz", ".ndjson", ".inkml"])
def test_coordinates_of_a_billion(tmp_path: Path, ending: str) -> None:
    drawing = Drawing.from_lines([[[-1e9, 1e9], [1e9, -1e9], [0, 0]]])
    formats.write([drawing], tmp_path / f"a{ending}")
    assert formats.read(tmp_path / f"a{ending}") == [drawing]
