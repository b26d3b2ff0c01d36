import builtins
import itertools
import re
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageSequence

import sketchrnn
from sketchrnn import formats, render
from sketchrnn.drawing import STROKE_COLOR, Drawing

SVG = "{http://www.w3.org/2000/svg}"

HOUSE = Drawing.from_lines(
    [[(0, 40), (0, 100), (80, 100), (80, 40), (0, 40)], [(0, 40), (40, 0), (80, 40)], [(40, 70)]]
)
LINE = Drawing.from_lines([[(0, 0), (100, 0)]], label="line")
DOT = Drawing.from_lines([[(3, 4)]])
EMPTY = Drawing.from_lines([])
FAR = Drawing.from_lines([[(1e9, 1e9), (1e9 + 1024, 1e9)], [(1e9, 1e9 + 1024), (1e9 + 1024, 1e9 + 1024)]])
TINY = Drawing.from_lines([[(0, 0), (1e-9, 0), (1e-9, 1e-9)]])


def pixels(png):
    """(height, width) of darkness, 0 to 1."""
    image = Image.open(BytesIO(png)) if isinstance(png, bytes) else png
    return 1 - np.asarray(image.convert("L"), np.float64) / 255


def frames(path):
    with Image.open(path) as image:
        return [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]


# -- still


def test_a_grid_is_well_formed_with_one_group_for_each_drawing():
    root = ElementTree.fromstring(render.grid_svg([HOUSE, EMPTY, LINE], columns=2, labels=["a", '<b> & "c"', "d"]))
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class") == "drawing"]
    assert len(groups) == 3
    assert (root.get("width"), float(root.get("height"))) == ("320", pytest.approx(2 * 160 * 1.12))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["a", '<b> & "c"', "d"]


def test_the_ink_lies_where_the_pen_went():
    ink = pixels(render.to_png(render.grid_svg(LINE, cell=200)))
    assert ink.shape == (200, 200)
    rows, columns = np.nonzero(ink > 0.5)
    assert set(rows) <= {98, 99, 100, 101}
    assert (columns.min(), columns.max()) == (pytest.approx(12, abs=2), pytest.approx(188, abs=2))
    # As much ink as a line of that length and width, with its round caps.
    assert ink.sum() == pytest.approx((176 * 2.5 + np.pi * 1.25**2) * (1 - 27.5 / 255), rel=0.03)


@pytest.mark.parametrize("cell", [160, 900])
def test_the_line_is_as_wide_as_the_cell_is_large(cell):
    ink = pixels(render.to_png(render.grid_svg(LINE, cell=cell)))
    assert ink.sum() / (0.88 * cell) == pytest.approx(cell / 80 * (1 - 27.5 / 255), rel=0.08)


@pytest.mark.parametrize("drawing", [DOT, FAR, TINY])
def test_no_drawing_is_hidden(drawing, tmp_path):
    sketchrnn.write(drawing, tmp_path / "picture.png")
    assert pixels((tmp_path / "picture.png").read_bytes()).max() > 0.6


def test_a_drawing_far_from_the_origin_keeps_its_shape(tmp_path):
    sketchrnn.write(FAR, tmp_path / "far.png")
    near = Drawing.from_lines([line - 1e9 for line in FAR.lines()])
    sketchrnn.write(near, tmp_path / "near.png")
    assert np.abs(pixels(Image.open(tmp_path / "far.png")) - pixels(Image.open(tmp_path / "near.png"))).max() < 0.02


def test_an_empty_drawing_is_an_empty_cell():
    ink = pixels(render.to_png(render.grid_svg([EMPTY, HOUSE], columns=2, cell=100)))
    assert ink.shape == (100, 200)
    assert ink[:, :100].sum() == 0
    assert ink[:, 100:].sum() > 50


def test_labels_and_title_are_set_without_any_font_of_the_machine(monkeypatch):
    import resvg_py

    real = resvg_py.svg_to_bytes
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **options: real(**{**options, "skip_system_fonts": True}))
    plain = pixels(render.to_png(render.grid_svg([HOUSE, HOUSE], columns=2)))
    labelled = pixels(render.to_png(render.grid_svg([HOUSE, HOUSE], columns=2, labels=["house", "猫"], title="Two")))
    title = labelled.shape[0] - round(1.12 * plain.shape[0])
    assert labelled[:title].sum() > 20
    assert labelled[-19:, :160].sum() > 20
    np.testing.assert_allclose(labelled[title : title + 150], plain[:150], atol=0.01)


