import functools
import gzip
import http.server
import json
import re
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import missing, small_model

import sketchrnn
from sketchrnn import DataInfo, Drawing, ModelConfig, SketchRNN
from sketchrnn.cli import main
from sketchrnn.interop import site

PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <script type="module" crossorigin src="./assets/index-1.js"></script>
  </head>
  <body><div id="app"></div></body>
</html>
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A page as small as can be in place of the built one, which need not be there for what Python does with it."""
    static = tmp_path / "package" / "web" / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text(PAGE)
    (static / "assets" / "index-1.js").write_text("1")
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path / "package")
    return static


@pytest.fixture
def built():
    try:
        return site.built_page()
    except FileNotFoundError as error:
        missing(str(error))


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_site_is_the_page_with_a_model(stand_in, waves, tmp_path):
    model = small_model()
    site.write(model, tmp_path / "site", name="waves", drawings=waves, source="test drawings of waves")
    models = [f"model/{name}" for name in ("decoder.onnx", "encoder.onnx", "map.json", "start.onnx")]
    assert files_in(tmp_path / "site") == ["assets/index-1.js", "index.html", *models, "site.json"]
    html = (tmp_path / "site" / "index.html").read_text()
    assert '<meta name="sketchrnn-backend" content="onnx" />' in html
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', html)
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy.replace("'wasm-unsafe-eval'", "")
    assert html.index("Content-Security-Policy") < html.index("<script")
    facts = json.loads((tmp_path / "site" / "site.json").read_text())
    (entry,) = facts["models"]
    assert facts["format"] == "sketchrnn site"
    assert entry["files"] == {Path(name).stem: name for name in models}
    assert (entry["name"], entry["conditional"], entry["z_size"], entry["labels"]) == ("waves", True, 6, ["wave"])
    assert entry["parameters"] == model.num_parameters
    assert entry["data"]["start_token"] == pytest.approx(model.data.start_token)


def test_the_map_holds_what_the_encoder_says_of_the_drawings(stand_in, waves, tmp_path):
    model = small_model()
    site.write(model, tmp_path / "site", drawings=waves, source="test drawings of waves")
    shown = json.loads((tmp_path / "site" / "model" / "map.json").read_text())
    assert shown["source"] == "test drawings of waves"
    assert len(shown["points"]) == len(waves)
    mu = model.encode(waves)[0]
    np.testing.assert_allclose([point["z"] for point in shown["points"]], mu, atol=6e-4)
    lines = [np.array(line) for line in shown["points"][3]["drawing"]["lines"]]
    for ours, theirs in zip(lines, waves[3].lines(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=waves[3].size / 255)
    places = np.array([[point["x"], point["y"]] for point in shown["points"]])
    # distances on the map are those of mu, as far as two directions hold them
    assert np.cov(places.T)[0, 1] == pytest.approx(0, abs=1e-2 * places.var())
    assert places.var(axis=0, ddof=0) / mu.var(axis=0).sum() == pytest.approx(shown["explained"], abs=1e-3)
    site.write(model, tmp_path / "own")
    own = json.loads((tmp_path / "own" / "model" / "map.json").read_text())
    assert own["source"] == "samples of the model"
    assert 100 < len(own["points"]) <= 200
    with pytest.raises(ValueError, match="2 drawings to make a map of"):
        site.write(model, tmp_path / "few", drawings=waves[:2])
    assert not (tmp_path / "few").exists()


def test_a_decoder_only_model_has_no_map(stand_in, tmp_path, capsys):
    site.write(small_model(conditional=False), tmp_path / "site")
    (entry,) = json.loads((tmp_path / "site" / "site.json").read_text())["models"]
    assert entry["files"] == {"decoder": "model/decoder.onnx"}
    assert (entry["conditional"], entry["z_size"], entry["encoder_cell"]) == (False, None, None)
    sketchrnn.save(small_model(conditional=False), tmp_path / "model.safetensors")
    command = ["export", str(tmp_path / "model.safetensors"), "--to", "site", "--data", str(tmp_path)]
    assert main([*command, "--out", str(tmp_path / "other")]) == 1
    assert "--data is for the map of a conditional model" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_without_the_built_page_nothing_is_written(stand_in, tmp_path):
    shutil.rmtree(stand_in)
    with pytest.raises(FileNotFoundError, match="the drawing page is not built: run `make page`"):
        site.write(small_model(), tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_the_command(stand_in, wave_data, tmp_path, capsys):
    sketchrnn.save(small_model(), tmp_path / "model.safetensors")
    command = ["export", str(tmp_path / "model.safetensors"), "--to", "site", "--data", str(wave_data)]
    assert main([*command, "--name", "waves", "--out", str(tmp_path / "site")]) == 0
    assert "http.server" in capsys.readouterr().out
    (entry,) = json.loads((tmp_path / "site" / "site.json").read_text())["models"]
    assert entry["name"] == "waves"
    assert json.loads((tmp_path / "site" / "model" / "map.json").read_text())["source"] == "test drawings of waves"
    shutil.rmtree(stand_in)
    assert main([*command, "--out", str(tmp_path / "other")]) == 1
    assert "not built" in capsys.readouterr().err


def reference_model():
    """Of the reference's sizes, untrained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SketchRNN(ModelConfig(), DataInfo(scale_factor=30.0, max_length=60, size=255.0, labels=("cat",)))


