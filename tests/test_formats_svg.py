"""SVG: what a renderer shows is what is read; grids come back; hostile files end in a sentence."""

import io
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import resvg_py
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.ndimage import distance_transform_edt

from sketchrnn import Drawing, formats
from sketchrnn.formats import safexml, svg
from sketchrnn.render import animated_svg

OPEN = '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200" fill="none" stroke="black">'
XLINK = OPEN.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"')
ON = '<path d="M20 50L90 10"/>'  # the one thing to be seen
OFF = '<path d="M0 0L100 100"/>'


def read_all(folder: Path, text: str) -> list[Drawing]:
    path = folder / "a.svg"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return formats.read(path)


def read(folder: Path, text: str) -> Drawing:
    (drawing,) = read_all(folder, text)
    return drawing


def lines(drawing: Drawing) -> list:
    return [line.round(4).tolist() for line in drawing.lines()]


def ink(document: str) -> np.ndarray:
    """Where a renderer puts ink."""
    png = bytes(resvg_py.svg_to_bytes(svg_string=document, dpi=96))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))[..., 3] > 30


SVG = '<svg xmlns="http://www.w3.org/2000/svg" fill="none" stroke="black"'
LIKE_A_RENDERER = {
    "transforms": f"""{OPEN}<g transform="translate(40 30) rotate(30) skewX(20) scale(1.5,.5)">
        <rect x="10" y="10" width="60" height="40" rx="10"/>
        <circle cx="50" cy="50" r="20" transform="matrix(1 .3 -.2 1 5 6)"/>
        <path d="M0 0a30 10 40 1 0 20 30zm10 10q20 -20 40 0t40 0s10 20 -5 30" transform="skewY(5) rotate(9, 4, 4)"/>
        </g></svg>""",
    "viewBox": f"""{SVG} width="200" height="200" viewBox="-10 -10 50 50" stroke-width=".3">
        <ellipse cx="15" cy="15" rx="20" ry="10"/><polygon points="0,0 20 0 20,20"/></svg>""",
    "slice": f"""{SVG} width="200" height="100" viewBox="0 0 50 50" preserveAspectRatio="xMinYMax slice">
        <ellipse cx="15" cy="35" rx="10" ry="5"/></svg>""",
    "no aspect": f"""{SVG} width="200" height="100" viewBox="0 0 50 50" preserveAspectRatio="none">
        <circle cx="15" cy="25" r="10"/></svg>""",
    "width alone": f"""{SVG} width="200" viewBox="0 0 50 25"><circle cx="15" cy="15" r="10"/></svg>""",
    "height alone": f"""{SVG} height="200" viewBox="0 0 50 25" stroke-width=".2">
        <circle cx="15" cy="15" r="10"/></svg>""",
    "units": f"""{SVG} width="10cm" height="2in"><rect x="10mm" y="20pt" width="50%" height="3pc"/>
        <circle cx="50%" cy="50%" r="10%"/>
        <g font-size="10"><line x1="1em" y1="1ex" x2="5em" y2="2em" font-size="200%"/></g></svg>""",
    "nested": f"""{OPEN}<svg x="50" y="20" width="100" height="50%" viewBox="0 0 10 10" stroke-width=".2">
        <circle cx="5" cy="5" r="4"/><rect width="100%" height="50%"/></svg>
        <rect x="5%" y="5%" width="10%" height="10%"/></svg>""",
    "use": f"""{XLINK}<defs><g id="a" transform="rotate(10)"><path d="M0 0h30v10"/></g>
        <symbol id="s" viewBox="0 0 10 10"><circle cx="5" cy="5" r="4"/></symbol></defs>
        <use xlink:href="#a" x="50" y="50"/><use href="#a" transform="translate(100 100) scale(2)"/>
        <use href="#s" x="100" y="20" width="40" height="60"/></svg>""",
    "arcs": f"""{OPEN}<path d="M20 20A30 20 30 0 1 90 60A5 5 0 0 0 120 70a40 20 -20 1 0 30 30
        a0 5 0 0 1 10 10 20 20 0 01-30 30"/></svg>""",
    "path syntax": f"""{OPEN}<path d="m10-.5e1.5.5 20,30-10 20zl5 5h10V50H30v-5c10 10 20 10 20-10s10-20 20-10z
        M100 100 120 120T140 100 160 120q10 10 20 0t10 10Q 150 150 160 180S150 190 100 180"/></svg>""",
    "rounded": f"""{OPEN}<rect x="20" y="20" width="100" height="50" rx="80" ry="10"/>
        <rect x="20" y="90" width="90" height="90" ry="30"/><polyline points="150,10 160,50 150 60"/></svg>""",
}


