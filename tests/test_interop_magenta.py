"""The reference's JavaScript models: what is read, what is written, and that @magenta/sketch computes the same."""

import base64
import hashlib
import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import WebServer, small_model
from hypothesis import given, settings
from hypothesis import strategies as st
from magenta_parity import MODELS, STORED, log_likelihood, node, package_folder, real_drawings, run

import sketchrnn
from sketchrnn import DataInfo, Drawing, ModelConfig, SketchRNN
from sketchrnn.cli import main
from sketchrnn.interop import magenta

Captured = pytest.CaptureFixture[str]


def plain_model(*, conditional: bool, num_mixtures: int = 4) -> SketchRNN:
    """A small model that the format holds but for rounding: (0, 0, 1, 0, 0) first, drawings from their first point."""
    model = small_model(conditional=conditional)
    if num_mixtures != model.config.num_mixtures:
        config = ModelConfig(conditional=conditional, decoder_size=24, num_mixtures=num_mixtures)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model = SketchRNN(config, model.data)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
    model.data = DataInfo(scale_factor=11.0, max_length=24, labels=("wave",), name="wave", from_first_point=True)
    return model


@pytest.fixture(params=[True, False], ids=["vae", "gen"])
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / ("wave.vae.json" if request.param else "wave.gen.json")
    magenta.write(plain_model(conditional=request.param), path)
    return path


def parts(path: Path) -> Any:
    return json.loads(path.read_text())


# -- there and back


def test_what_is_written_is_read(exported: Path, tmp_path: Path, waves: list[Drawing]) -> None:
    conditional = exported.name == "wave.vae.json"
    model, again = plain_model(conditional=conditional), magenta.read(exported)
    assert again.data == model.data
    for name in ("decoder_size", "num_mixtures", *(("encoder_size", "z_size") if conditional else ())):
        assert getattr(again.config, name) == getattr(model.config, name)
    for ours, theirs in zip(again.parameters(), model.parameters(), strict=True):
        assert ours.requires_grad
        assert (ours - theirs).abs().max() <= 10 / 32767 / 2 + 1e-6
    assert sketchrnn.sample(again, 3)
    magenta.write(again, tmp_path / exported.name.replace("wave", "again"))
    assert (tmp_path / exported.name.replace("wave", "again")).read_bytes() == exported.read_bytes()
    imported = again.training_facts["imported"]
    assert imported["sha256"] == hashlib.sha256(exported.read_bytes()).hexdigest()
    assert imported["info"] == parts(exported)[0]
    assert magenta.remarks(again) == []


def test_every_int16_comes_back() -> None:
    q = np.arange(-32767, 32768, dtype="<i2")
    text = base64.b64encode(q.tobytes()).decode()
    weights = magenta._weight(Path("x"), "bias", 0, text, q.shape)
    assert np.array_equal(magenta._quantised(weights), q)
    assert weights[-1] == 10
    assert weights.dtype == np.float32


@pytest.mark.parametrize("mode", [2, "gen"])
def test_published_info_is_kept_and_brought_up_to_date(mode: int | str, tmp_path: Path) -> None:
    magenta.write(plain_model(conditional=False), tmp_path / "a.gen.json")
    _, dimensions, weights = parts(tmp_path / "a.gen.json")
    info = {
        "kl_loss": 0,
        "name": "bear",
        "version": 2,
        "max_seq_len": 175,
        "r_loss": -0.5,
        "scale_factor": 62,
        "mode": mode,
    }
    (tmp_path / "b.gen.json").write_text(json.dumps([info, dimensions, weights]))
    model = magenta.read(tmp_path / "b.gen.json")
    assert (model.data.scale_factor, model.data.max_length, model.data.labels) == (62.0, 175, ("bear",))
    assert model.data.start_token == (0, 0, 1, 0, 0)
    sketchrnn.save(model, tmp_path / "b.safetensors")
    model = sketchrnn.load(tmp_path / "b.safetensors")
    magenta.write(model, tmp_path / "c.gen.json")
    assert list(parts(tmp_path / "c.gen.json")[0].items()) == list(info.items())
    model.data = DataInfo(scale_factor=31.5, max_length=200, from_first_point=True)
    magenta.write(model, tmp_path / "c.gen.json")
    assert parts(tmp_path / "c.gen.json")[0] == info | {"scale_factor": 31.5, "max_seq_len": 200}