def test_a_site_is_below_ten_megabytes(built, waves, tmp_path):
    """What a browser fetches in all, with gzip, the usual compression of a static host."""
    site.write(reference_model(), tmp_path / "site", drawings=waves)
    total = sum(len(gzip.compress(path.read_bytes(), 6)) for path in (tmp_path / "site").rglob("*") if path.is_file())
    assert 4e6 < total < 10e6
    for path in (tmp_path / "site").rglob("*.html"):  # relative addresses alone
        assert all(address.startswith("./") for address in re.findall('(?:src|href)="([^"]*)"', path.read_text()))


# -- in a real browser


@pytest.fixture
def host(tmp_path):
    """A static host: a folder over HTTP, and nothing else. The site shall lie in a sub-folder of it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    class Host(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):  # a browser that went away in the middle of a file
            pass

    server = Host(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Visit:
    """A page of the site, loaded, with the network cut: what it asked for, and what went wrong."""

    def __init__(self, chromium, address):
        self.asked, self.wrong = [], []
        self.context = chromium.new_context(viewport={"width": 1100, "height": 800})
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda line: self.wrong.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_load_state("networkidle")
        self.context.set_offline(True)


@pytest.fixture
def visit(chromium, host):
    visits = []

    def go(name):
        visits.append(Visit(chromium, f"{host}/{name}/"))
        return visits[-1]

    yield go
    for each in visits:
        each.context.close()


def wait_for(page, expression, seconds=20):
    """Until it is true. Not by `wait_for_function`, which the site's policy forbids."""
    until = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < until, f"not within {seconds} s: {expression}"
        page.wait_for_timeout(20)


def draw(page, points):
    """With the pointer, as a hand does."""
    box = page.locator(".sheet").first.bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=4)
    page.mouse.up()


CIRCLE = [(0.5 + 0.3 * np.cos(t), 0.5 + 0.3 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 16)]


@pytest.mark.parametrize("conditional", [True, False])
def test_the_page_answers_without_a_network(conditional, built, visit, host, waves, tmp_path):
    site.write(small_model(conditional=conditional), tmp_path / "a" / "site", drawings=waves if conditional else None)
    there = visit("a/site")
    draw(there.page, CIRCLE)
    wait_for(there.page, "performance.getEntriesByName('first-stroke').length > 0")
    nine = "document.querySelectorAll('.view-endings .tile:not([disabled])').length == 9"
    there.page.get_by_role("tab", name="Endings").or_(there.page.get_by_role("button", name="Endings")).first.click()
    wait_for(there.page, nine)
    assert there.wrong == []
    assert [url for url in there.asked if not url.startswith(f"{host}/a/site/")] == []


BACKEND = """async (call) => {
    const { openModels } = await import(call.chunk)
    const backend = (globalThis.backend ??= await openModels())
    const [model] = await backend.models()
    const told = []
    const onPoints = (i, rows, ended) => told.push([i, rows, ended])
    const options = [{ temperature: call.temperature, seed: 3, z: call.z }, onPoints]
    const more = ['encode', 'density', 'map'].includes(call.name) ? [] : options
    try {
        return { result: await backend[call.name](model.name, ...call.given, ...more), told }
    } catch (error) {
        return { error: error.message }
    }
}"""


@pytest.fixture
def ask(built, chromium, host, tmp_path):
    """Calls the page's backend in the browser, for a model."""
    contexts = []

    def go(model, waves):
        site.write(model, tmp_path / "site", drawings=waves if model.config.conditional else None)
        context = chromium.new_context()
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{host}/site/")
        (chunk,) = (path for path in (built / "assets").iterdir() if re.fullmatch(r"onnx-.*\.js", path.name))

        def call(name, *given, temperature=0.0, z=None):
            asked = {"chunk": f"./assets/{chunk.name}", "name": name, "given": given, "temperature": temperature}
            return page.evaluate(BACKEND, asked if z is None else asked | {"z": z})

        return call

    yield go
    for context in contexts:
        context.close()