@pytest.mark.parametrize("name", LIKE_A_RENDERER)
def test_read_as_a_renderer_shows_it(tmp_path: Path, name: str) -> None:
    document = LIKE_A_RENDERER[name]
    theirs = ink(document)
    height, width = theirs.shape
    strokes = "".join(
        '<polyline points="' + " ".join(f"{x:.4f},{y:.4f}" for x, y in line) + '"/>'
        for line in read(tmp_path, document).lines()
    )
    ours = ink(f'{SVG} width="{width}" height="{height}">{strokes}</svg>')
    assert ours.any()
    assert distance_transform_edt(~theirs)[ours].max() <= 2
    assert distance_transform_edt(~ours)[theirs].max() <= 3  # their strokes may be wider


VISIBLE = {
    "display": f'<g display="none">{OFF}<g display="inline">{OFF}</g></g>',
    "visibility": f'<g visibility="hidden">{OFF}<g visibility="collapse">{OFF}</g></g>',
    "opacity": f'<g opacity="0">{OFF}</g><g style="opacity:0%">{OFF}</g>',
    "no paint": '<g stroke="none"><path d="M0 0h24v24H0z"/></g><path stroke-opacity="0" d="M0 0h9"/>'
    '<path stroke-width="0" d="M0 0h9"/><path stroke="transparent" d="M0 0h9"/><line x2="9" fill="red" stroke="none"/>',
    "containers": "".join(
        f"<{tag}>{OFF}</{tag}>"
        for tag in ("defs", "clipPath", "mask", "marker", "pattern", "symbol", "metadata", "unknown")
    ),
    "text": '<text x="5" y="5">cat</text><image width="9" height="9"/><title>t</title><desc>d</desc><script>s</script>',
    "other namespaces": f'<x:g xmlns:x="urn:other">{OFF}</x:g><x:path xmlns:x="urn:other" d="M0 0h9"/>',
    "style attribute": f"""<g style="display : none;fill:red">{OFF}</g>
        <g display="inline" style="display:none!important">{OFF}</g>""",
    "empty shapes": """<rect width="9"/><circle/><ellipse ry="0" rx="5"/><path/><path d=""/><polygon points=""/>
        <polyline points="3"/><path d="M5 5"/><path d="L5 5"/><rect width="-5" height="5"/><path d="none"/>
        <circle r="-1"/>""",
    "empty viewport": f'<svg width="0">{OFF}</svg><svg viewBox="0 0 0 5" height="-1">{OFF}</svg>',
    "dangling use": '<use/><use href="#nothing"/><use href="other.svg#x"/>',
    "switch": f"""<switch><foreignObject/><g requiredExtensions="x">{OFF}</g><g systemLanguage="fr">{OFF}</g>
        <g/>{OFF}</switch>""",
    "inheritance": f'<g fill="red"><g stroke="inherit" fill="none"><g stroke="none" fill="inherit" opacity="inherit">'
    f'</g></g></g><g visibility="hidden"><g visibility="inherit">{OFF}</g></g>',
    "animation": '<animate attributeName="x"/><set attributeName="y"/>',
}


@pytest.mark.parametrize("name", VISIBLE)
def test_what_is_hidden_is_not_read(tmp_path: Path, name: str) -> None:
    seen = [[20, 50], [90, 10]]
    assert lines(read(tmp_path, OPEN + ON + VISIBLE[name] + "</svg>")) == [seen]
    assert lines(read(tmp_path, OPEN + VISIBLE[name] + ON + "</svg>")) == [seen]