def test_our_figures_become_the_file_s_losses(tmp_path: Path) -> None:
    model = plain_model(conditional=True)
    model.training_facts = {"valid": {"L_R": 0.25, "L_KL": 0.5}}
    magenta.write(model, tmp_path / "a.vae.json")
    info = parts(tmp_path / "a.vae.json")[0]
    assert (info["r_loss"], info["kl_loss"], info["mode"], info["version"]) == (0.25, 0.5, "vae", 6)
    model.training_facts = {"valid": ["none"]}  # a file may say anything
    magenta.write(model, tmp_path / "a.vae.json")
    assert "r_loss" not in parts(tmp_path / "a.vae.json")[0]


def test_what_the_format_cannot_hold_is_told(tmp_path: Path) -> None:
    model = small_model(conditional=True)
    with torch.no_grad():
        model.W_mu[0, 0], model.W_mu[1, 0] = -12.5, 10.25
    notes = magenta.write(model, tmp_path / "m.vae.json")
    assert any("2 of the 120 weights W_mu were clipped to +-10, the largest was -12.5" in note for note in notes)
    assert any("4 normals" in note for note in notes)
    assert any("begins with the input (0.3, -0.2, 1.0, 0.0, 0.0)" in note for note in notes)
    assert any("begin with the pen lifted" in note for note in notes)
    assert any("@magenta/sketch runs .gen.json files only" in note for note in notes)
    again = magenta.read(tmp_path / "m.vae.json")
    assert again.data.start_token == model.data.start_token
    assert not again.data.from_first_point
    assert again.W_mu[0, 0] == -10
    assert "2 weights are 10" in magenta.remarks(again)[0]
    assert magenta.write(plain_model(conditional=False, num_mixtures=20), tmp_path / "m.gen.json") == []


@pytest.mark.parametrize("first_offset", ["position", "zero", "line"])
def test_what_first_rows_are_comes_back(first_offset: str, tmp_path: Path) -> None:
    model = plain_model(conditional=False, num_mixtures=20)
    model.data = replace(model.data, from_first_point=False, first_offset=first_offset)
    notes = magenta.write(model, tmp_path / "m.gen.json")
    assert any("begin with the pen lifted" in note for note in notes) == (first_offset == "position")
    again = magenta.read(tmp_path / "m.gen.json").data
    assert (again.from_first_point, again.first_offset) == (False, first_offset)


def test_an_older_conditional_model_gets_a_remark(exported: Path) -> None:
    info, *rest = parts(exported)
    exported.write_text(json.dumps([info | {"version": 2}, *rest]))
    remarks = magenta.remarks(magenta.read(exported))
    assert bool(remarks) == (exported.name == "wave.vae.json")
    assert all("tanh(z)" in remark for remark in remarks)


@pytest.mark.parametrize("which", ["encoder_cell", "decoder_cell"])
@pytest.mark.parametrize("cell", ["layer_norm", "hyper"])
def test_other_cells_are_refused(cell: str, which: str, tmp_path: Path) -> None:
    model = SketchRNN(
        ModelConfig(**{which: cell, "encoder_size": 4, "decoder_size": 4}), DataInfo(scale_factor=1, max_length=5)
    )
    with pytest.raises(
        ValueError, match=f"has {cell} cells, and the reference's JavaScript models have LSTM cells only"
    ):
        magenta.write(model, tmp_path / "m.vae.json")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_claims_the_other_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"m.gen.json would be a decoder-only model .* tanh\(W_z z \+ b_z\)"):
        magenta.write(plain_model(conditional=True), tmp_path / "m.gen.json")
    with pytest.raises(ValueError, match=r"m.vae.json would be a conditional model"):
        magenta.write(plain_model(conditional=False), tmp_path / "m.vae.json")
    broken = plain_model(conditional=False)
    with torch.no_grad():
        broken.b_y[0] = torch.nan
    with pytest.raises(ValueError, match="b_y of the model holds numbers that are not finite"):
        magenta.write(broken, tmp_path / "m.gen.json")
    assert list(tmp_path.iterdir()) == []


# -- the older JavaScript's arithmetic, from the file itself