def test_latin_text_looks_the_same_whatever_fonts_there_are(monkeypatch):
    import resvg_py

    seen = []
    real = resvg_py.svg_to_bytes
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **options: seen.append(options) or real(**options))
    render.to_png(render.grid_svg(HOUSE, labels=["house"]))
    render.to_png(render.grid_svg(HOUSE, labels=["猫"]))
    assert [options["skip_system_fonts"] for options in seen] == [True, False]


def test_a_png_has_the_width_asked_for():
    svg = render.grid_svg([HOUSE, LINE], columns=2)
    assert Image.open(BytesIO(render.to_png(svg, width=500))).size == (500, 250)


@pytest.mark.parametrize(
    ("svg", "width", "sentence"),
    [
        ("<svg", None, "needs a width in pixels"),
        ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100000 100000"/>', None, "needs a width in pixels"),
        ('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><g></svg>', None, "cannot be drawn"),
        ('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', 0, "at least 1"),
        ('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', 10**6, "too large"),
        ('<svg xmlns="http://www.w3.org/2000/svg" width="1e+06" height="1e+06"/>', None, "1000000 x 1000000 pixels"),
    ],
)
def test_what_cannot_be_a_png_is_said_in_a_sentence(svg, width, sentence):
    with pytest.raises(ValueError, match=sentence):
        render.to_png(svg, width=width)


# -- animated


def test_the_animated_picture_gives_each_stroke_its_time():
    root = ElementTree.fromstring(render.animated_svg([HOUSE, LINE, DOT, EMPTY], seconds=2))
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class") == "drawing"]
    paths = [list(group.iter(f"{SVG}path")) for group in groups]
    assert [len(strokes) for strokes in paths] == [3, 1, 1, 0]

    def times(path):
        delay, duration = (float(number) for number in re.findall(r":([\d.]+)s", path.get("style")))
        return delay, duration

    (start, first), (second_start, second), (dot_start, dot) = map(times, paths[0])
    assert start == 0
    assert second_start > first
    assert dot_start == 2
    assert dot == 0
    assert first / second == pytest.approx(280 / (2 * np.hypot(40, 40)), rel=1e-3)  # the pen keeps one pace
    assert times(paths[1][0]) == (0, 2)


def test_the_animated_picture_moves_only_for_those_who_like_motion_and_is_else_the_still_one():
    drawings = [HOUSE, LINE, DOT]
    svg = render.animated_svg(drawings)
    style = ElementTree.fromstring(svg).find(f"{SVG}style").text
    assert style.startswith("@media(prefers-reduced-motion:no-preference){")
    assert style.endswith("}}}")
    assert "animation" not in svg.replace(style, "").replace("animation-d", "")
    # resvg plays no animation, like any viewer that shows what is there
    still = pixels(render.to_png(render.grid_svg(drawings)))
    # where strokes meet, the smoothed edges of two paths are a little darker than those of one
    np.testing.assert_allclose(pixels(render.to_png(svg)), still, atol=0.2)
    assert pixels(render.to_png(svg)).sum() == pytest.approx(still.sum(), rel=1e-3)


@pytest.mark.parametrize("animate", [False, True])
def test_an_svg_is_read_back_as_its_drawings(animate, tmp_path):
    sketchrnn.write([HOUSE, LINE, DOT], tmp_path / "grid.svg", animate=animate, labels=["a", "b", "c"], title="three")
    again = formats.read(tmp_path / "grid.svg")
    assert again == [HOUSE, LINE, DOT]
    assert again[1].label == "line"


def test_a_gif_grows_point_by_point_into_the_whole_picture(tmp_path):
    render.gif([HOUSE, LINE, EMPTY], tmp_path / "grow.gif", seconds=1, fps=12, cell=80, columns=3)
    pictures = frames(tmp_path / "grow.gif")
    ink = [pixels(picture) for picture in pictures]
    assert len(ink) == 12
    total = [frame.sum() for frame in ink]
    assert all(later > earlier for earlier, later in itertools.pairwise(total))
    line = [frame[:, 80:160].sum() for frame in ink]
    assert line[5] == pytest.approx(line[-1] / 2, rel=0.05)
    whole = pixels(render.to_png(render.grid_svg([HOUSE, LINE, EMPTY], cell=80, columns=3)))
    assert np.abs(ink[-1] - whole).max() <= 0.5 / 15 + 0.01
    assert pictures[-1].getpixel((0, 0)) == (255, 255, 255)
    assert len(pictures[-1].getcolors()) <= render.GREYS