def test_a_visible_child_of_a_hidden_group(tmp_path: Path) -> None:
    hidden = f'<g visibility="hidden">{OFF}<path visibility="visible" d="M20 50L90 10"/></g>'
    assert lines(read(tmp_path, OPEN + hidden + "</svg>")) == [[[20, 50], [90, 10]]]


def test_style_sheets(tmp_path: Path) -> None:
    sheet = """<style>/* .a{display:none} */ .a , .b{stroke:#000;fill:none} path.h{display:none}
      #z{visibility:hidden} .a:hover{display:none} g .a{display:none} @media print{.a{display:none}}</style>"""
    shapes = '<path class="x a" d="M20 50L90 10"/><path class="a h" d="M0 0h9"/><path class="a" id="z" d="M0 0h9"/>'
    head = '<svg xmlns="http://www.w3.org/2000/svg">'
    assert lines(read(tmp_path, f"{head}{sheet}{shapes}</svg>")) == [[[20, 50], [90, 10]]]


def test_shapes_without_any_paint_are_better_than_nothing(tmp_path: Path) -> None:
    bare = '<svg xmlns="http://www.w3.org/2000/svg" fill="none"><path d="M0 0L5 5"/></svg>'
    assert lines(read(tmp_path, bare)) == [[[0, 0], [5, 5]]]


@pytest.mark.parametrize(
    "paper", ['<rect width="100%" height="100%" fill="#fff"/>', '<path d="M0 0H200V200H0z" fill="red"/>']
)
def test_the_paper_is_not_drawn_on_itself(tmp_path: Path, paper: str) -> None:
    bare = OPEN.replace(' stroke="black"', "")
    assert lines(read(tmp_path, bare + paper + '<path d="M20 50L90 10" stroke="red"/></svg>')) == [[[20, 50], [90, 10]]]
    assert len(read(tmp_path, bare + paper + "</svg>").lines()[0]) == 5


def test_strokes_in_document_order(tmp_path: Path) -> None:
    shapes = '<line x2="3"/><path d="M1 1h1M2 2h1"/><polyline points="0,0 1,1 2,0"/><rect width="4" height="5"/>'
    assert lines(read(tmp_path, OPEN + shapes + "</svg>")) == [
        [[0, 0], [3, 0]],
        [[1, 1], [2, 1]],
        [[2, 2], [3, 2]],
        [[0, 0], [1, 1], [2, 0]],
        [[0, 0], [4, 0], [4, 5], [0, 5], [0, 0]],
    ]