def wire(drawing):
    return {"lines": [line.tolist() for line in drawing.lines()]}


def assert_same(found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert [len(line) for line in ours["lines"]] == [len(line) for line in theirs.lines()]
        for line, other in zip(ours["lines"], theirs.lines(), strict=True):
            np.testing.assert_allclose(line, other, atol=0.02)


def rounded(model):
    """With the weights that float16 leaves."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    return model


def test_the_browser_draws_what_the_package_draws(cell, ask, waves):
    """At temperature 0, where there is no chance, every call gives the same drawings."""
    model = rounded(small_model(cell))
    call = ask(model, waves)
    a, b, c = waves[:3]
    mu = model.encode([a, b, c])[0]
    np.testing.assert_allclose(call("encode", [wire(a), wire(b)])["result"], mu[:2], atol=1e-4)
    assert_same(call("decode", mu.tolist())["result"], sketchrnn.decode(model, mu, temperature=0))
    again = sketchrnn.reconstruct(model, a, temperature=0)
    assert len(again[0]) > 4
    assert_same(call("reconstruct", wire(a), [0, 0], temperature=1)["result"], again * 2)
    way = sketchrnn.interpolate(model, a, b, steps=5, temperature=0)
    assert_same(call("interpolate", wire(a), wire(b), 5)["result"], way)
    sums = sketchrnn.analogy(model, a, b, c, n=2, temperature=0)
    assert_same(call("analogy", wire(a), wire(b), wire(c), 2)["result"], sums)
    expected = sketchrnn.density(model, a)
    found = call("density", wire(a))["result"]
    assert len(found) == len(a) + 1
    for ours, theirs in (("pi", "pi"), ("muX", "mu_x"), ("sigmaY", "sigma_y"), ("rho", "rho"), ("q", "q")):
        rows = [mixture[ours] for mixture in found]
        np.testing.assert_allclose(rows, getattr(expected, theirs), rtol=1e-3, atol=1e-3)
    endings = call("complete", wire(a.head(5)), 3, temperature=0.8)
    given = Drawing.from_lines(wire(a.head(5))["lines"])  # on the wire the pen has lifted after every line
    assert {len(ending["lines"][0]) for ending in endings["result"]} == {5}
    for i, ending in enumerate(endings["result"]):
        told = [row for j, rows, _ in endings["told"] if j == i for row in rows]
        assert_same([ending], [Drawing(np.concatenate([given.stroke3, np.reshape(told, (-1, 3))]))])
    assert sorted(i for i, _, ended in endings["told"] if ended) == [0, 1, 2]
    of_z = call("complete", wire(given), 2, z=mu[1:2].tolist())["result"]
    assert_same(of_z, sketchrnn.complete(model, given, n=2, temperature=0, z=mu[1], max_length=37))
    twice = call("reconstruct", wire(a), [0.5, 0.5])["result"]
    assert twice[0] == twice[1]  # equal random numbers: only z and the temperature make a difference
    three = call("sample", 3, temperature=0.5)["result"]
    assert call("sample", 1, temperature=0.5)["result"] == three[:1]
    assert "no map" not in call("map").get("error", "")


@pytest.mark.parametrize(
    "begins", [{}, {"from_first_point": True}, {"first_offset": "zero"}, {"first_offset": "line"}], ids=str
)
def test_a_decoder_only_model_draws_the_same_in_the_browser(begins, ask, waves):
    model = rounded(small_model(conditional=False))
    model.data = replace(model.data, **begins)
    call = ask(model, waves)
    assert_same(call("sample", 2)["result"], sketchrnn.sample(model, 2, temperature=0))
    given = Drawing.from_lines(waves[0].head(6).lines())
    expected = sketchrnn.complete(model, given, n=1, temperature=0, max_length=38)
    assert_same(call("complete", wire(given), 1)["result"], expected)
    found = [mixture["muX"] for mixture in call("density", wire(given))["result"]]
    np.testing.assert_allclose(
        found,
        sketchrnn.density(model, model.placed(given) if model.data.from_first_point else given).mu_x,
        rtol=1e-3,
        atol=1e-3,
    )
    assert call("encode", [wire(given)])["error"] == "This model has no encoder: it samples and completes."
    assert call("map")["error"].startswith("This site has no map")
