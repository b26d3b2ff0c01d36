"""The drawing page in a real browser, on the real server with a real model: what people do, at a desk and on a phone.

It needs the built page (`make page`), a model that ships with the package, and a Chromium: the one that the variable
CHROMIUM names, or one on the path.
"""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import missing, small_model
from PIL import Image

import sketchrnn
from sketchrnn import checkpoint

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[1]
PACKAGE = Path(sketchrnn.__file__).parent
PAGE = PACKAGE / "web" / "static" / "index.html"
MODEL = PACKAGE / "models" / "cat.safetensors"
AXE = ROOT / "page" / "node_modules" / "axe-core" / "axe.min.js"

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
VIEWS = ("Draw", "Endings", "Redraw", "Morph", "Arithmetic", "Map")
Spot = tuple[float, float]  # shares of a sheet's side


def circle(x: float, y: float, radius: float) -> list[Spot]:
    angles = [2 * math.pi * i / 24 - 2 for i in range(25)]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


HEAD = circle(0.5, 0.55, 0.3)
EARS: list[list[Spot]] = [
    [(0.25, 0.42), (0.22, 0.18), (0.4, 0.28)],
    [(0.6, 0.28), (0.78, 0.18), (0.75, 0.42)],
]


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server of its own."""
    command = [sys.executable, "-c", "from sketchrnn.cli import main; main()", "serve", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"the server said {line!r}"
        yield found[0], process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The model that ships, and a small one that is decoder only."""
    if not MODEL.exists():
        missing(f"{MODEL.name} is not in the package")
    small = tmp_path_factory.mktemp("models") / "decoder.safetensors"
    checkpoint.save(small_model(conditional=False), small)
    return [str(MODEL), str(small)]


@pytest.fixture(scope="module")
def address(models: list[str]) -> Iterator[str]:
    if not PAGE.exists():
        missing("the page is not built: run `make page`")
    with serving(*models, "--port", "0") as (address, _):
        yield address


