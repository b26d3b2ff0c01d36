"""The paper's experiments, on small models and drawings of the test's own making."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL, small_model

import sketchrnn
from sketchrnn import Drawing, SketchRNN, TrainConfig, paper
from sketchrnn.cli import main
from sketchrnn.report import compared_svg

Captured = pytest.CaptureFixture[str]

QUICK = TrainConfig(steps=4, batch_size=8, eval_every=2, eval_drawings=10)


def rows_of(figure: paper.Section) -> list[list[Drawing]]:
    columns = figure.columns or 1
    return [list(figure.drawings[i : i + columns]) for i in range(0, len(figure.drawings), columns)]


def labels_of(figure: paper.Section) -> list[list[str]]:
    labels, columns = list(figure.labels or []), figure.columns or 1
    return [labels[i : i + columns] for i in range(0, len(labels), columns)]


@pytest.fixture
def network() -> SketchRNN:
    return small_model()


# -- figures


def test_samples_differ_from_row_to_row_by_the_temperature_alone(network: SketchRNN) -> None:
    figure = paper.samples(network, n=3, seed=5)
    assert [labels[0] for labels in labels_of(figure)] == [f"τ = 0.{i}" for i in range(2, 10)]
    for row, tau in zip(rows_of(figure), np.arange(2, 10) / 10, strict=True):
        assert row == sketchrnn.sample(network, 3, temperature=tau, seed=5)
    with torch.no_grad():  # where the temperature cannot matter, all rows are alike: z and chance are the same
        network.b_y[3 + 3 * 4 : 3 + 5 * 4] = -20.0
        network.W_y[:, 3 + 3 * 4 : 3 + 5 * 4] = 0
        network.W_y[:, :7] *= 1e5
        network.b_y[:7] *= 1e5
    rows = rows_of(paper.samples(network, n=3, seed=5))
    for row in rows:
        for drawing, first in zip(row, rows[0], strict=True):
            np.testing.assert_allclose(drawing.stroke3, first.stroke3, atol=1e-3)


def test_reconstructions_stand_beside_what_was_given(network: SketchRNN, waves: list[Drawing]) -> None:
    figure = paper.reconstructions(network, waves[:3], seed=1)
    assert labels_of(figure)[2] == ["given", "τ = 0.01", "τ = 0.2", "τ = 0.4", "τ = 0.6", "τ = 0.8", "τ = 1"]
    for given, row in zip(waves, rows_of(figure), strict=False):
        assert row[0] == given
        for drawing, tau in zip(row[1:], (0.01, 0.2, 0.4, 0.6, 0.8, 1.0), strict=True):
            assert [drawing] == sketchrnn.reconstruct(network, given, temperature=tau, seed=1)


def test_interpolations_have_a_row_for_each_model(waves: list[Drawing]) -> None:
    models = {"heavy": small_model(seed=1), "light": small_model(seed=2)}
    a, b = waves[:2]
    plain = paper.interpolations(models, a, b, steps=4, seed=3)
    assert labels_of(plain) == [["A", "", "", "heavy", "", "B"], ["A", "", "", "light", "", "B"]]
    for row, model in zip(rows_of(plain), models.values(), strict=True):
        assert row == [a, *sketchrnn.interpolate(model, a, b, steps=4, temperature=0.1, seed=3), b]
    models["heavy"].training_facts = {"train": {"kl_weight": 1.0}}
    models["light"].training_facts = {"train": {"kl_weight": 0.25}}
    assert [row[3] for row in labels_of(paper.interpolations(models, a, b, steps=4))] == ["w_KL = 1", "w_KL = 0.25"]
    models["light"].training_facts = models["heavy"].training_facts
    assert [row[3] for row in labels_of(paper.interpolations(models, a, b, steps=4))] == ["heavy", "light"]
    models["light"].training_facts = {"train": ["what another program wrote"]}
    assert [row[3] for row in labels_of(paper.interpolations(models, a, b, steps=4))] == ["w_KL = 1", "light"]


def test_analogies(network: SketchRNN, waves: list[Drawing]) -> None:
    a, b, c = waves[:3]
    figure = paper.analogies(network, a, b, c, n=2)
    assert figure.labels == ["A", "B", "C", "A + (B − C)", "A + (B − C)"]
    assert rows_of(figure) == [[a, b, c, *sketchrnn.analogy(network, a, b, c, n=2, temperature=0.1)]]


def test_endings_begin_with_what_is_given_however_long_it_is(waves: list[Drawing]) -> None:
    model = small_model(max_length=10)
    long = next(wave for wave in waves if len(wave) > 12)
    given = [waves[0].head(3), long]
    figure = paper.endings(model, given, n=4)
    assert labels_of(figure)[1] == ["given", "", "", "", ""]
    for prefix, row in zip(given, rows_of(figure), strict=True):
        assert row[0] == prefix
        assert len({tuple(map(tuple, ending.stroke3)) for ending in row[1:]}) > 1
        for ending in row[1:]:
            np.testing.assert_array_equal(ending.stroke3[: len(prefix)], prefix.stroke3)


def test_variations_have_a_z_each(network: SketchRNN, waves: list[Drawing]) -> None:
    figure = paper.variations(network, waves[0], n=5, temperature=0, seed=2)
    given, *made = figure.drawings
    assert given == waves[0]
    assert made == sketchrnn.reconstruct(network, waves[0], n=5, temperature=0, seed=2, sample_z=True)
    assert len({tuple(map(tuple, drawing.stroke3)) for drawing in made}) == 5  # without chance, z alone can do that


@pytest.mark.parametrize(
    "figure",
    [
        lambda model, waves: paper.reconstructions(model, waves[:1]),
        lambda model, waves: paper.interpolations({"m": model}, *waves[:2]),
        lambda model, waves: paper.analogies(model, *waves[:3]),
        lambda model, waves: paper.variations(model, waves[0]),
    ],
    ids=["reconstructions", "interpolations", "analogies", "variations"],
)
def test_figures_of_z_need_a_model_that_has_one(
    figure: Callable[[SketchRNN, list[Drawing]], object], waves: list[Drawing]
) -> None:
    with pytest.raises(ValueError, match="no encoder and no z"):
        figure(small_model(conditional=False), waves)


# -- the table


@pytest.fixture(scope="module")
def trained(wave_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    out = tmp_path_factory.mktemp("of the paper") / "wkl"
    return out, paper.tradeoff([sketchrnn.Dataset(wave_data)], out, model=SMALL, config=QUICK, device="cpu")


def test_tradeoff_is_a_run_for_each_weight_and_one_without_an_encoder(
    trained: tuple[Path, list[dict]], wave_data: Path
) -> None:
    out, rows = trained
    assert [row["kl_weight"] for row in rows] == [1.0, 0.5, 0.25, None]
    names = ["wkl-1.00", "wkl-0.50", "wkl-0.25", "decoder-only"]
    assert [row["run"] for row in rows] == [str(out / "waves" / name) for name in names]
    test = sketchrnn.Dataset(wave_data).test
    for row in rows:
        model = sketchrnn.load(row["run"])
        figures = sketchrnn.evaluate(model, test)
        for name in ("L_R", "L_KL", "nats_per_drawing", "nats_per_point"):
            assert row[name] == pytest.approx(figures[name], rel=1e-5, abs=1e-6)
        assert model.config.conditional == (row["kl_weight"] is not None)
        assert row["step"] == model.training_facts["step"] > 0
        if row["kl_weight"] is not None:
            assert model.training_facts["train"]["kl_weight"] == row["kl_weight"]
    assert rows[3]["L_KL"] == 0
    assert json.loads((out / "table.json").read_text()) == rows


def test_the_table_is_the_papers(trained: tuple[Path, list[dict]]) -> None:
    out, rows = trained
    head, rule, line = (out / "table.md").read_text().splitlines()
    assert head.startswith("| dataset | L_R, w_KL 1.00 | L_KL, w_KL 1.00 | L_R, w_KL 0.50 |")
    assert head.endswith("| L_R, decoder only |")
    assert head.count("|") == rule.count("|") == line.count("|")
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    expected = [row[key] for row in rows for key in ("L_R", "L_KL")][:-1]
    assert cells == ["waves", *(f"{value:.2f}" for value in expected)]


def test_curves_of_all_runs_are_in_one_picture(trained: tuple[Path, list[dict]]) -> None:
    out, _ = trained
    text = (out / "curves.svg").read_text()
    for label in ("w_KL 1.00", "w_KL 0.50", "w_KL 0.25", "decoder only", "waves: KL divergence, L_KL"):
        assert text.count(f">{label}<") == 1
    assert "#010101" not in text  # every colour is one of the style sheet
    with pytest.raises(ValueError, match="no run has been validated"):
        compared_svg({"waves": {"w_KL 1.00": [{"kind": "train", "step": 1, "L_R": 2.0}]}}, dashed="decoder only")


def test_what_is_complete_is_not_trained_again(trained: tuple[Path, list[dict]], wave_data: Path) -> None:
    out, rows = trained
    before = {row["run"]: (Path(row["run"]) / "model.safetensors").stat().st_mtime_ns for row in rows}
    again = paper.tradeoff([sketchrnn.Dataset(wave_data)], out, model=SMALL, config=QUICK, device="cpu")
    assert again == rows
    for run, time in before.items():
        assert (Path(run) / "model.safetensors").stat().st_mtime_ns == time
    other = TrainConfig(steps=4, batch_size=8, eval_every=2, eval_drawings=10, learning_rate=1e-2)
    with pytest.raises(FileExistsError, match=r"wkl-1\.00 was trained with other settings"):
        paper.tradeoff([sketchrnn.Dataset(wave_data)], out, model=SMALL, config=other, device="cpu")


def test_more_steps_go_on_with_the_runs(wave_data: Path, tmp_path: Path) -> None:
    data = sketchrnn.Dataset(wave_data)
    for steps in (1, 3):
        config = TrainConfig(steps=steps, batch_size=8, eval_every=1, eval_drawings=10)
        paper.tradeoff([data], tmp_path, model=SMALL, config=config, kl_weights=[0.5], device="cpu")
    for name in ("wkl-0.50", "decoder-only"):
        lines = (tmp_path / "waves" / name / "metrics.jsonl").read_text().splitlines()
        steps_of = [row["step"] for row in map(json.loads, lines) if row["kind"] == "valid"]
        assert steps_of == [1, 2, 3]
    with pytest.raises(FileExistsError, match="other settings"):  # fewer would pass the figures of more for theirs
        paper.tradeoff([data], tmp_path, model=SMALL, config=replace(config, steps=2), kl_weights=[0.5], device="cpu")


def test_the_table_keeps_what_other_datasets_and_weights_came_to(wave_data: Path, tmp_path: Path) -> None:
    shutil.copytree(wave_data, tmp_path / "others")
    kept = {"model": SMALL, "config": QUICK, "device": "cpu"}
    first = paper.tradeoff([sketchrnn.Dataset(wave_data)], tmp_path / "out", kl_weights=[0.5], **kept)
    second = paper.tradeoff([sketchrnn.Dataset(tmp_path / "others")], tmp_path / "out", kl_weights=[0.5], **kept)
    assert json.loads((tmp_path / "out" / "table.json").read_text()) == first + second
    assert len((tmp_path / "out" / "table.md").read_text().splitlines()) == 4
    svg = (tmp_path / "out" / "curves.svg").read_text()
    assert "waves" in svg
    assert "others" in svg
    (tmp_path / "out" / "table.json").write_text("[{}]")
    with pytest.raises(ValueError, match=r"table\.json is damaged"):
        paper.tradeoff([sketchrnn.Dataset(wave_data)], tmp_path / "out", kl_weights=[0.5], **kept)


def test_datasets_that_cannot_be_compared(wave_data: Path, tmp_path: Path) -> None:
    data = sketchrnn.Dataset(wave_data)
    with pytest.raises(ValueError, match="two datasets are called waves"):
        paper.tradeoff([data, data], tmp_path)
    with pytest.raises(ValueError, match="must differ"):
        paper.tradeoff([data], tmp_path, kl_weights=[0.5, 0.501])
    sketchrnn.write(data.train[:20], tmp_path / "w.ndjson")
    untested = sketchrnn.prepare([tmp_path / "w.ndjson"], tmp_path / "w", config=sketchrnn.DataConfig(test=0))
    with pytest.raises(ValueError, match="no test drawings: prepare it again with a larger --test"):
        paper.tradeoff([untested], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="would lie in it"):
        paper.tradeoff([data], wave_data.parent)


# -- the commands


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a desk")
    sketchrnn.save(small_model(), folder / "m.safetensors")
    return folder


@pytest.mark.parametrize(
    ("argv", "drawings", "label"),
    [
        (["samples", "M", "-n", "2"], 16, "τ = 0.9"),
        (["reconstructions", "M", "D:test#0", "D:test#1"], 14, "τ = 0.01"),
        (["interpolations", "M", "--from", "D:test#0", "--to", "D:test#1", "--steps", "3"], 5, "B"),
        (["analogies", "M", "D:test#0", "D:test#1", "D:test#2"], 4, "A + (B − C)"),
        (["endings", "M", "D:test#0", "--keep", "0.5", "-n", "3"], 4, "given"),
        (["variations", "M", "D:test#0", "-n", "5"], 6, "given"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.parametrize("ending", ["svg", "png"])
def test_each_figure_is_a_command(
    argv: list[str], drawings: int, label: str, ending: str, desk: Path, wave_data: Path, capsys: Captured
) -> None:
    words = [w.replace("D:", f"{wave_data}:") if w != "M" else str(desk / "m.safetensors") for w in argv]
    out = desk / f"{argv[0]}.{ending}"
    assert main(["paper", *words, "--out", str(out), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: ")
    if ending == "svg":
        assert len(sketchrnn.read(out)) == drawings
        assert f">{label}<" in out.read_text()
    else:
        assert out.read_bytes()[:4] == b"\x89PNG"


def test_a_figure_is_a_picture(desk: Path, capsys: Captured) -> None:
    model, out = str(desk / "m.safetensors"), desk / "s.ndjson"
    for words in (["samples", model], ["endings", "no model", "x"]):  # before anything is read or drawn
        assert main(["paper", *words, "--out", str(out)]) == 1
        assert ".svg, .png, .gif or .mp4" in capsys.readouterr().err
    assert not out.exists()
    out = desk / "s.svg"
    assert main(["paper", "samples", model, "-n", "0", "--out", str(out)]) == 1
    assert "-n is 0" in capsys.readouterr().err
    assert main(["paper", "interpolations", model, model, "--from", "x", "--to", "y", "--out", str(out)]) == 1
    assert "given twice" in capsys.readouterr().err
    assert main(["paper", "endings", model, "x", "--keep", "2", "--out", str(out)]) == 1
    assert "--keep is 2" in capsys.readouterr().err
    assert main(["paper", "sample", model, "--out", str(out)]) == 2


def test_tradeoff_takes_the_settings_of_train(wave_data: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "s.toml").write_text("[model]\nz_size = 5\ndecoder_size = 99\n[train]\nbatch_size = 50\n")
    argv = ["paper", "tradeoff", wave_data, "--out", tmp_path / "wkl", "--preset", "fast", "--config"]
    argv += [tmp_path / "s.toml", "--kl-weights", "0.5", "--model.decoder-size", "12", "--model.encoder-size", "8"]
    argv += ["--train.steps", "1", "--train.batch-size", "8", "--train.eval-drawings", "5", "--device", "cpu"]
    assert main([*map(str, argv), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["kl_weight"] for row in rows] == [0.5, None]
    run = sketchrnn.load(tmp_path / "wkl" / "waves" / "wkl-0.50")
    assert (run.config.num_mixtures, run.config.z_size, run.config.decoder_size) == (10, 5, 12)
    assert run.training_facts["train"]["learning_rate"] == 3e-3
    assert main([*map(str, argv)]) == 0
    text = capsys.readouterr().out
    assert f"{rows[0]['L_R']:.2f} / {rows[0]['L_KL']:.2f}" in text
    assert max(map(len, text.splitlines()[:6])) <= 80
    assert main([*map(str, argv), "--train.kl-weight", "3"]) == 1
    assert "--kl-weights chooses" in capsys.readouterr().err