class OldJavaScript:
    """What sketch_rnn.js computes with a file: one step of a concatenated [x; h] after the other, in doubles."""

    def __init__(self, path: Path) -> None:
        self.info, shapes, texts = parts(path)
        w = [
            np.frombuffer(base64.b64decode(text), "<i2").astype(float).reshape(shape) / 32767 * 10
            for shape, text in zip(shapes, texts, strict=True)
        ]
        self.scale = self.info["scale_factor"]
        if self.info["mode"] in (2, "gen"):
            (self.w_y, self.b_y), self.decoder = w[:2], w[2:]
        else:
            self.forward, self.backward, self.heads, (self.w_z, self.b_z) = w[:3], w[3:6], w[6:10], w[10:12]
            (self.w_y, self.b_y), self.decoder = w[12:14], w[14:]

    def step(self, cell: list[Any], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        w_xh, w_hh, bias = cell
        hidden = np.concatenate([x, h]) @ np.vstack([w_xh, w_hh]) + bias
        i, j, f, o = np.split(hidden, 4)
        c = c / (1 + np.exp(-(f + 1.0))) + np.tanh(j) / (1 + np.exp(-i))
        return np.tanh(c) / (1 + np.exp(-o)), c

    def rows(self, drawing: Drawing) -> Any:
        return drawing.stroke5() / np.array([self.scale, self.scale, 1, 1, 1])

    def encode(self, drawing: Drawing) -> tuple[Any, Any]:
        last = []
        for cell, rows in ((self.forward, self.rows(drawing)), (self.backward, self.rows(drawing)[::-1])):
            h = c = np.zeros(len(cell[1]))
            for x in rows:
                h, c = self.step(cell, x, h, c)
            last.append(h)
        mu_w, mu_b, sigma_w, sigma_b = self.heads
        return np.concatenate(last) @ mu_w + mu_b, np.sqrt(np.exp(np.concatenate(last) @ sigma_w + sigma_b))

    def decode(self, drawing: Drawing, z: Any | None, start: Any = (0, 0, 1, 0, 0)) -> list[Any]:
        """The mixture at each step in normalised units: pi, mu_x, mu_y, sigma_x, sigma_y, rho, q."""
        size, m = len(self.w_y), (len(self.b_y) - 3) // 6
        h = c = np.zeros(size)
        if z is not None:
            both = np.tanh(z @ self.w_z + self.b_z)
            c, h = both[:size], both[size:]
        found = []
        for x in [np.array(start), *self.rows(drawing)]:
            h, c = self.step(self.decoder, x if z is None else np.concatenate([x, z]), h, c)
            y = h @ self.w_y + self.b_y
            pi, q = np.exp(y[3 : 3 + m] - y[3 : 3 + m].max()), np.exp(y[:3] - y[:3].max())
            mu_x, mu_y, log_x, log_y, rho = np.split(y[3 + m :], 5)
            found.append([pi / pi.sum(), mu_x, mu_y, np.exp(log_x), np.exp(log_y), np.tanh(rho), q / q.sum()])
        return [np.stack(column) for column in zip(*found, strict=True)]


def mixture(model: SketchRNN, drawing: Drawing, z: Any = None) -> list[Any]:
    """Ours in the same order and units."""
    d, s = sketchrnn.density(model, drawing, z), model.data.scale_factor
    return [d.pi, d.mu_x / s, d.mu_y / s, d.sigma_x / s, d.sigma_y / s, d.rho, d.q]


def difference(ours: list[Any], theirs: list[Any]) -> float:
    """The largest, relative where a number is above 1."""
    return max(float(np.max(np.abs(a - b) / (1 + np.abs(b)))) for a, b in zip(ours, theirs, strict=True))


def test_the_older_javascript_computes_the_same(exported: Path, waves: list[Drawing]) -> None:
    model, old = magenta.read(exported), OldJavaScript(exported)
    for drawing in waves[:8]:
        z = None
        if model.config.conditional:
            z, sigma = old.encode(model.placed(drawing))
            mu, ours = model.encode([drawing])
            np.testing.assert_allclose(mu[0], z, atol=1e-5)
            np.testing.assert_allclose(ours[0], sigma, rtol=1e-5)
        assert difference(mixture(model, drawing, z), old.decode(drawing, z)) < 1e-5
    # where these did not matter, a mistake in them would not show
    assert difference(old.decode(waves[0], z, np.zeros(5)), old.decode(waves[0], z)) > 0.01
    if z is not None:
        assert difference(old.decode(waves[0], np.zeros_like(z)), old.decode(waves[0], z)) > 0.1


# -- files that are none


def changed(path: Path, change: Any) -> None:
    whole = parts(path)
    change(whole)
    path.write_text(json.dumps(whole))


def put(*where: Any) -> Any:
    """A change that puts the last of `where` at the place the others name."""

    def change(whole: Any) -> None:
        *way, key, value = where
        for step in way:
            whole = whole[step]
        whole[key] = value

    return change


def take(key: str) -> Any:
    return lambda whole: whole[0].pop(key)


BAD = [
    (take("mode"), "info has no mode"),
    (take("scale_factor"), "info has no scale_factor"),
    (take("max_seq_len"), "info has no max_seq_len"),
    (put(0, "mode", 3), r"info.mode is 3; it is 2 or \"gen\""),
    (put(0, "mode", True), "info.mode is True"),
    (put(0, "scale_factor", "1"), "info.scale_factor is '1', not a number"),
    (put(0, "scale_factor", 0), "scale factor is 0"),
    (put(0, "scale_factor", 10**400), "too large"),
    (put(0, "max_seq_len", 0), "info.max_seq_len is 0"),
    (put(0, "max_seq_len", 12.5), "info.max_seq_len is 12.5, not a whole number"),
    (put(0, "max_seq_len", 10**400), "info.max_seq_len is 1000"),
    (put(0, "name", ["a"]), "info.name is"),
    (put(0, "name", "a\nb"), "info.name is"),
    (put(0, "name", "\ud800"), "info.name is"),
    (put(0, "r_loss", {"a": 1}), "info.r_loss is .*, not a finite number or a text"),
    (put(0, "start_token", [1, 2]), "info.start_token is .*, not five numbers"),
    (put(0, "x", "y" * 70_000), "info is longer than 65,536 characters"),
    (put(0, []), "it is not .info, dimensions, weights"),
    (put(1, {}), "dimensions is not a list of"),
    (put(2, 7), "weights is not a list of"),
    (lambda whole: whole[1].pop(), "dimensions is not a list of"),
    (lambda whole: whole[2].pop(), "weights is not a list of"),
    (put(1, 0, [4.5, 3]), r"dimensions\[0\], .*, is \[4.5, 3\], not 2 sizes"),
    (put(1, 0, [-1, 27]), r"dimensions\[0\]"),
    (put(1, 0, [1 << 18, 1 << 18]), r"dimensions\[0\], .*, is \[262144, 262144\]; the others make it"),
    (put(1, 0, [1 << 40, 27]), r"dimensions\[0\]"),
    (put(1, 1, [28]), r"output_b has 28 numbers|dimensions\[1\]"),
    (put(1, 4, "512"), r"dimensions\[4\]"),
    (put(2, 0, None), r"weights\[0\], .*, is None, not text"),
    (lambda whole: put(2, 0, whole[2][0][:-4])(whole), r"weights\[0\], .* characters and .* weights need .* cut off"),
    (lambda whole: put(2, 1, "*" * len(whole[2][1]))(whole), r"weights\[1\], .*, is not base64"),
    (lambda whole: put(2, 0, whole[2][0][:-4] + "====")(whole), r"weights\[0\]"),
]


@pytest.mark.parametrize(("change", "why"), BAD)
def test_a_model_that_is_put_together_wrongly_is_refused(exported: Path, change: Any, why: str) -> None:
    changed(exported, change)
    with pytest.raises(ValueError, match=why) as caught:
        magenta.read(exported)
    assert exported.name in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_shape_that_another_contradicts_is_named(exported: Path) -> None:
    whole = parts(exported)
    k = 2 if len(whole[1]) == 5 else 14
    changed(exported, put(1, k, [6 if k == 2 else 12, whole[1][k][1]]))
    with pytest.raises(ValueError, match=rf"dimensions\[{k}\], decoder W_xh, is \[.*\]; the others make it"):
        magenta.read(exported)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"<!doctype html><title>403</title>", "is a web page"),
        (b"\x89PNG\r\n", "is damaged or no JSON"),
        (b"[1, 2", "is cut off, its end is missing"),
        (b'{"a": 1}', "it is not .info, dimensions, weights"),
        (b'[{"mode": 2, "scale_factor": NaN, "max_seq_len": 9}, [], []]', "NaN is not a number"),
        (b'[{"mode": 2, "scale_factor": 1e999, "max_seq_len": 9}, [], []]', "scale_factor is inf"),
        (b'[{"mode": 2, "scale_factor": 1, "max_seq_len": 9, "r_loss": -1e999}, [], []]', "r_loss is -inf"),
        (b"[" * 5000 + b"]" * 5000, "nested too deeply|too many parts"),
        (b"[" + b"[]," * 100_000 + b"[]]", "too many parts"),
        (b"\xff\xfe[\x00", "damaged or no JSON"),
    ],
)
def test_what_is_no_model_is_refused_and_nothing_written(
    content: bytes, why: str, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "bad.gen.json"
    path.write_bytes(content)
    assert main(["import", str(path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "bad.gen.json" in error
    with pytest.raises(ValueError, match=why):
        magenta.read(path)
    assert sorted(tmp_path.iterdir()) == [path]


def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        magenta.read(tmp_path / "nothing.json")
    with pytest.raises(ValueError, match="is not a file"):
        magenta.read(tmp_path)
    monkeypatch.setattr(magenta, "MAX_BYTES", 10)
    (tmp_path / "big.json").write_bytes(b"x" * 11)
    with pytest.raises(ValueError, match=r"has 11 bytes; .* at most 10"):
        magenta.read(tmp_path / "big.json")


def test_every_cut_of_a_file_is_refused(exported: Path) -> None:
    whole = exported.read_bytes()
    for end in [*range(0, 200, 7), *range(200, len(whole) - 2, len(whole) // 50), len(whole) - 2]:
        exported.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"is empty|is cut off|is damaged"):
            magenta.read(exported)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)


@cache
def a_file(folder: Path) -> bytes:
    magenta.write(plain_model(conditional=False), folder / "a.gen.json")
    return (folder / "a.gen.json").read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_change_gives_a_model_or_a_sentence(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "fuzz.gen.json"
    path.write_bytes(a_file(path.parent))
    whole = parts(path)
    place = data.draw(
        st.sampled_from([(0, key) for key in [*whole[0], "new"]] + [(k, n) for k in (1, 2) for n in range(5)])
    )
    value = data.draw(JSON | st.sampled_from([whole[1][1], whole[2][4], *whole[0].values()]))
    changed(path, put(*place, value))
    if data.draw(st.booleans()):
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
    model, reason = None, str(path)
    try:
        model = magenta.read(path)
    except ValueError as error:
        reason = str(error)
    assert reason.startswith(str(path))
    assert "\n" not in reason
    if model is not None:
        sketchrnn.save(model, path.with_suffix(".safetensors"))
        assert sketchrnn.load(path.with_suffix(".safetensors")).data == model.data
        magenta.write(model, path)


# -- published models


def test_the_names(capsys: Captured) -> None:
    assert main(["import", "--list"]) == 0
    out, err = capsys.readouterr()
    names = out.splitlines()
    assert len(names) == len(set(names)) == 114
    assert {"magenta:cat", "magenta:the_mona_lisa", "magenta:everything"} <= set(names)
    assert "as their publisher lists them" in err


@pytest.mark.parametrize("name", ["kat", "cat.gen", "cat.gen.json", "large_models/cat", "../cat", "everything.vae", ""])
def test_a_name_that_was_not_published(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no published model is called"):
        magenta.download(name, out=tmp_path)


def test_a_published_model_is_downloaded_once(web_server: WebServer, exported: Path, tmp_path: Path) -> None:
    content = exported.read_bytes()
    web_server.files |= {
        "/models/cat.gen.json": content,
        "/large_models/cat.gen.json": content,
        "/large_models/cat.vae.json": content,
    }
    web_server.cut_after = [1000]
    for name, place in (("cat", "models/cat.gen.json"), ("cat.large", "large_models/cat.gen.json")):
        path = magenta.download(name, out=tmp_path / "got", base=web_server.base, pause=0)
        assert path == tmp_path / "got" / place
        assert path.read_bytes() == content
    assert magenta.download("cat.vae", out=tmp_path / "got", base=web_server.base, pause=0).name == "cat.vae.json"
    assert [asked for _, asked in web_server.requests] == [None, "bytes=1000-", None, None]
    magenta.download("cat", out=tmp_path / "got", base=web_server.base)
    assert len(web_server.requests) == 4


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda whole: whole[: len(whole) // 2], "is no model: is cut off"),
        (lambda whole: b"<html>no</html>", "answers with a web page"),
        (lambda whole: whole.replace(b'"mode"', b'"mood"'), "is no model: info has no mode"),
    ],
)
def test_a_published_file_that_is_no_model_is_not_kept(
    web_server: WebServer, exported: Path, tmp_path: Path, content: Any, why: str
) -> None:
    web_server.files["/models/cat.gen.json"] = content(exported.read_bytes())
    with pytest.raises(ValueError, match=why):
        magenta.download("cat", out=tmp_path / "got", base=web_server.base)
    assert list((tmp_path / "got" / "models").iterdir()) == []


def test_a_published_file_of_an_absurd_size_is_not_fetched(
    web_server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(magenta, "MAX_BYTES", 1000)
    web_server.files["/models/cat.gen.json"] = b"[" * 2000
    with pytest.raises(ValueError, match="is longer than 1,000 bytes"):
        magenta.download("cat", out=tmp_path, base=web_server.base)
    assert list((tmp_path / "models").iterdir()) == []


# -- the commands


def test_all_commands_take_an_imported_model(
    exported: Path, tmp_path: Path, wave_data: Path, waves: list[Drawing], capsys: Captured
) -> None:
    model, conditional = str(tmp_path / "model"), exported.name == "wave.vae.json"
    assert main(["import", str(exported), "--out", model]) == 0
    assert "scale factor 11, up to 24 points" in capsys.readouterr().out
    assert sketchrnn.load(model).data.size > 0
    sketchrnn.write(waves[:2], tmp_path / "waves.ndjson")
    wave = f"{tmp_path / 'waves.ndjson'}#0"
    for command in (
        ["sample", model, "-n", "2", "--out", str(tmp_path / "s.svg")],
        ["complete", model, wave, "--points", "3", "-n", "2", "--out", str(tmp_path / "c.svg")],
        ["evaluate", model, str(wave_data), "--json"],
        ["train", str(wave_data), "--out", str(tmp_path / "run"), "--init", model, "--train.steps", "2"],
        ["sample", str(tmp_path / "run"), "-n", "2", "--out", str(tmp_path / "t.svg")],
        ["export", model, "--to", "magenta-js", "--out", str(tmp_path / "back.json")],
    ):
        assert main(command) == 0, capsys.readouterr().err
    assert "times those that" in capsys.readouterr().err
    assert (tmp_path / "back.json").read_bytes() == exported.read_bytes()
    assert sketchrnn.load(tmp_path / "run").data.scale_factor == 11
    assert main(["reconstruct", model, wave, "--out", str(tmp_path / "r.svg")]) == (0 if conditional else 1)
    assert conditional or "no encoder" in capsys.readouterr().err


def test_import_to_a_file_and_what_it_does_not_replace(exported: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "new" / "wave.safetensors"
    assert main(["import", str(exported), "--out", str(out)]) == 0
    before = out.read_bytes()
    assert main(["import", str(exported), "--out", str(out)]) == 1
    assert "holds a model already" in capsys.readouterr().err
    assert out.read_bytes() == before
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    assert main(["import", str(exported), "--out", str(tmp_path / "run")]) == 1
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["config.json"]


def test_import_and_export_that_are_used_wrongly(exported: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["import"]) == 2
    assert main(["import", str(exported)]) == 2
    assert main(["import", str(tmp_path / "cat.h5"), "--out", str(tmp_path / "x")]) == 1
    assert "cat.h5 cannot be imported: give a .gen.json" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "--to", "word", "--out", str(tmp_path / "x")]) == 2


def test_a_published_model_by_its_name(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the network: it was downloaded before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = tmp_path / "sketchrnn" / "magenta-js" / "models" / "cat.gen.json"
    kept.parent.mkdir(parents=True)
    shutil.copy(exported, kept)
    assert main(["import", "magenta:cat", "--out", str(tmp_path / "cat")]) == 0
    assert "CC BY 4.0" in sketchrnn.load(tmp_path / "cat").data.licence


def test_where_a_drawing_stands_is_nothing_to_a_model_that_begins_at_its_first_point(waves: list[Drawing]) -> None:
    model = plain_model(conditional=True)
    rows = waves[0].head(6).stroke3.copy()
    rows[0, :2] += 300
    moved = Drawing(rows)
    for here, there in zip(
        sketchrnn.complete(model, waves[0].head(6), n=3), sketchrnn.complete(model, moved, n=3), strict=True
    ):
        assert np.array_equal(here.stroke3[1:], there.stroke3[1:])
        assert np.array_equal(there.stroke3[:6], rows)
    assert sketchrnn.reconstruct(model, waves[0].head(6)) == sketchrnn.reconstruct(model, moved)
    model.data = DataInfo(scale_factor=11.0, max_length=24)
    assert sketchrnn.reconstruct(model, waves[0].head(6)) != sketchrnn.reconstruct(model, moved)


# -- the real models, and the real @magenta/sketch


@pytest.fixture(scope="session")
def real_models(real_data: Path) -> Path:
    if not (real_data / "magenta-js").is_dir():
        pytest.skip(f"{real_data} holds no published models")
    return real_data / "magenta-js"


@pytest.fixture(scope="session")
def two_hundred(real_data: Path) -> list[Drawing]:
    return real_drawings(real_data)


@pytest.fixture(scope="session")
def magenta_sketch() -> str:
    """The program that runs @magenta/sketch."""
    program = node()
    if program is None:
        pytest.skip("there is no node")
    if not (package_folder() / "node_modules/@magenta/sketch").is_dir():
        pytest.skip(f"@magenta/sketch is not installed in {package_folder()}")
    return program


def theirs(rows: Any, num_mixtures: int = 20) -> list[Any]:
    """pi, mu_x, mu_y, sigma_x, sigma_y, rho, q of what @magenta/sketch's getPDF gave."""
    return np.split(rows[:, :123], [num_mixtures * k for k in range(1, 7)], axis=1)


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_comes_back_byte_for_byte(name: str, real_models: Path, tmp_path: Path) -> None:
    path = real_models / f"{name}.gen.json"
    model = magenta.read(path)
    assert (model.config.decoder_size, model.config.num_mixtures, model.config.conditional) == (512, 20, False)
    assert model.data.labels == (name,)
    assert magenta.write(model, tmp_path / path.name) == []
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_expects_real_drawings_as_magenta_sketch_says(
    name: str, real_models: Path, two_hundred: list[Drawing]
) -> None:
    """Two hundred drawings, against numbers of @magenta/sketch that are stored, since it takes minutes for a model.

    One drawing's can differ by more than all drawings' together. These models multiply the last bits of float32: at a
    single point, @magenta/sketch is up to 0.002 nats from the same arithmetic in doubles.
    """
    stored = np.load(STORED)
    lengths = np.array([len(drawing) for drawing in two_hundred])
    if not np.array_equal(lengths, stored["lengths"]):
        pytest.skip("these are other drawings than those that the stored numbers are of")
    expected = stored["log_likelihood"][MODELS.index(name)]
    found = sketchrnn.log_likelihood(magenta.read(real_models / f"{name}.gen.json"), two_hundred)
    assert abs(found.sum() - expected.sum()) / lengths.sum() < 1e-5
    assert np.max(np.abs(found - expected) / lengths) < 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_magenta_sketch_computes_the_same_with_a_published_model(
    name: str, real_models: Path, two_hundred: list[Drawing], magenta_sketch: str
) -> None:
    """A drawing of at least twenty points for each, live: mixtures at every step, and the number that is stored."""
    path = real_models / f"{name}.gen.json"
    model, stored = magenta.read(path), np.load(STORED)
    of_some_length = [k for k, drawing in enumerate(two_hundred) if 20 <= len(drawing) <= 24]
    k = of_some_length[MODELS.index(name)]
    [rows] = run(path, [two_hundred[k]], magenta_sketch)
    assert difference(mixture(model, two_hundred[k]), theirs(rows)) < 1e-5
    again = log_likelihood(rows, two_hundred[k], model.data.scale_factor)
    assert again == pytest.approx(stored["log_likelihood"][MODELS.index(name), k], abs=1e-6)


def test_magenta_sketch_runs_what_we_export(two_hundred: list[Drawing], magenta_sketch: str, tmp_path: Path) -> None:
    """Fifty drawings, every step: to 1e-5 as the file says, to 1e-3 as the model was before rounding to int16."""
    path, drawings = tmp_path / "ours.gen.json", two_hundred[:50]
    model = plain_model(conditional=False, num_mixtures=20)
    model.data = DataInfo(scale_factor=30.0, max_length=200, from_first_point=True)
    assert magenta.write(model, path) == []
    written = magenta.read(path)
    for drawing, rows in zip(drawings, run(path, drawings, magenta_sketch), strict=True):
        assert difference(mixture(written, drawing), theirs(rows)) < 1e-5
        assert difference(mixture(model, drawing), theirs(rows)) < 1e-3