def test_without_namespace_and_with_prefix(tmp_path: Path) -> None:
    assert lines(read(tmp_path, '<svg><path d="M0 0L5 5"/></svg>')) == [[[0, 0], [5, 5]]]
    prefixed = '<s:svg xmlns:s="http://www.w3.org/2000/svg"><s:path d="M0 0L5 5"/></s:svg>'
    assert lines(read(tmp_path, prefixed)) == [[[0, 0], [5, 5]]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    declared = {"utf-16": "utf-16", "latin-1": "iso-8859-1"}.get(encoding, "utf-8")
    text = f'<?xml version="1.0" encoding="{declared}"?><!-- é -->{OPEN}{ON}</svg>'
    (tmp_path / "a.svg").write_bytes(text.encode(encoding))
    assert formats.kind(tmp_path / "a.svg") == "svg"
    assert len(formats.read(tmp_path / "a.svg")[0]) == 2


@pytest.mark.parametrize("radius", [0.01, 50, 1e5])
def test_curves_stay_within_the_tolerance(tmp_path: Path, radius: float) -> None:
    drawing = read(tmp_path, f'{OPEN}<circle cx="{radius}" r="{radius}"/></svg>')
    (line,) = drawing.lines()
    tolerance = svg.TOLERANCE * 2 * radius
    assert np.abs(np.hypot(*(line - [radius, 0]).T) - radius).max() <= tolerance
    middles = (line[1:] + line[:-1]) / 2
    assert radius - np.hypot(*(middles - [radius, 0]).T).min() <= tolerance
    assert np.allclose(line[0], line[-1], atol=1e-6 * radius)
    assert len(line) < 100


def test_kanjivg_file(tmp_path: Path) -> None:
    """Of our own making, in the form of KanjiVG: a document type with attribute defaults, numbers as text."""
    drawing = read(
        tmp_path,
        """<?xml version="1.0" encoding="UTF-8"?>
<!-- <html> is mentioned here -->
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.0//EN" "http://www.w3.org/TR/2001/REC-SVG-20010904/DTD/svg10.dtd" [
<!ATTLIST g
xmlns:kvg CDATA #FIXED "http://kanjivg.tagaini.net"
kvg:element CDATA #IMPLIED >
]>
<svg xmlns="http://www.w3.org/2000/svg" width="109" height="109" viewBox="0 0 109 109">
<g id="kvg:StrokePaths_04e8c" style="fill:none;stroke:#000000;stroke-width:3;">
<g id="kvg:04e8c" kvg:element="二"><g id="kvg:04e8c-g1" kvg:element="一">
<path id="kvg:04e8c-s1" d="M20,30c10,5 30,5 60,0"/></g>
<path id="kvg:04e8c-s2" d="M10,80l90-4"/></g></g>
<g id="kvg:StrokeNumbers_04e8c" style="font-size:8"><text transform="matrix(1 0 0 1 5 88)">1</text></g></svg>""",
    )
    assert (drawing.label, drawing.key, drawing.num_strokes) == ("二", "04e8c", 2)
    assert drawing.bounds() == pytest.approx((10, 30, 100, 80), abs=5)


def test_kanjivg_itself() -> None:
    kanji = pytest.importorskip("kanji", reason="the extra `demo` is not installed")
    files = sorted(Path(kanji.__path__[0]).glob("*.svg"))
    assert len(files) > 10_000
    for path in files[::50]:
        (drawing,) = formats.read(path)
        assert drawing.key == path.stem
        assert drawing.label is not None
        assert len(drawing.label) == 1
        assert drawing.num_strokes == path.read_text(encoding="utf-8").count("<path")
        left, top, right, bottom = drawing.bounds()
        assert min(left, top) > 0
        assert max(right, bottom) < 109


# -- grids of our own


values = st.one_of(st.integers(-300, 300).map(float), st.floats(-1000, 1000, width=32))
names = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1)


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    sizes = draw(st.lists(st.integers(1, 6), max_size=4))
    scale = draw(st.sampled_from([1e-3, 1, 1e6]))
    strokes = [draw(arrays(np.float64, (n, 2), elements=values)) * scale for n in sizes]
    strokes = [s[:1] if len(s) == 2 and (s[0] == s[1]).all() else s for s in strokes]
    return Drawing.from_lines(strokes, label=draw(names), key=draw(names))


@settings(deadline=None)
@given(st.lists(drawings(), min_size=1, max_size=5))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, given_: list[Drawing]) -> None:
    path = tmp_path_factory.getbasetemp() / "a.svg"
    formats.write(given_, path)
    for one, two in zip(given_, formats.read(path), strict=True):
        assert (two.label, two.key) == (one.label, one.key)
        away = max(map(abs, one.bounds()))  # the first offset is a float32 too
        if one.size > 1e-3 * away:
            assert [len(line) for line in two.lines()] == [len(line) for line in one.lines()] or one.size < 1
            assert np.allclose(two.points(), one.points(), rtol=0, atol=1e-4 * one.size + 1e-6 * away)


def test_to_svg_reads_back_in_its_own_units(tmp_path: Path) -> None:
    drawing = Drawing.from_lines([[[1000, 2000], [1010.5, 2004]], [[1003, 2003]]])
    assert read(tmp_path, drawing.to_svg(background="#fff")) == drawing


