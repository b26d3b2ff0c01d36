"""Every command on drawings and a model of the test's own making: what it writes, what it says, its exit code."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import small_model

import sketchrnn
from sketchrnn import Drawing, ModelConfig, TrainConfig
from sketchrnn.cli import COMMANDS, main

SMALL = [
    *("--model.encoder-size", "8", "--model.decoder-size", "12", "--model.z-size", "4", "--model.num-mixtures", "3"),
    *("--train.batch-size", "8", "--train.steps", "6", "--train.eval-every", "3", "--device", "cpu"),
]
EXPERIMENTS = ("samples", "reconstructions", "interpolations", "analogies", "endings", "variations", "tradeoff")
SUBCOMMANDS = [[name] for name in COMMANDS if name not in ("data", "paper")]
SUBCOMMANDS += [["data", name] for name in ("list", "download", "prepare", "info", "show")]
SUBCOMMANDS += [["paper", name] for name in EXPERIMENTS]
Captured = pytest.CaptureFixture[str]


def zigzag(rng: np.random.Generator) -> Drawing:
    """Two strokes of a few points each, some 60 units wide."""
    lines = [np.stack([np.arange(k) * 10.0, rng.integers(-20, 20, k) + y], axis=1) for k, y in ((6, 0), (4, 40))]
    return Drawing.from_lines(lines, label="zigzag")


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, with a space in its name, with a file of drawings, a dataset and two runs."""
    folder = tmp_path_factory.mktemp("with space")
    rng = np.random.default_rng(0)
    sketchrnn.write([zigzag(rng) for _ in range(60)], folder / "zigzag.ndjson")
    (folder / "sketch.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0C100 50 200 -50 2000 900"/><path d="M0 900L100 0"/></svg>'
    )
    assert main(["data", "prepare", str(folder / "zigzag.ndjson"), "--out", str(folder / "data")]) == 0
    assert main(["train", str(folder / "data"), "--out", str(folder / "run"), *SMALL]) == 0
    assert main(["train", str(folder / "data"), "--out", str(folder / "alone"), "--model.no-conditional", *SMALL]) == 0
    return folder


# -- the door


def test_without_a_command_the_help_is_shown_and_the_use_is_wrong(capsys: Captured) -> None:
    assert main([]) == 2
    assert "usage: sketchrnn COMMAND" in capsys.readouterr().err


def test_help_names_every_command_and_fits_80_columns(capsys: Captured) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert max(map(len, text.splitlines())) <= 100


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sketchrnn {sketchrnn.__version__}\n"


@pytest.mark.parametrize(("given", "hint"), [("trian", "did you mean train?"), ("xyz", "there are demo, data")])
def test_an_unknown_command_is_wrong_use_with_a_suggestion(given: str, hint: str, capsys: Captured) -> None:
    assert main([given]) == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("command", SUBCOMMANDS, ids=" ".join)
def test_help_of_each_command_has_an_example_that_begins_with_it(command: list[str], capsys: Captured) -> None:
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "For example:\n    sketchrnn " + " ".join(command) in text