def test_a_gif_lasts_as_long_as_it_says_rests_and_repeats(tmp_path):
    render.gif(HOUSE, tmp_path / "house.gif", seconds=0.7, fps=30, cell=200)
    colors = frames(tmp_path / "house.gif")[-1].getcolors()
    assert STROKE_COLOR in {"#{:02x}{:02x}{:02x}".format(*rgb) for _, rgb in colors}
    with Image.open(tmp_path / "house.gif") as image:
        assert image.info["loop"] == 0
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert sum(durations) == 700 + 1500
    assert durations[-1] >= 1500
    assert max(durations[:-1]) <= 40


@pytest.mark.parametrize("drawing", [DOT, EMPTY])
def test_a_gif_of_what_does_not_grow(drawing, tmp_path):
    render.gif(drawing, tmp_path / "still.gif", seconds=0.2, fps=10, cell=200)
    last = pixels(frames(tmp_path / "still.gif")[-1])
    assert (last.max() > 0.5) == (drawing is DOT)


def test_an_mp4_plays_the_same_and_rests(tmp_path):
    av = pytest.importorskip("av")
    sketchrnn.render.mp4([HOUSE, LINE], tmp_path / "film.mp4", seconds=0.5, fps=10, cell=81, columns=2)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.streams.video[0].average_rate == 10
        ink = [pixels(frame.to_image()) for frame in container.decode(video=0)]
    assert len(ink) == 5 + 15
    assert ink[0].shape == (82, 162)  # even sides
    total = [frame.sum() for frame in ink]
    assert total[0] < total[2] < total[4]
    whole = pixels(render.to_png(render.grid_svg([HOUSE, LINE], cell=81, columns=2)))
    assert np.abs(ink[-1][:81, :162] - whole).mean() < 0.01


def test_an_mp4_without_its_package_names_it(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_av(name, *args, **kwargs):
        if name == "av":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(ImportError, match=re.escape('pip install "sketchrnn[video]"')):
        sketchrnn.write(HOUSE, tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(seconds=0), "must be positive"),
        (dict(seconds=float("nan")), "must be positive"),
        (dict(fps=0), "1 to 60"),
        (dict(fps=55), "at most 50"),
        (dict(seconds=1000), "more than 6000 frames"),
        (dict(cell=20_000), "too large"),
        (dict(cell=4_000), "too large"),
        (dict(labels=["a", "b"]), "2 labels"),
    ],
)
def test_a_film_that_cannot_be_made_is_said_in_a_sentence_and_leaves_nothing(options, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        render.gif(HOUSE, tmp_path / "film.gif", **options)
    assert list(tmp_path.iterdir()) == []


# -- write


@pytest.mark.parametrize("ending", [".svg", ".ndjson", ".npz", ".bin", ".inkml"])
def test_data_is_read_back(ending, tmp_path):
    house = HOUSE if ending != ".inkml" else LINE
    sketchrnn.write(house, tmp_path / f"house{ending}")
    (again,) = formats.read(tmp_path / f"house{ending}")
    assert [len(line) for line in again.fitted(100).lines()] == [len(line) for line in house.lines()]


@pytest.mark.parametrize("name", ["a.SVG", "a.png", "a.gif"])
def test_pictures_are_what_their_ending_says(name, tmp_path):
    sketchrnn.write(DOT, tmp_path / name, cell=40)
    head = (tmp_path / name).read_bytes()[:6]
    assert head.startswith({"a.SVG": b"<svg", "a.png": b"\x89PNG", "a.gif": b"GIF89a"}[name])
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("drawings", "name", "options", "sentence"),
    [
        (HOUSE, "a.jpeg", {}, "ending must be .svg, .png, .gif or .mp4 for a picture, or .ndjson"),
        (HOUSE, "a", {}, "ending must be"),
        ([], "a.png", {}, "no drawing to write"),
        (HOUSE, "a.png", dict(animate=True), "cannot be animated"),
        ([HOUSE] * 2, "a.png", dict(labels=["one"]), "1 labels for 2 drawings"),
        (HOUSE, "a.svg", dict(cell=0), "must be positive"),
        (HOUSE, "a.png", dict(cell=50_000), "50000 x 50000 pixels"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_sentence_and_leaves_nothing(drawings, name, options, sentence, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        sketchrnn.write(drawings, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match="there is no folder"):
        sketchrnn.write(HOUSE, tmp_path / "none" / "a.png")


def test_a_film_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no drawing to animate"):
        render.gif([], tmp_path / "a.gif")