@pytest.mark.parametrize(
    "shapes",
    [
        f'<g class="drawing">{ON}</g>',
        f'<path id="p" d="M10 10h9" class="drawing" display="none"/>{ON}',
        f'<g class="drawing"><g class="drawing">{ON}</g></g>',
        '<defs><path id="p" d="M20 50L90 10"/></defs><g class="drawing"><use href="#p"/></g>',
        f'<g class="drawing" display="none"><path d="M0 0h5"/></g>{ON}',
    ],
)
def test_a_class_alone_makes_no_file_ours(tmp_path: Path, shapes: str) -> None:
    assert lines(read(tmp_path, OPEN + shapes + "</svg>")) == [[[20, 50], [90, 10]]]
    assert not svg.is_ours(tmp_path / "a.svg")


def test_our_files_are_known(tmp_path: Path) -> None:
    given_ = [Drawing.from_lines([[[5, 5], [9, 8]]])] * 2
    for text in (svg.document(given_), given_[0].to_svg(), animated_svg(given_)):
        assert set(read_all(tmp_path, text)) == set(given_)
        assert svg.is_ours(tmp_path / "a.svg")


def test_an_empty_drawing_keeps_its_place(tmp_path: Path) -> None:
    empty, line = Drawing.from_lines([]), Drawing.from_lines([[[0, 0], [5, 5]]])
    assert read_all(tmp_path, svg.document([line, empty, line])) == [line, empty, line]


def test_grid_places_every_drawing_in_its_cell() -> None:
    given_ = [Drawing.from_lines([[[x, -x], [x + 30, 50], [x + 10, 7]]]) for x in range(5)]
    document = svg.document(given_, columns=2, cell=100, labels=list("abcde"), title="five", background=None)
    root = ET.fromstring(document)
    assert (float(root.attrib["width"]), float(root.attrib["height"])) == (200, 25 + 3 * 112)
    shown = ink(document)
    for i in range(5):
        x, y = i % 2 * 100, 25 + i // 2 * 112
        assert shown[y : y + 100, x : x + 100].any()
        assert not shown[y : y + 100, x : x + 4].any()
        assert not shown[y : y + 4, x : x + 100].any()
    assert not shown[25 + 2 * 112 :, 100:].any()
    assert "".join(root.itertext()).split() == ["five", "five", *"abcde"]


def test_grid_options() -> None:
    dots = [Drawing.from_lines([[[0, 0]]])] * 3
    assert svg.document(dots, colors=["red", "green", "#123456"]).count('stroke="green"') == 1
    assert svg.document(dots, color="blue").count('stroke="blue"') == 3
    assert 'fill="#ffffff"' in svg.document(dots)
    assert ET.fromstring(svg.document([])).attrib["width"] == "160"
    with pytest.raises(ValueError, match="2 labels for 3 drawings"):
        svg.document(dots, labels=["a", "b"])
    with pytest.raises(ValueError, match="1 colors for 3 drawings"):
        svg.document(dots, colors=["a"])
    with pytest.raises(ValueError, match="at least 1 column"):
        svg.document(dots, columns=0)
    for cell in (0, math.nan, math.inf):
        with pytest.raises(ValueError, match="side of a cell"):
            svg.document(dots, cell=cell)


def test_labels_cannot_break_out(tmp_path: Path) -> None:
    name = "<script>\"&'\x00\ud800]]>\n"
    drawing = Drawing.from_lines([[[0, 0], [1, 1]]], label=name, key=name)
    document = svg.document([drawing], labels=[name], title=name, color='"/><x', background='"/><x')
    root = ET.fromstring(document.encode())
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "title", "rect", "text", "g", "path"}
    assert read(tmp_path, document).label == name.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")