@pytest.mark.parametrize("command", ["sample", "reconstruct", "interpolate", "analogy", "complete"])
def test_commands_that_draw_take_a_seed_a_temperature_and_a_device(command: str, capsys: Captured) -> None:
    main([command, "--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in ("--seed", "--temperature", "--device {auto,cpu,cuda}", "--out FILE"))
    assert "--temperature-rule {paper,reference,magenta-js}" in text


@pytest.mark.parametrize(
    "argv",
    [
        ["sample"],
        ["sample", "run"],
        ["sample", "run", "--out", "x.svg", "--temprature", "1"],
        ["sample", "run", "--out", "x.svg", "-n", "many"],
        ["sample", "run", "--out", "x.svg", "--device", "tpu"],
        ["train", "data", "--out", "run", "--model.encoder-cell", "gru"],
        ["train", "data", "--out", "run", "--model.encoder-size", "0"],
        ["train", "data", "--out", "run", "--preset", "huge"],
        ["data"],
        ["data", "prepaer"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_2_and_nothing_on_stdout(argv: list[str], capsys: Captured) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip()
    assert "Traceback" not in err


# -- failing


def fails(argv: list[object], capsys: Captured) -> str:
    """The one line that a command which fails says."""
    capsys.readouterr()
    assert main([str(arg) for arg in argv]) == 1
    out, err = capsys.readouterr()
    lines = err.strip().splitlines()
    assert out == ""
    assert len(lines) == 1, err
    assert lines[0].startswith("sketchrnn: ")
    return lines[0]


def test_no_such_model(tmp_path: Path, capsys: Captured) -> None:
    line = fails(["sample", tmp_path / "nothing", "--out", tmp_path / "n.svg"], capsys)
    assert str(tmp_path / "nothing") in line
    assert not (tmp_path / "n.svg").exists()


def test_no_such_dataset(tmp_path: Path, capsys: Captured) -> None:
    line = fails(["train", tmp_path / "nothing", "--out", tmp_path / "run"], capsys)
    assert "data prepare" in line
    assert not (tmp_path / "run").exists()


def test_a_file_is_no_dataset_and_the_line_says_what_to_do(here: Path, tmp_path: Path, capsys: Captured) -> None:
    line = fails(["train", here / "zigzag.ndjson", "--out", tmp_path / "run"], capsys)
    assert "sketchrnn data prepare" in line


def test_a_negative_temperature(here: Path, tmp_path: Path, capsys: Captured) -> None:
    line = fails(["sample", here / "run", "--temperature", "-1", "--out", tmp_path / "n.svg"], capsys)
    assert "temperature is -1" in line


def test_an_unknown_ending_names_the_known_ones(here: Path, tmp_path: Path, capsys: Captured) -> None:
    line = fails(["sample", here / "run", "--out", tmp_path / "cats.jpg"], capsys)
    assert ".svg" in line
    assert ".png" in line


def test_a_folder_that_cannot_be_written(here: Path, capsys: Captured) -> None:
    assert "/proc/x" in fails(["sample", here / "run", "--out", "/proc/x/n.svg"], capsys)


def test_no_such_drawing_in_a_dataset(here: Path, tmp_path: Path, capsys: Captured) -> None:
    line = fails(["reconstruct", here / "run", f"{here}/data:test#999", "--out", tmp_path / "n.svg"], capsys)
    assert "#999" in line


def test_a_decoder_alone_does_not_reconstruct(here: Path, tmp_path: Path, capsys: Captured) -> None:
    line = fails(["reconstruct", here / "alone", f"{here}/data:test#0", "--out", tmp_path / "n.svg"], capsys)
    assert "unconditional" in line


def test_the_traceback_is_there_for_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKETCHRNN_DEBUG", "1")
    with pytest.raises(FileNotFoundError):
        main(["sample", str(tmp_path / "nothing"), "--out", str(tmp_path / "n.svg")])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (PermissionError(13, "Permission denied", "/x/y"), "/x/y: permission denied"),
        (FileNotFoundError("there is no file x"), "there is no file x"),
        (ModuleNotFoundError("KanjiVG is not installed"), "KanjiVG is not installed"),
        (MemoryError(), "not enough memory"),
        (TypeError("a bug"), "TypeError: a bug (SKETCHRNN_DEBUG=1 shows where)"),
        (KeyboardInterrupt(), "interrupted"),
        (KeyboardInterrupt("stopped after step 3, all is saved"), "stopped after step 3, all is saved"),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    error: BaseException, line: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def fail(argv: list[str]) -> None:
        raise error

    monkeypatch.setattr("sketchrnn.cli.sample.main", fail)
    assert main(["sample"]) == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert capsys.readouterr().err == f"sketchrnn: {line}\n"


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    python = shlex.quote(sys.executable)
    script = f"{python} -c 'import sys; from sketchrnn.cli import main; sys.exit(main())' data list --classes"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{script} | head -n 0"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


# -- data


def test_data_info(here: Path, capsys: Captured) -> None:
    assert main(["data", "info", str(here / "data"), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert sum(info["drawings"].values()) == 60
    assert info["max_length"] == 10
    assert info["labels"] == ["zigzag"]
    assert {"mean_length", "scale_factor", "dropped"} <= set(info)
    assert main(["data", "info", str(here / "data")]) == 0
    text = capsys.readouterr().out
    assert "zigzag" in text
    assert max(map(len, text.splitlines())) <= 80


def test_data_list(capsys: Captured) -> None:
    assert main(["data", "list"]) == 0
    text = capsys.readouterr().out
    assert "kanjivg" in text
    assert "345" in text
    assert max(map(len, text.splitlines())) <= 80
    assert main(["data", "list", "--classes"]) == 0
    classes = capsys.readouterr().out.splitlines()
    assert len(classes) == 345
    assert "cat" in classes


def test_data_show(here: Path, tmp_path: Path, capsys: Captured) -> None:
    for seed in ("0", "0", "1"):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.svg"
        assert main(["data", "show", str(here / "data"), "-n", "5", "--seed", seed, "--out", str(out)]) == 0
    first, again, other = ((tmp_path / f"{i}.svg").read_text() for i in range(3))
    assert first == again != other
    assert len(sketchrnn.read(tmp_path / "0.svg")) == 5
    for n in ("0", "-50"):
        line = fails(["data", "show", here / "data", f"-n={n}", "--out", tmp_path / "n.svg"], capsys)
        assert line == f"sketchrnn: -n is {n}; it must be at least 1"


def test_data_prepare_takes_its_settings(here: Path, tmp_path: Path, capsys: Captured) -> None:
    argv = ["data", "prepare", str(here / "zigzag.ndjson"), str(here / "sketch.svg"), "--out", str(tmp_path / "d")]
    assert main([*argv, "--max-points", "5", "--size", "100", "--seed", "4"]) == 0
    data = sketchrnn.Dataset(tmp_path / "d")
    assert data.info.max_length <= 5
    assert sum(data.summary()["drawings"].values()) == 61
    assert str(tmp_path / "d") in capsys.readouterr().out


def test_data_prepare_without_a_source(tmp_path: Path, capsys: Captured) -> None:
    assert "no source" in fails(["data", "prepare", "--out", tmp_path / "d"], capsys)


def test_data_download_of_no_such_class(tmp_path: Path, capsys: Captured) -> None:
    assert "'kat'" in fails(["data", "download", "kat", "--out", tmp_path], capsys)


# -- drawing


@pytest.mark.parametrize("ending", ["svg", "png", "gif", "ndjson", "npz"])
def test_sample_writes_what_the_ending_says(here: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"s.{ending}"
    assert main(["sample", str(here / "run"), "-n", "3", "--seed", "3", "--out", str(out), "--device", "cpu"]) == 0
    if ending in ("svg", "ndjson", "npz"):
        assert len(sketchrnn.read(out)) == 3
    else:
        assert out.read_bytes()[:4] in (b"\x89PNG", b"GIF8")


def test_the_same_seed_draws_the_same(here: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        main(["sample", str(here / "run"), "-n", "3", "--seed", seed, "--out", str(tmp_path / f"{name}.ndjson")])
    a, b, c = ((tmp_path / f"{name}.ndjson").read_bytes() for name in "abc")
    assert a == b != c


def test_sample_that_draws_itself(here: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.svg"
    assert main(["sample", str(here / "alone"), "-n", "2", "--animate", "--out", str(out)]) == 0
    assert "animat" in out.read_text()
    assert "animat" not in _svg(["sample", here / "alone", "-n", "2"], tmp_path)


def test_the_rule_of_the_temperature(here: Path, tmp_path: Path) -> None:
    given, model = f"{here}/data:train#", tmp_path / "m.safetensors"
    sketchrnn.save(small_model(), model)
    for argv in (
        ["sample", model, "-n", "9"],
        ["reconstruct", model, f"{given}0", "-n", "9"],
        ["interpolate", model, f"{given}0", f"{given}1"],
        ["analogy", model, f"{given}0", f"{given}1", f"{given}2", "-n", "9"],
        ["complete", model, f"{given}0", "--points", "2", "-n", "9"],
    ):
        made = [_drawings([*argv, "--temperature-rule", rule], tmp_path) for rule in ("paper", "reference")]
        assert _drawings(argv, tmp_path) == made[0] != made[1]


def _svg(argv: list[object], folder: Path) -> str:
    out = folder / "out.svg"
    assert main([*map(str, argv), "--out", str(out), "--device", "cpu"]) == 0
    return out.read_text()


def _drawings(argv: list[object], folder: Path) -> list[Drawing]:
    out = folder / "out.npz"
    assert main([*map(str, argv), "--out", str(out), "--device", "cpu"]) == 0
    return sketchrnn.read(out)


def test_reconstruct_shows_what_was_given_but_stores_it_not(here: Path, tmp_path: Path) -> None:
    test = sketchrnn.Dataset(here / "data").test
    argv = ["reconstruct", here / "run", f"{here}/data:test", "-n", "2"]
    assert len(_drawings(argv, tmp_path)) == 2 * len(test)
    picture = _svg(argv, tmp_path)
    shown = sketchrnn.read(tmp_path / "out.svg")
    assert len(shown) == 3 * len(test)
    assert [len(drawing) for drawing in shown[::3]] == [len(drawing) for drawing in test]
    assert picture.count("given") == len(test)


def test_interpolate(here: Path, tmp_path: Path) -> None:
    argv = ["interpolate", here / "run", f"{here}/data:test#0", f"{here}/zigzag.ndjson#1", "--steps", "4"]
    assert len(_drawings(argv, tmp_path)) == 4
    assert len(_drawings([*argv, "--method", "linear"], tmp_path)) == 4
    _svg(argv, tmp_path)
    assert len(sketchrnn.read(tmp_path / "out.svg")) == 6


def test_analogy(here: Path, tmp_path: Path) -> None:
    argv = ["analogy", here / "run", *(f"{here}/data:train#{i}" for i in range(3)), "-n", "2"]
    assert len(_drawings(argv, tmp_path)) == 2
    assert "A + (B − C)" in _svg(argv, tmp_path)


@pytest.mark.parametrize(("options", "points"), [([], 10), (["--keep", "0.45"], 5), (["--points", "3"], 3)])
@pytest.mark.parametrize("run", ["run", "alone"])
def test_complete_begins_with_what_is_given(
    here: Path, tmp_path: Path, run: str, options: list[str], points: int
) -> None:
    whole = sketchrnn.Dataset(here / "data").test[0]
    made = _drawings(["complete", here / run, f"{here}/data:test#0", "-n", "3", *options], tmp_path)
    assert len(made) == 3
    for drawing in made:
        np.testing.assert_array_equal(drawing.stroke3[: points - 1], whole.stroke3[: points - 1])
    _svg(["complete", here / run, f"{here}/data:test#0", "-n", "3", *options], tmp_path)


@pytest.mark.parametrize("options", [["--keep", "0"], ["--keep", "1.5"], ["--points", "0"]], ids=" ".join)
def test_complete_refuses_a_share_that_is_none(
    here: Path, tmp_path: Path, options: list[str], capsys: Captured
) -> None:
    argv = ["complete", here / "run", f"{here}/data:test#0", *options, "--out", tmp_path / "c.svg"]
    assert options[0] in fails(argv, capsys)


def test_of_several_drawings_the_first_is_taken_and_said(here: Path, tmp_path: Path, capsys: Captured) -> None:
    made = _drawings(["complete", here / "run", here / "zigzag.ndjson", "--points", "3"], tmp_path)
    assert "holds 60 drawings: the first is taken" in capsys.readouterr().err
    first = sketchrnn.read(here / "zigzag.ndjson")[0]
    np.testing.assert_array_equal(made[0].stroke3[:3], first.stroke3[:3])


def test_a_foreign_drawing_is_fitted_to_the_model_unless_told_not_to(here: Path, tmp_path: Path) -> None:
    size = sketchrnn.load(here / "run").data.size
    argv = ["complete", here / "alone", here / "sketch.svg", "--points", "2"]
    _svg(argv, tmp_path)
    fitted = sketchrnn.read(tmp_path / "out.svg")[0]
    assert fitted.size < 1.5 * size
    _svg([*argv, "--no-fit"], tmp_path)
    assert sketchrnn.read(tmp_path / "out.svg")[0].stroke3[1, 0] < 100  # a short step of the fine curve
    _svg([*argv, "--no-fit"], tmp_path)


def test_what_is_begun_on_a_sheet_keeps_its_size_and_place(here: Path, tmp_path: Path) -> None:
    """Three parts of four of the way across a sheet of 400, and at a fifth of its height, whatever the size is."""
    size = sketchrnn.load(here / "run").data.size
    begun = '<path d="M200 80L300 80" stroke="red" fill="none"/></svg>'
    for attributes, ends in (
        ('viewBox="0 0 400 300"', [[size / 2, size / 5], [3 * size / 4, size / 5]]),
        ('viewBox="200 80 400 300"', [[0, 0], [size / 4, 0]]),
        ('width="4in" height="300" viewBox="0 0 400 300"', [[size / 2, size / 5], [3 * size / 4, size / 5]]),
        ("", [[0, 0], [size, 0]]),
        ('viewBox="0 0 250 250"', [[0, 0], [size, 0]]),  # it reaches beyond the sheet
        ('viewBox="0 0 1e5 1e5"', [[0, 0], [size, 0]]),  # a dot on so large a sheet
    ):
        (tmp_path / "begun.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{begun}')
        made = _drawings(["complete", here / "run", tmp_path / "begun.svg", "-n", "1"], tmp_path)
        np.testing.assert_allclose(made[0].lines()[0][[0, -1]], ends, atol=0.02 * size)
    (tmp_path / "begun.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 300">{begun}')
    made = _drawings(["complete", here / "run", tmp_path / "begun.svg", "-n", "1", "--no-fit"], tmp_path)
    np.testing.assert_allclose(made[0].lines()[0], [[200, 80], [300, 80]])
    made = _drawings(["complete", here / "run", tmp_path / "begun.svg", "-n", "1", "--keep", "0.5"], tmp_path)
    np.testing.assert_allclose(made[0].lines()[0][0], [0, 0])  # the file holds a whole drawing


def test_our_own_pictures_are_read_back_as_they_are(here: Path, tmp_path: Path) -> None:
    test = sketchrnn.Dataset(here / "data").test
    sketchrnn.write(test[:2], tmp_path / "two.svg")
    (tmp_path / "one.svg").write_text(test[0].to_svg())
    for name in ("two.svg", "two.svg#0", "one.svg"):
        made = _drawings(["complete", here / "alone", tmp_path / name, "--points", "4"], tmp_path)
        np.testing.assert_allclose(made[0].stroke3[1:3], test[0].stroke3[1:3], atol=0.02)


def test_evaluate(here: Path, capsys: Captured) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(here / "run"), str(here / "data"), "--split", "test", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {"L_R", "L_KL", "nats_per_point", "nats_per_drawing"} <= set(figures)
    assert figures["drawings"] == len(sketchrnn.Dataset(here / "data").test)
    assert main(["evaluate", str(here / "run"), str(here / "data"), "--importance-samples", "3"]) == 0
    text = capsys.readouterr().out
    assert "importance_bound" in text
    assert max(map(len, text.splitlines())) <= 80


# -- training


def settings_of(run: Path) -> tuple[ModelConfig, TrainConfig]:
    from sketchrnn.cli.train import _run_settings

    return _run_settings(run)


def test_a_run_has_what_the_options_say(here: Path) -> None:
    model, train = settings_of(here / "run")
    assert model == ModelConfig(encoder_size=8, decoder_size=12, z_size=4, num_mixtures=3)
    assert train == TrainConfig(batch_size=8, steps=6, eval_every=3)
    assert sketchrnn.load(here / "run").config == model
    assert all((here / "run" / name).exists() for name in ("last", "metrics.jsonl", "samples", "report.html"))


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_options_overrule_the_file_and_that_the_preset(here: Path, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"settings.{ending}"
    if ending == "toml":
        file.write_text("[model]\nz_size = 5\ndecoder_size = 99\n[train]\nkl_weight = 1\nbatch_size = 50\n")
    else:
        file.write_text('{"model": {"z_size": 5, "decoder_size": 99}, "train": {"kl_weight": 1, "batch_size": 50}}')
    argv = ["train", here / "data", "--out", tmp_path / "run", "--preset", "fast", "--config", file]
    argv += ["--model.decoder-size", "12", "--model.encoder-size", "8", "--train.steps", "1", "--train.batch-size", "8"]
    assert main([str(arg) for arg in argv]) == 0
    model, train = settings_of(tmp_path / "run")
    assert (model.num_mixtures, model.z_size, model.decoder_size) == (10, 5, 12)  # of the preset, the file, the options
    assert (train.learning_rate, train.kl_weight, train.batch_size) == (3e-3, 1.0, 8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[model]\nzsize = 5\n", "zsize"),
        ("[model]\nz_size = 0\n", "z_size is 0"),
        ('[train]\nsteps = "many"\n', "steps is 'many'"),
        ("[modle]\nz_size = 5\n", "modle"),
        ("z_size = 5\n", "[model]"),
        ("[model\n", "TOML"),
    ],
)
def test_a_file_of_settings_that_is_not_right(
    here: Path, tmp_path: Path, text: str, says: str, capsys: Captured
) -> None:
    (tmp_path / "s.toml").write_text(text)
    line = fails(["train", here / "data", "--out", tmp_path / "run", "--config", tmp_path / "s.toml"], capsys)
    assert says in line
    assert str(tmp_path / "s.toml") in line


def test_a_run_goes_on_with_its_own_settings(here: Path, tmp_path: Path, capsys: Captured) -> None:
    start = ["train", str(here / "data"), "--out", str(tmp_path / "run")]
    assert main([*start, *SMALL, "--train.kl-weight", "0.25"]) == 0
    assert main([*start, "--resume", "--train.steps", "9"]) == 0
    model, train = settings_of(tmp_path / "run")
    assert model.decoder_size == 12
    assert (train.kl_weight, train.steps) == (0.25, 9)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert max(row["step"] for row in rows) == 9
    (tmp_path / "more.toml").write_text("[train]\nsteps = 10\n")
    assert main([*start, "--resume", "--config", str(tmp_path / "more.toml")]) == 0
    _, train = settings_of(tmp_path / "run")
    assert (train.kl_weight, train.steps) == (0.25, 10)
    assert "leave out --preset" in fails([*start, "--resume", "--preset", "paper"], capsys)


def test_a_run_does_not_go_on_as_another_model(here: Path, tmp_path: Path, capsys: Captured) -> None:
    argv = ["train", here / "data", "--out", here / "run", "--resume", "--model.z-size", "5"]
    assert "its z_size is 4, not 5" in fails(argv, capsys)


def test_nothing_to_go_on_with(here: Path, tmp_path: Path, capsys: Captured) -> None:
    assert "--resume" in fails(["train", here / "data", "--out", tmp_path / "run", "--resume"], capsys)


def test_training_may_start_from_another_model(here: Path, tmp_path: Path) -> None:
    argv = ["train", here / "data", "--out", tmp_path / "run", "--init", here / "run"]
    argv += ["--train.steps", "1", "--train.batch-size", "4"]
    assert main([str(arg) for arg in argv]) == 0
    assert sketchrnn.load(tmp_path / "run").config == sketchrnn.load(here / "run").config


# -- as a process of its own


def test_the_installed_command(here: Path, tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("sketchrnn")
    out = tmp_path / "two drawings.svg"
    done = subprocess.run(
        [command, "sample", here / "run", "-n", "2", "--out", out],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out}: 2 drawings\n"
    assert out.exists()
