import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from sketchrnn import report
from sketchrnn.drawing import Drawing
from sketchrnn.report import Section, curves_svg, write_report

HOUSE = Drawing.from_lines(
    [[(0, 40), (0, 100), (80, 100), (80, 40), (0, 40)], [(0, 40), (40, 0), (80, 40)], [(40, 70)]]
)
EMPTY = Drawing.from_lines([])


def train(step, **values):
    return {"kind": "train", "step": step, **values}


def valid(step, **values):
    return {"kind": "valid", "step": step, **values}


RUN = [
    row
    for step in range(0, 2000, 10)
    for row in (
        [train(step, loss=3 * math.exp(-step / 500), L_R=1.0, L_KL=0.3, kl_weight=0.01, learning_rate=1e-3)]
        + ([valid(step, loss=2.5 * math.exp(-step / 500), L_R=1.1, L_KL=0.3)] if step % 500 == 0 else [])
    )
]

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """The page as a list of (element, attributes), its text, and whether every element was closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def count(self, tag, **attributes):
        return sum(
            name == tag and all(found.get(key.rstrip("_")) == value for key, value in attributes.items())
            for name, found in self.elements
        )


def page_of(tmp_path, **parts):
    out = write_report(tmp_path / "report.html", **{"title": "A run", **parts})
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    return Page(out.read_text(encoding="utf-8"))


def test_a_whole_report_shows_every_part(tmp_path):
    page = page_of(
        tmp_path,
        metrics=RUN,
        settings={
            "Model": {"z_size": 128, "conditional": True},
            "Training": {"kl_decay": 0.99995, "labels": ("a", "b")},
        },
        figures={"Nats per point": -1.23456, "Drawings": 70000, "Time": "2 h", "Test": None},
        sections=[
            Section("Samples", "Twelve.\n\nNone was picked.", [HOUSE] * 12),
            Section("Pairs", "Given and made.", [HOUSE, EMPTY], labels=["given", "made"], columns=2),
        ],
    )
    assert page.count("h1") == 1
    assert page.count("h2") == 4
    assert page.count("g", class_="drawing") == 14
    assert page.count("svg", class_="curves") == 5
    assert page.count("table") == 2
    for words in ("−1.235", "70,000", "2 h", "–", "None was picked.", "made", "0.99995", "a, b", "yes", "z_size"):
        assert words in page.text


def test_a_report_loads_nothing_and_runs_nothing(tmp_path):
    page = page_of(tmp_path, metrics=RUN, sections=[Section("Samples", "", [HOUSE])])
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "image", "foreignobject", "base", "form", "a"}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name.split(":")[-1] in ("href", "src", "srcset", "data", "action"):
                assert value.startswith(("#", "data:,")), (tag, name, value)
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"url\((?!#)|@import|@font-face", text)
    policy = dict(page.elements)["meta"]["content"]
    assert policy.startswith("default-src 'none'")


def test_what_a_person_named_is_text_and_never_markup(tmp_path):
    evil = "<script>alert('1')</script><img src=x> & \"quoted\""
    page = page_of(
        tmp_path,
        title=evil,
        settings={evil: {evil: evil}},
        figures={evil: evil},
        sections=[Section(evil, evil, [Drawing(HOUSE.stroke3, label=evil, key=evil)], labels=[evil])],
    )
    assert page.count("script") == page.count("img") == 0
    assert page.text.count("<script>alert('1')</script><img src=x> & \"quoted\"") == 10


def test_light_and_dark_have_the_same_colours_by_name(tmp_path):
    text = write_report(tmp_path / "r.html", title="A", metrics=RUN, sections=[Section("S", "", [HOUSE])]).read_text()
    names = [re.findall(r"--\w+", colors) for colors in (report.LIGHT, report.DARK)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--\w+)\)", text)) <= {*names[0], "--columns"}
    assert "@media(prefers-color-scheme:dark)" in text
    assert 'stroke="currentColor"' in text  # the drawings, dark on light and light on dark
    assert not any(color in text for color in report.COLORS)


def test_the_rules_of_the_curves_do_not_reach_the_drawings(tmp_path):
    text = write_report(tmp_path / "r.html", title="A", metrics=RUN).read_text()
    inside = re.findall(r"<style[^>]*>([^<]*)</style>", text)[1:]
    assert len(inside) == 10
    for sheet in inside:
        for selector in re.findall(r"(?:^|[{}])([^{}@]+){", sheet):
            assert selector.startswith(".curves"), selector


@pytest.mark.parametrize("metrics", [[], [train(0)], [train(0, loss=None)], [valid(5, loss=math.nan)], [{"step": 1}]])
def test_without_a_number_there_are_no_curves(metrics, tmp_path):
    page = page_of(tmp_path, metrics=metrics)
    assert "Curves" not in page.text
    with pytest.raises(ValueError, match="no curve to draw"):
        curves_svg(metrics)


def test_one_row_is_drawn_as_a_point(tmp_path):
    svg = curves_svg([train(7, loss=3.25, L_R=None)])
    root = ElementTree.fromstring(svg)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("Loss") == 1
    assert "7" in texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}use"))) == 1  # the one marker; no ticks


def test_curves_leave_out_what_is_not_a_number():
    rows = [train(0, loss=1.0), train(1, loss=None), train(2, loss=math.inf), train(3), train(None, loss=9.0)]
    steps, values = report._curve([*rows, valid(4, loss=5.0), train(-1, loss=np.float32(2.0))], "train", "loss")
    assert steps.tolist() == [-1, 0]
    assert values.tolist() == [2.0, 1.0]


def test_long_curves_are_thinned_to_their_means():
    steps, values = report._thin((np.arange(4000.0), np.tile([0.0, 2.0], 2000)))
    assert len(steps) == len(values) == report.MOST_POINTS
    np.testing.assert_allclose(values, 1.0)
    assert steps[0] == 4.5


def test_smoothing_keeps_the_start_and_lessens_noise():
    noise = np.random.default_rng(0).normal(size=400)
    curve = report._smooth(np.linspace(5, 0, 400) + noise)
    assert curve[0] == 5 + noise[0]
    np.testing.assert_allclose(curve[40:], np.linspace(5, 0, 400)[40:], atol=1)
    assert np.diff(curve).std() < np.diff(noise).std() / 5


def test_the_axis_holds_all_values_but_not_a_far_spike():
    falling = 3 * np.exp(-np.arange(1000) / 200)
    low, high = report._limits(falling)
    assert low < falling.min() < falling.max() < high
    spiked = falling.copy()
    spiked[500] = 1e6
    assert report._limits(spiked)[1] < 10
    assert report._limits(np.array([2.0])) == (1.8, 2.2)
    assert report._limits(np.zeros(3)) == (-1.0, 1.0)


def test_the_same_curves_are_the_same_file():
    assert curves_svg(RUN) == curves_svg(RUN)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(dict(labels=["one"]), "1 labels for 2 drawings"), (dict(columns=0), "needs at least 1")],
)
def test_a_section_that_does_not_fit_together_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Section("Pairs", "", [HOUSE, HOUSE], **options)


def test_a_report_replaces_the_one_before_or_leaves_it(tmp_path):
    out = tmp_path / "report.html"
    write_report(out, title="First")
    write_report(out, title="Second")
    assert "<h1>Second</h1>" in out.read_text()
    with pytest.raises(OSError, match="there is no folder"):
        write_report(tmp_path / "none" / "report.html", title="Third")