def test_a_bad_drawing_of_a_grid_is_set_aside(tmp_path: Path) -> None:
    good = '<g class="drawing"><path d="M0 0h5"/></g>'
    opened = OPEN.replace("<svg", "<svg data-sketchrnn=''")
    text = opened + good + '<g class="drawing"><path d="M0 0H1e39"/></g>' + good + "</svg>"
    with pytest.raises(ValueError, match=r"^a\.svg#1: point 1 is not finite"):
        read_all(tmp_path, text)
    bad: list[tuple[str, str]] = []
    assert len(formats.read(tmp_path / "a.svg", bad=lambda *args: bad.append(args))) == 2
    assert bad[0][0] == "a.svg#1"


# -- files that are no drawing, or mean harm


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (OPEN + "</svg>", "no shapes to draw"),
        (OPEN + "<text>cat</text></svg>", "text and images are not drawings"),
        (OPEN + f'<g display="none">{ON}</g></svg>', "no shapes to draw"),
        (OPEN + ON, "not well-formed XML"),
        (OPEN + "&nbsp;</svg>", "not well-formed XML: undefined entity"),
        (OPEN + '<path d="M0 0L1e39 5"/></svg>', "cannot be read: point 1 is not finite"),
        (OPEN + '<path d="M0 0L1e999 5"/></svg>', "cannot be read: a coordinate is too large"),
        (OPEN + '<rect width="1e999" height="5"/></svg>', "too large"),
        (OPEN + f'<g transform="scale(1e300)"><g transform="scale(1e300)">{ON}</g></g></svg>', "too large"),
        (OPEN + f'<g transform="skewX(1e999)">{ON}</g></svg>', "too large"),
        (OPEN.replace("<svg", '<svg viewBox="0 0 1e-320 1e-320"') + ON + "</svg>", "too large"),
        (
            '<!DOCTYPE s [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg"><text>&a;</text></svg>',
            "XML entities",
        ),
        ('<!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg><text>&a;</text></svg>', "XML entities"),
        ('<!DOCTYPE s [<!ENTITY % a "b"> %a;]><svg></svg>', "XML entities"),
    ],
)
def test_refused_in_a_sentence(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        read_all(tmp_path, text)
    assert str(tmp_path / "a.svg") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bomb_of_entities(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{i} "' + f"&e{i - 1};" * 10 + '">' for i in range(1, 12))
    text = f'<!DOCTYPE s [<!ENTITY e0 "aaaaaaaaaa">{entities}]><svg xmlns="http://www.w3.org/2000/svg"><text>&e11;</text></svg>'
    with pytest.raises(ValueError, match="declares XML entities"):
        read_all(tmp_path, text)


@pytest.mark.parametrize(
    "loop",
    [
        '<use id="a" href="#a"/>',
        '<g id="a"><use href="#a"/></g>',
        '<defs><g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g></defs><use href="#a"/>',
        '<symbol id="a"><use href="#a"/></symbol><use href="#a"/>',
    ],
)
def test_use_that_refers_to_itself(tmp_path: Path, loop: str) -> None:
    assert lines(read(tmp_path, OPEN + ON + loop + "</svg>")) == [[[20, 50], [90, 10]]]


def test_use_that_multiplies(tmp_path: Path) -> None:
    levels = "".join(f'<g id="l{i}">' + f'<use href="#l{i - 1}"/>' * 10 + "</g>" for i in range(1, 12))
    text = f'{OPEN}<defs><g id="l0">{ON}</g>{levels}</defs><use href="#l11"/></svg>'
    with pytest.raises(ValueError, match="repeat more than a drawing can have"):
        read_all(tmp_path, text)


def test_use_that_repeats_a_long_path(tmp_path: Path) -> None:
    path = f'<path id="p" d="{"M0 0" * 50_000}"/>'
    with pytest.raises(ValueError, match="repeat more than a drawing can have"):
        read_all(tmp_path, OPEN + f"<defs>{path}</defs>" + '<use href="#p"/>' * 1000 + "</svg>")


def test_use_nested_deeply(tmp_path: Path) -> None:
    chain = "".join(f'<g id="l{i}"><use href="#l{i - 1}"/></g>' for i in range(1, 20_000))
    with pytest.raises(ValueError, match="100 deep"):
        read_all(tmp_path, f'{OPEN}<defs><g id="l0">{ON}</g>{chain}</defs><use href="#l19999"/></svg>')


def test_groups_nested_deeply(tmp_path: Path) -> None:
    deep = "<g>" * 90_000 + ON + "</g>" * 90_000
    assert lines(read(tmp_path, OPEN + deep + "</svg>")) == [[[20, 50], [90, 10]]]


def test_too_many_elements_or_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safexml, "MAX_ELEMENTS", 1000)
    with pytest.raises(ValueError, match="more than 1,000 elements"):
        read_all(tmp_path, OPEN + "<g/>" * 1000 + "</svg>")
    monkeypatch.setattr(safexml, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="more than the 1,000 that are read"):
        read_all(tmp_path, OPEN + " " * 1000 + "</svg>")


LONG = 300_000


@pytest.mark.parametrize(
    "element",
    [
        f'<path d="M0 0{"z" * LONG}"/>',
        f'<path d="M0 0{"Z m" * LONG}"/>',
        f'<path d="M0 0A{"2" * LONG}"/>',
        f'<path d="M0 0a{"2 " * LONG}"/>',
        f'<path d="M0 0a{"1" * LONG}"/>',
        f'<path d="{"M" * LONG}"/>',
        f'<path d="M0 0L{"." * LONG}"/>',
        f'<path d="M0 0L{"1e" * LONG}"/>',
        f'<rect width="5{" " * LONG}!" height="5"/>',
        f'<rect width="{"5" * LONG}!" height="5"/>',
        f'<g transform="{"scale(" * LONG}"/>',
        f'<g transform="scale{" " * LONG}"/>',
        f'<style>{"/*" * LONG}</style>',
        f'<style>{"a{" * LONG}</style>',
        f'<style>{"a," * LONG}{{fill:none}}</style>',
        f'<path class="{"a " * LONG}" style="{";" * LONG}{":" * LONG}"/>',
        f'<svg viewBox="{"1" * LONG}" preserveAspectRatio="{" " * LONG}"/>',
    ],
    ids=range(17),
)  # fmt: skip
@pytest.mark.timeout(30)
def test_long_attributes_cost_their_length(tmp_path: Path, element: str) -> None:
    """Anything quadratic in them would take hours."""
    try:
        drawing = read(tmp_path, OPEN + ON + element + "</svg>")
        assert lines(drawing)[0] == [[20, 50], [90, 10]]
    except ValueError as error:
        assert "too" in str(error)  # noqa: PT017


@settings(deadline=None)
@given(st.text("MmZzLlHhVvCcSsQqTtAa0123456789.-+eE, x", max_size=60))
def test_any_path_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, d: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        drawing = read(folder, f'{OPEN}{ON}<path d="{d}"/></svg>')
        assert np.isfinite(drawing.points()).all()
    except ValueError as error:
        assert "too large" in str(error) or "finite" in str(error)  # noqa: PT017


@settings(deadline=None)
@given(st.sampled_from(sorted(LIKE_A_RENDERER)), st.data())
def test_any_damage_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    document = LIKE_A_RENDERER[name]
    at = data.draw(st.integers(0, len(document) - 1))
    length = data.draw(st.integers(0, 8))
    damaged = document[:at] + data.draw(st.text(max_size=8)) + document[at + length :]
    try:
        drawing = read(tmp_path_factory.getbasetemp(), damaged)
        assert np.isfinite(drawing.points()).all()
    except ValueError as error:
        assert "a.svg" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('viewBox="5 5 40 30"', (40, 30)),
        ('width="1in" height="10"', (96, 10)),
        ('width="200" viewBox="0 0 40 30"', (200, 150)),
        ('width="1in"', None),
        ('width="100%" height="100%"', None),
        ('width="0" height="9"', None),
        ('viewBox="0 0 0 30"', None),
        ("", None),
    ],
)
def test_the_sheet(attributes: str, size: tuple[float, float] | None, tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}/>')
    assert svg.sheet(tmp_path / "a.svg") == size