class Visitor:
    """A person with a browser of their own. Whatever the page complains of, or asks of others, is a failure."""

    def __init__(self, browser: Any, address: str, device: dict[str, Any] = DESK, **more: Any) -> None:
        self.address = address
        self.context = browser.new_context(**device, **more)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda line: line.type == "error" and self.complaints.append(line.text))
        self.page.on("request", self._is_own)
        self.page.goto(address)
        self.page.wait_for_selector(".view, .token")
        self.sheet = self.page.locator(".desk .sheet-live")

    def _is_own(self, request: Any) -> None:
        if urlsplit(request.url).scheme in ("http", "https") and not request.url.startswith(self.address.split("#")[0]):
            self.complaints.append(f"asked for {request.url}")

    def leave(self) -> None:
        self.context.close()
        assert self.complaints == []

    def draw(self, line: Sequence[Spot], sheet: Any = None) -> None:
        """One stroke with the mouse."""
        at = self._places(line, sheet or self.sheet)
        self.page.mouse.move(*at[0])
        self.page.mouse.down()
        for place in at[1:]:
            self.page.mouse.move(*place, steps=2)
        self.page.mouse.up()

    def touch(self, line: Sequence[Spot], sheet: Any = None) -> None:
        """One stroke with a finger."""
        session = self.context.new_cdp_session(self.page)
        kinds = ["touchStart", *["touchMove"] * (len(line) - 1)]
        for kind, (x, y) in zip(kinds, self._places(line, sheet or self.sheet), strict=True):
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def pen(self, line: Sequence[Spot], forces: Sequence[float]) -> None:
        """One stroke with a pen that knows how hard it is pressed."""
        session = self.context.new_cdp_session(self.page)
        at = self._places(line, self.sheet)
        for number, ((x, y), force) in enumerate(zip(at, forces, strict=True)):
            kind = "mousePressed" if number == 0 else "mouseMoved"
            event = {"type": kind, "x": x, "y": y, "force": force, "pointerType": "pen", "buttons": 1}
            session.send("Input.dispatchMouseEvent", event | {"button": "left", "clickCount": 1})
        x, y = at[-1]
        up = {"type": "mouseReleased", "x": x, "y": y, "pointerType": "pen", "button": "left", "clickCount": 1}
        session.send("Input.dispatchMouseEvent", up)

    def _places(self, line: Sequence[Spot], sheet: Any) -> list[tuple[float, float]]:
        sheet.scroll_into_view_if_needed()
        box = sheet.bounding_box()
        return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in line]

    def cat(self) -> None:
        for line in [HEAD, *EARS]:
            self.draw(line)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def click(self, name: str, *, within: str = "body", exact: bool = True) -> None:
        self.page.locator(within).get_by_role("button", name=name, exact=exact).first.click()

    def go(self, view: str) -> None:
        self.page.get_by_role("navigation").get_by_role("button", name=view, exact=True).click()

    def expect(self, selector: str, text: str | re.Pattern[str] | None = None, count: int | None = None) -> Any:
        from playwright.sync_api import expect

        found = self.page.locator(selector)
        if count is not None:
            expect(found).to_have_count(count)
        elif text is not None:
            expect(found.first).to_contain_text(text)
        else:
            expect(found.first).to_be_visible()
        return found

    def strokes(self, mine: int, model: int | None = None, sheet: Any = None) -> None:
        """The sheet has come to hold so many strokes, and so many of an answer (any number but 0 if negative)."""
        from playwright.sync_api import expect

        count = {0: "no strokes", 1: "one stroke"}.get(mine, f"{mine} strokes")
        by = "" if model is None else ", and one stroke by the model" if model == 1 else r", and \w+ strokes? by"
        pattern = re.compile(f": {count}{by}" + (r"\. Draw" if model is None else ""))
        expect(sheet or self.sheet).to_have_attribute("aria-label", pattern)

    def label(self) -> str:
        """What the sheet tells a screen reader, once what has happened is drawn."""
        self.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        return self.sheet.get_attribute("aria-label") or ""

    def answered(self) -> None:
        """The model has answered the last stroke, in full."""
        self.expect(".answer .status", re.compile("The model (added|thinks)"))

    def coloured(self, variable: str, canvas: str = ".desk .sheet-live") -> int:
        """Pixels of the sheet in one of the theme's colours."""
        return self.page.evaluate(
            """([selector, name]) => {
                const canvas = document.querySelector(selector)
                const colour = getComputedStyle(canvas).getPropertyValue(name).match(/[0-9]+/g).map(Number)
                const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
                let count = 0
                for (let i = 0; i < data.length; i += 4)
                    if (data[i + 3] > 100 && colour.every((c, k) => Math.abs(c - data[i + k]) < 8)) count++
                return count
            }""",
            [canvas, variable],
        )

    def ink(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the dry ink on the sheet, as shares of its side."""
        left, top, right, bottom = self.page.evaluate(
            """() => {
                const canvas = document.querySelector('.desk .sheet-ink'), side = canvas.width
                const {data} = canvas.getContext('2d').getImageData(0, 0, side, side)
                const box = [1, 1, 0, 0]
                for (let i = 3; i < data.length; i += 4) {
                    if (data[i] < 100) continue
                    const [x, y] = [((i >> 2) % side) / side, Math.floor((i >> 2) / side) / side]
                    box[0] = Math.min(box[0], x), box[1] = Math.min(box[1], y)
                    box[2] = Math.max(box[2], x), box[3] = Math.max(box[3], y)
                }
                return box
            }"""
        )
        return left, top, right, bottom

    def still(self) -> bool:
        """Nothing on the sheet changes for a while: the answer is there, and the paper grows no more."""
        before = self.ink(), self.coloured("--model")
        self.page.wait_for_timeout(400)
        return (self.ink(), self.coloured("--model")) == before

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, "it did not come to be"
            self.page.wait_for_timeout(40)


@pytest.fixture
def visit(chromium: Any, address: str) -> Iterator[Callable[..., Visitor]]:
    visitors: list[Visitor] = []

    def come(device: dict[str, Any] = DESK, *, fragment: str = "", at: str = "", **more: Any) -> Visitor:
        visitors.append(Visitor(chromium, (at or address) + fragment, device, **more))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.leave()


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def visitor(request: pytest.FixtureRequest, visit: Callable[..., Visitor]) -> Visitor:
    return visit(request.param)


# -- 1. draw and let it finish


def test_the_model_goes_on_in_another_colour_when_the_pen_lifts(visitor: Visitor) -> None:
    visitor.expect(".welcome", "Draw the first lines of a cat")
    visitor.draw(HEAD)
    visitor.strokes(1, -1)
    visitor.answered()
    visitor.until(lambda: visitor.coloured("--model") > 100)
    assert visitor.coloured("--ink", ".desk .sheet-ink") > 1000
    assert visitor.coloured("--model", ".desk .sheet-ink") == 0


def test_take_another_and_draw_on(visitor: Visitor) -> None:
    visitor.draw(HEAD)
    visitor.answered()
    first = visitor.label()
    visitor.click("Another")
    visitor.strokes(1, -1)
    visitor.answered()
    for line in EARS:  # drawing on puts the answer away and asks again
        visitor.draw(line)
    visitor.strokes(3, -1)
    visitor.answered()
    visitor.click("Take")
    visitor.expect(".answer .status", "Taken")
    taken = visitor.label()
    assert taken != first
    assert int(re.findall(r": (\d+) strokes\.", taken)[0]) > 3
    visitor.click("Undo")
    visitor.strokes(3)
    visitor.click("Redo")
    visitor.strokes(int(re.findall(r": (\d+) strokes\.", taken)[0]))
    assert visitor.label() == taken


def test_the_paper_grows_where_the_answer_leaves_it(visitor: Visitor) -> None:
    head = circle(0.8, 0.3, 0.12)
    visitor.draw(head)
    visitor.answered()
    visitor.until(lambda: visitor.ink()[2] - visitor.ink()[0] < 0.9 * 0.24)  # the body is to the right of the head
    visitor.page.get_by_label("Answer when the pen lifts").uncheck()
    visitor.until(visitor.still)
    _, top, right, _ = visitor.ink()
    visitor.draw([(0.1, 0.8), (0.2, 0.95)])  # the pen draws where it is
    visitor.until(lambda: visitor.ink()[3] > 0.9)
    assert visitor.ink() == pytest.approx((0.1, top, right, 0.95), abs=0.01)
    visitor.press("z", "z")
    visitor.strokes(0)
    visitor.draw(head)
    visitor.until(lambda: visitor.ink()[2] > 0)
    assert visitor.ink() == pytest.approx((0.68, 0.18, 0.92, 0.42), abs=0.01)


def test_one_stroke_of_the_answer(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.draw(HEAD)
    visitor.answered()
    before = int(re.findall(r"and (\d+) strokes by", visitor.label())[0])
    visitor.press("t")
    visitor.strokes(2, -1)
    visitor.expect(f'.sheet-live[aria-label*="and {before - 1 if before > 2 else "one"} stroke"]')


def test_fingers_and_pens(visit: Callable[..., Visitor]) -> None:
    visitor = visit(PHONE)
    visitor.touch(HEAD)
    visitor.strokes(1, -1)
    light = visit()
    light.page.get_by_text("Answer when the pen lifts").click()
    light.pen([(0.2, 0.3), (0.5, 0.3), (0.8, 0.3)], [0.05, 0.05, 0.05])
    light.strokes(1)
    thin = light.coloured("--ink", ".desk .sheet-ink")
    light.pen([(0.2, 0.6), (0.5, 0.6), (0.8, 0.6)], [0.95, 0.95, 0.95])
    light.strokes(2)
    assert light.coloured("--ink", ".desk .sheet-ink") - thin > 2 * thin


def test_the_model_can_begin(visitor: Visitor) -> None:
    visitor.click("Let it begin")
    visitor.strokes(0, -1)
    visitor.press("Enter")
    visitor.expect(".answer .status", "Taken")


def test_a_model_that_draws_nothing_says_so_and_is_asked_once(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    asked: list[Any] = []
    nothing = {"content_type": "application/json", "body": '{"drawings": [{"lines": []}]}'}

    def nothing_at_first(route: Any) -> None:  # one for all: a request slips through while routes are changed
        asked.append(route)
        if len(asked) == 1:
            route.fulfill(**nothing)
        else:
            route.continue_()

    visitor.page.route("**/api/v1/sample", nothing_at_first)
    visitor.click("Let it begin")
    visitor.expect(".answer .status", "drew nothing")
    for times in (2, 3):
        visitor.press("n")
        visitor.until(lambda times=times: len(asked) >= times)
        visitor.strokes(0, -1)
        visitor.answered()
        assert len(asked) == times


# -- 2. many endings


def test_nine_endings_of_which_one_is_taken(visitor: Visitor) -> None:
    visitor.cat()
    visitor.strokes(3, -1)
    visitor.go("Endings")
    visitor.expect(".tiles-nine .tile:enabled", count=9)
    shapes = {tile.get_attribute("d") for tile in visitor.page.locator(".tiles-nine path.model").all()}
    assert len(shapes) >= 6  # the model may find that nothing is missing
    visitor.page.locator(".tiles-nine .tile", has=visitor.page.locator("path.model[d^=M]")).nth(2).click()
    visitor.expect(".view-endings .notice", "Draw on")
    assert not visitor.label().startswith("Your drawing: 3 strokes")
    visitor.click("Nine others")
    visitor.expect(".tiles-nine .tile:enabled", count=9)


# -- 3. reconstruct


def test_what_the_model_sees_over_temperatures(visitor: Visitor) -> None:
    visitor.go("Redraw")
    visitor.expect(".view-redraw .notice", "Draw something whole")
    visitor.cat()
    visitor.expect(".strip .tile:enabled path.model[d^=M]", count=8)
    captions = visitor.page.locator(".view-redraw .tile-caption").all_inner_texts()
    assert (captions[0], captions[-1]) == ("0.01", "1.00")
    drawn = visitor.coloured("--ink", ".desk .sheet-ink")
    visitor.page.get_by_role("button", name="At temperature 0.20").click()
    visitor.until(lambda: visitor.coloured("--ink", ".desk .sheet-ink") != drawn)


# -- 4. morph


def test_the_way_between_two_drawings(visitor: Visitor) -> None:
    visitor.go("Morph")
    visitor.expect(".view-morph .notice", "two drawings")
    sheets = visitor.page.locator(".view-morph .sheet-live")
    visitor.draw(HEAD, sheets.nth(0))
    visitor.draw(EARS[0], sheets.nth(0))
    visitor.draw(circle(0.5, 0.5, 0.2), sheets.nth(1))
    visitor.expect(".view-morph .strip .tile:enabled", count=9)
    visitor.click("Pause")
    slider = visitor.page.get_by_label("Share of the second drawing")
    slider.focus()
    visitor.press("Home")
    first = visitor.page.locator(".stage path.model").get_attribute("d")
    visitor.press("End")
    assert slider.get_attribute("aria-valuetext") == "100 %"
    assert visitor.page.locator(".stage path.model").get_attribute("d") != first
    visitor.page.get_by_role("button", name="Step at 50 %").click()
    assert slider.input_value() == "0.5"
    visitor.click("Play")
    visitor.until(lambda: slider.input_value() != "0.5")


def test_morph_stands_still_where_that_is_asked(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="reduce")
    visitor.go("Morph")
    visitor.click("Two examples")
    visitor.expect(".view-morph .strip .tile:enabled", count=9)
    slider = visitor.page.get_by_label("Share of the second drawing")
    seen = []
    for _ in range(9):
        visitor.click("Next step")
        seen.append(slider.input_value())
    assert (seen[0], seen[-1], len(set(seen))) == ("0.13", "0", 9)
    visitor.page.wait_for_timeout(200)
    assert slider.input_value() == "0"
    visitor.page.wait_for_timeout(400)  # what is on the sheets has been kept
    visitor.page.reload()
    visitor.expect(".view-morph")
    visitor.click("Next step")


# -- 5. arithmetic


def test_arithmetic_with_three_canvases(visitor: Visitor) -> None:
    visitor.go("Arithmetic")
    visitor.expect(".view-sum .notice", "Fill A, B and C")
    visitor.click("Three examples")
    result = visitor.expect(".view-sum .stage path.model[d^=M]")
    before = result.get_attribute("d")
    visitor.draw(HEAD, visitor.page.locator(".view-sum .sheet-live").nth(2))
    visitor.until(lambda: result.get_attribute("d") != before)
    visitor.click("Take", within=".view-sum")
    visitor.expect(".view-draw")
    assert ": no strokes" not in visitor.label()


# -- 6. map


def test_map_hover_click_drag_and_keys(visitor: Visitor) -> None:
    visitor.go("Map")
    visitor.expect(".map path.ink")
    visitor.expect(".map-about", re.compile(r"\d+ samples of the model.*PCA"))
    marks = visitor.page.locator(".map path.ink")
    boxes = [marks.nth(i).bounding_box() for i in (0, 5)]
    (x0, y0), (x1, y1) = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes]
    visitor.page.mouse.move(x0, y0)
    visitor.expect(".figure path.ink[d^=M]")
    visitor.page.mouse.click(x0, y0)
    decoded = visitor.page.locator(".figure path.model").nth(1)
    visitor.until(lambda: bool(decoded.get_attribute("d")))
    visitor.page.mouse.move(x0, y0)
    visitor.page.mouse.down()
    visitor.page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2, steps=3)
    visitor.page.mouse.move(x1, y1, steps=3)
    visitor.page.mouse.up()
    visitor.expect(".view-map .strip .tile:enabled", count=8)
    line = visitor.page.locator(".map-line")
    walked = line.get_attribute("d")
    visitor.page.locator(".map").focus()
    visitor.press("ArrowLeft", "Shift+Enter", "ArrowRight", "Enter")
    visitor.until(lambda: line.get_attribute("d") not in ("", walked))
    visitor.click("Take into Draw")
    visitor.expect(".view-draw")


def test_a_map_of_what_the_model_did_not_learn_says_so(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.route(
        "**/api/v1/map*",
        lambda route: route.fulfill(body=route.fetch().text().replace('"label": "cat"', '"label": "owl"')),
    )
    visitor.go("Map")
    visitor.expect(".map-about", "learned from others")


def test_only_the_view_in_sight_acts(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.go("Morph")
    for sheet in visitor.page.locator(".view-morph .sheet-live").all():
        visitor.draw(HEAD, sheet)
    visitor.expect(".view-morph .strip .tile:enabled", count=9)
    visitor.go("Redraw")
    visitor.draw(HEAD)
    visitor.expect(".strip .tile:enabled path.model[d^=M]", count=8)
    visitor.go("Map")
    visitor.expect(".map path.ink")
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    visitor.press("x", "z", "Control+z", "p", "e")
    visitor.expect("dialog", count=0)
    visitor.page.wait_for_timeout(400)  # what is on the sheets has been kept
    assert asked == []
    visitor.page.reload()  # all sheets come back, and none asks
    visitor.expect(".view-map")
    visitor.press("1")
    visitor.strokes(1)
    assert not {"/api/v1/interpolate", "/api/v1/reconstruct", "/api/v1/complete"} & set(asked)


# -- 7. under the pen


def test_under_the_pen(visitor: Visitor) -> None:
    visitor.page.get_by_text("Show what the model expects").click()
    visitor.expect(".under .notice", "the clouds appear")
    visitor.draw(HEAD)
    visitor.answered()
    shares = "[...document.querySelectorAll('.under .meter')].reduce((sum, bar) => sum + +bar.ariaValueNow, 0)"
    visitor.until(lambda: abs(visitor.page.evaluate(shares) - 100) <= 2)
    slider = visitor.page.get_by_label("Point", exact=True)
    visitor.until(lambda: int(slider.get_attribute("max")) > 20)
    slider.focus()
    visitor.press("Home", "ArrowRight")
    visitor.expect(".under-at", re.compile(r"point 2 of \d+"))
    visitor.expect(".under .unseen", "Likeliest next point")
    visitor.until(lambda: visitor.coloured("--cloud") > 20)
    visitor.go("Redraw")  # where it has no place
    visitor.press("]")
    visitor.until(lambda: visitor.coloured("--cloud") == 0)


def test_under_the_pen_while_it_moves(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.press("u")
    at = visitor._places(HEAD, visitor.sheet)
    visitor.page.mouse.move(*at[0])
    visitor.page.mouse.down()
    for place in at[1:12]:
        visitor.page.mouse.move(*place, steps=2)
    visitor.until(lambda: visitor.coloured("--cloud") > 20)
    visitor.strokes(0)
    visitor.page.mouse.up()
    visitor.strokes(1, -1)


# -- 8. pickers, tools, files, links


def test_model_and_temperature_pickers(visitor: Visitor) -> None:
    visitor.draw(HEAD)
    visitor.answered()
    visitor.press("]", "]")
    visitor.expect(".view-draw .temperature-value", "0.50")
    visitor.page.get_by_label("Model", exact=True).select_option("decoder")
    visitor.draw(EARS[0])
    visitor.answered()
    for view in ("Redraw", "Morph", "Arithmetic", "Map"):
        visitor.go(view)
        visitor.expect(".view .notice", "has no encoder")
    visitor.click("Use cat", within=".view-map")
    visitor.expect(".map path.ink")
    visitor.page.get_by_label("Model", exact=True).select_option("decoder")
    visitor.go("Endings")
    visitor.expect(".tiles-nine .tile:enabled", count=9)


def test_undo_redo_clear_and_replay(visitor: Visitor) -> None:
    visitor.cat()
    visitor.press("Control+z")
    visitor.strokes(2)
    visitor.press("Control+Shift+Z")
    visitor.strokes(3)
    visitor.click("Replay")
    visitor.expect('.tools button[title="Stop"]')
    visitor.until(lambda: visitor.coloured("--ink") > 100)
    visitor.expect('.tools button[title="Replay"]')
    visitor.click("Clear")
    visitor.strokes(0)
    visitor.click("Undo")
    visitor.strokes(3)


def test_examples(visitor: Visitor) -> None:
    visitor.click("Examples")
    visitor.expect(".gallery .tile:enabled", count=12)
    visitor.click("Others")
    visitor.page.get_by_role("button", name="Drawing 3").click()
    visitor.until(lambda: "no strokes" not in visitor.label())


@pytest.mark.parametrize("kind", ["SVG", "PNG", "GIF", "ndjson"])
def test_save(visit: Callable[..., Visitor], kind: str, tmp_path: Path) -> None:
    visitor = visit()
    visitor.click("Save")
    visitor.expect(".said", "nothing to save")
    visitor.page.get_by_text("Answer when the pen lifts").click()
    visitor.cat()
    visitor.click("Save")
    with visitor.page.expect_download() as waiting:
        visitor.page.locator(".choice", has_text=kind).click()
    path = tmp_path / waiting.value.suggested_filename
    assert path.name == f"cat.{kind.lower()}"
    waiting.value.save_as(path)
    if kind in ("SVG", "ndjson"):
        (drawing,) = sketchrnn.read(path)
        left, top, right, bottom = drawing.bounds()
        assert drawing.num_strokes == 3
        assert (bottom - top) / (right - left) == pytest.approx((0.85 - 0.18) / 0.6, rel=0.05)
    else:
        image = Image.open(io.BytesIO(path.read_bytes()))
        assert image.width == image.height >= 400
        assert getattr(image, "n_frames", 1) == (48 if kind == "GIF" else 1)
        dark = [sum(v < 80 for v in _grey(image, i)) for i in (0, getattr(image, "n_frames", 1) - 1)]
        assert dark[-1] > 500
        assert dark[0] < dark[-1] or kind == "PNG"


def _grey(image: Image.Image, frame: int) -> bytes:
    image.seek(frame)
    return image.convert("L").tobytes()


SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M1 1L8 1"/><path d="M1 8L8 8"/></svg>'
NDJSON = "".join(json.dumps({"word": "cat", "drawing": [[[0, k], [0, 9]]]}) + "\n" for k in (3, 5, 7))


def test_paste_and_drop(visitor: Visitor) -> None:
    paste = """text => { const data = new DataTransfer(); data.setData('text/plain', text)
        document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true})) }"""
    drop = """([name, text]) => { const dataTransfer = new DataTransfer()
        dataTransfer.items.add(new File([text], name))
        for (const kind of ['dragover', 'drop'])
            document.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true})) }"""
    visitor.page.evaluate(paste, SVG)
    visitor.strokes(2)
    visitor.page.evaluate(paste, "just words")
    visitor.page.evaluate(drop, ["three.ndjson", NDJSON])
    visitor.expect(".gallery .tile:enabled", count=3)
    visitor.page.get_by_role("button", name="Drawing 2").click()
    visitor.strokes(1)
    visitor.page.evaluate(drop, ["photo.png", "x"])
    visitor.expect(".said", "neither SVG nor ndjson")


def test_open_a_file(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    (tmp_path / "two.svg").write_text(SVG)
    (tmp_path / "bad.ndjson").write_text("nothing\n")
    visitor = visit()
    for name in ("two.svg", "bad.ndjson"):
        with visitor.page.expect_file_chooser() as waiting:
            visitor.click("Open a file")
        waiting.value.set_files(tmp_path / name)
        if name == "two.svg":
            visitor.strokes(2)
    visitor.expect(".said", "bad.ndjson")
    visitor.strokes(2)
    visitor.complaints.clear()  # the browser's own line about the status 422


def test_a_link_holds_drawing_and_settings(visit: Callable[..., Visitor]) -> None:
    giver = visit(permissions=["clipboard-read", "clipboard-write"])
    giver.cat()
    giver.press("[", "2")
    giver.expect(".tiles-nine .tile:enabled", count=9)
    giver.click("Copy a link")
    giver.expect(".said", "copied")
    link = giver.page.evaluate("navigator.clipboard.readText()")
    taker = visit(PHONE, fragment="#" + link.split("#")[1])
    taker.expect(".view-endings")
    taker.strokes(3)
    taker.expect(".view-endings .temperature-value", "0.35")
    box = """() => { const {x, y, width, height} = document.querySelector('.tile path.ink').getBBox()
        return [x, y, width, height] }"""
    assert taker.page.evaluate(box) == pytest.approx(giver.page.evaluate(box), abs=2)
    bad = visit(fragment="#d=nothing")
    bad.expect(".said", "cut off")


def test_what_was_drawn_is_there_again(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.cat()
    visitor.strokes(3, -1)
    visitor.page.wait_for_timeout(500)
    visitor.page.reload()
    visitor.strokes(3)


# -- 9. keyboard, readers, sizes; empty, waiting, failed, offline


def test_everything_but_drawing_by_keyboard(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.press("e")
    visitor.expect(".gallery .tile:enabled", count=12)
    visitor.press("Tab", "Enter")
    visitor.until(lambda: "no strokes" not in visitor.label())
    visitor.press("x", "n")
    visitor.answered()
    visitor.press("Enter")
    visitor.expect(".answer .status", "Taken")
    visitor.press("z", "y", "u", "p")
    for number, view in enumerate(VIEWS, 1):
        visitor.press(str(number))
        visitor.expect('[aria-current="page"]', view)
    visitor.press("1", "s")
    with visitor.page.expect_download():
        visitor.press("Tab", "Enter")
    visitor.press("?")
    visitor.expect("dialog", "Keyboard")
    visitor.page.get_by_text("Use single keys").click()
    visitor.press("Escape", "x")
    visitor.press("2")
    visitor.expect('[aria-current="page"]', "Draw")
    # and with the Tab key alone, everything that can be pressed has a place and a name
    seen = set()
    for _ in range(40):
        visitor.press("Tab")
        seen.add(visitor.page.evaluate("(document.activeElement.ariaLabel || document.activeElement.innerText).trim()"))
    assert {*VIEWS, "Undo", "Examples", "Open a file", "Save", "Copy a link", "Temperature"} <= seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(visit: Callable[..., Visitor], scheme: str) -> None:
    if not AXE.exists():
        missing("axe-core is not installed: run `make page`")
    for device in (DESK, PHONE):
        visitor = visit(device, color_scheme=scheme, reduced_motion="reduce")
        visitor.cat()
        visitor.press("u")
        visitor.page.evaluate(AXE.read_text())
        for view in (*VIEWS, "dialog"):
            if view == "dialog":
                visitor.press("s")
            else:
                visitor.go(view)
                visitor.page.wait_for_timeout(250)
                visitor.expect(".waiting, .working, .notice-wait:not([hidden])", count=0)
            found = visitor.page.evaluate("axe.run({resultTypes: ['violations']})")
            serious = [
                (fault["id"], [node["html"][:120] for node in fault["nodes"]])
                for fault in found["violations"]
                if fault["impact"] in ("serious", "critical")
            ]
            assert serious == [], f"{view}, {scheme}"


@pytest.mark.parametrize(("width", "height"), [(360, 640), (768, 1024), (1024, 700), (1280, 800), (3840, 2160)])
def test_no_size_breaks_the_layout(visit: Callable[..., Visitor], width: int, height: int) -> None:
    visitor = visit({"viewport": {"width": width, "height": height}})
    for view in VIEWS:
        visitor.go(view)
        overflow = visitor.page.evaluate(
            """() => [document.documentElement.scrollWidth - innerWidth, ...[...document.querySelectorAll(
                'main button, main canvas, main input, header button, nav button')]
                .map(each => each.getBoundingClientRect()).filter(box => box.width > 0)
                .map(box => Math.max(box.right - innerWidth, -box.left)),
            ...[...document.querySelectorAll('.card, .slot')].flatMap(card => {
                const outer = card.getBoundingClientRect()
                return [...card.querySelectorAll('button, input, output')]
                    .map(each => each.getBoundingClientRect()).filter(box => box.width > 0)
                    .map(box => Math.max(box.right - outer.right, outer.left - box.left)) }),
            document.querySelector('.wordmark').clientHeight / parseFloat(getComputedStyle(
                document.querySelector('.wordmark')).fontSize) - 1.6]"""
        )
        assert max(overflow) <= 0.5, view


def test_a_slow_model_is_waited_for_and_can_be_drawn_over(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    held: list[Any] = []
    visitor.page.route("**/api/v1/complete", lambda route: held.append(route))
    visitor.draw(HEAD)
    visitor.expect(".answer .status.working", "The model is drawing")
    visitor.draw(EARS[0])  # the first question is given up
    visitor.until(lambda: len(held) == 2)
    held[1].continue_()
    visitor.strokes(2, -1)
    visitor.answered()


def test_a_server_that_ends_or_is_busy_is_waited_for(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    later = {"status": 503, "content_type": "application/json", "body": '{"detail": "the server is ending"}'}
    left = [2]  # requests that are put off: few are waited out,

    def put_off(route: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            route.fulfill(**later, headers={"Retry-After": "0.2"})
        else:
            route.continue_()

    visitor.page.route("**/api/v1/*", put_off)
    visitor.draw(HEAD)
    visitor.expect(".said", "tries again")
    visitor.answered()
    left[0] = 6  # many end in a sentence, and the page begins anew by itself
    visitor.draw(EARS[0])
    visitor.expect(".banner", "The server is ending. Your drawing is safe")
    visitor.answered()
    visitor.expect(".banner[hidden]", count=1)
    visitor.strokes(2, -1)
    visitor.complaints.clear()  # the browser's own lines about the status 503


def test_what_is_refused_says_so(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    refusal = {"status": 422, "content_type": "application/json", "body": '{"detail": "That is too much."}'}
    visitor.page.route("**/api/v1/complete", lambda route: route.fulfill(**refusal))
    visitor.draw(HEAD)
    visitor.expect(".answer .notice", "That is too much.")
    visitor.page.unroute("**/api/v1/complete")
    visitor.click("Try again")
    visitor.answered()
    visitor.complaints.clear()


def test_a_token_and_a_server_that_goes_away_and_comes_back(visit: Callable[..., Visitor], models: list[str]) -> None:
    token = ("--token", "secret-of-the-test")
    with serving(models[0], "--port", "0", *token) as (address, _):
        port = str(urlsplit(address).port)
        stranger = visit(at=address.split("#")[0])
        stranger.expect(".notice", "access token")
        stranger.page.get_by_label("Access token").fill("secret-of-the-test")
        stranger.press("Enter")
        stranger.expect(".view-draw")
        stranger.complaints.clear()  # the browser's own line about the status 401
        guest = visit(at=address)
        guest.expect(".view-draw")
        assert "secret" not in guest.page.url
        guest.page.reload()
        guest.draw(HEAD)
        guest.answered()
    guest.draw(EARS[0])
    guest.expect(".banner", "Your drawing is safe")
    guest.expect(".answer .notice", "does not answer")
    guest.draw(EARS[1])
    guest.strokes(3)
    with serving(models[0], "--port", port, *token):
        guest.expect(".said", "The server is back")
        guest.answered()
        guest.strokes(3, -1)
    guest.complaints.clear()  # the browser's own lines about refused connections


def test_light_and_dark(visit: Callable[..., Visitor]) -> None:
    visitor = visit(color_scheme="dark")
    ink = "getComputedStyle(document.body).color"
    dark = visitor.page.evaluate(ink)
    visitor.click("Colours: as the system")
    assert visitor.page.evaluate(ink) != dark
    visitor.click("Colours: light")
    assert visitor.page.evaluate(ink) == dark
    visitor.page.reload()
    visitor.expect('[title="Colours: dark"]')
