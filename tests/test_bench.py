import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from conftest import SMALL
from torch.utils.flop_counter import FlopCounterMode

from sketchrnn import Dataset, bench, cli
from sketchrnn.config import ModelConfig, TrainConfig
from sketchrnn.data.batches import Batches
from sketchrnn.kernels import gpu
from sketchrnn.model.cells import make_cell
from sketchrnn.model.network import SketchRNN
from sketchrnn.training import loss_of


@pytest.mark.parametrize("conditional", [True, False])
def test_useful_work_is_what_torch_counts(cell, conditional, wave_data, monkeypatch):
    """The products of a step, but for those with the five numbers of a point and those done once a drawing."""
    monkeypatch.setenv("SKETCHRNN_BACKEND", "plain")
    data = Dataset(wave_data)
    config = ModelConfig(
        encoder_size=64, decoder_size=128, decoder_cell=cell, z_size=4, num_mixtures=5, conditional=conditional
    )
    model = SketchRNN(config, data.info)
    batch = Batches(data.train, scale_factor=data.info.scale_factor, batch_size=40).batch(0)
    with FlopCounterMode(display=False) as counter:
        loss_of(model, batch, TrainConfig(pen_padding=False), 0, torch.Generator().manual_seed(0))[0].backward()
    counted = counter.get_total_flops()
    # torch leaves out the first step's way back into a state that is constant: decoder only, ours may be a little more
    assert 0.85 * counted < bench.training_flops(config, batch) < 1.02 * counted


def test_made_up_drawings_are_as_long_as_cats(tmp_path):
    info = Dataset(bench.made_up_data(tmp_path, drawings=1000)).summary()
    assert abs(info["mean_length"] - bench.MEAN_POINTS) < 2
    assert info["max_length"] <= 171


def test_drawings_of_a_benchmark_are_as_long_as_they_should_be(monkeypatch):
    monkeypatch.setattr(bench, "ModelConfig", lambda **cells: SMALL)
    assert bench.sampling_row("lstm", 1, "cpu")["mean_points"] == bench.LONGEST
    assert abs(bench.sampling_row("lstm", 500, "cpu")["mean_points"] - bench.MEAN_POINTS) < 4


@pytest.mark.timeout(900)  # a minute where nothing else runs
def test_bench_prints_its_rows(wave_data, monkeypatch, capsys):
    """The whole of it once, at the reference's sizes but with few steps: every row, with figures that fit together."""
    monkeypatch.setattr(bench, "CELLS", ("lstm",))
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(bench, "STEPS", 1)
    monkeypatch.setattr(bench, "SAMPLE_SIZES", (1, 20))
    assert cli.main(["bench", "--data", str(wave_data), "--batch-size", "20", "--device", "cpu", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["what"] for row in rows} == {"peak", "train", "sample", "data", "memory", "start"}
    (peak,) = (row for row in rows if row["what"] == "peak")
    for row in rows:
        assert row["seconds"] >= 0
        if row["what"] == "train":
            assert row["batch"] == 20
            assert 0 < row["fraction_of_peak"] == pytest.approx(row["gflops"] / peak["gflops"])
            assert row["drawings_per_s"] > 0
        if row["what"] == "memory":
            assert 10 < row["mib"] < 2000
    monkeypatch.setattr(bench, "bench", lambda *_, **__: rows)  # the same, as a table
    assert cli.main(["bench", "--data", str(wave_data), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "of peak" in shown
    assert "GFLOP/s" in shown


def test_a_measurement_is_one_line_of_80_columns(monkeypatch, capsys):
    """The widest that a CPU's table shows: no number or name may be folded into two lines."""
    here = {"backend": "native", "device": "cpu", "batch": 1000}
    speed = {"seconds": 0.000725, "drawings_per_s": 135_122.0}
    rows = [
        {"what": "train", "cell": "layer_norm", "gflops": 1243.0, "fraction_of_peak": 0.709} | here | speed,
        {"what": "sample", "cell": "layer_norm"} | here | speed,
        {"what": "memory", "cell": "lstm", "mib": 1249.0, "seconds": 12.5} | here,
    ]
    monkeypatch.setattr(bench, "bench", lambda *_, **__: rows)
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["bench", "--device", "cpu"]) == 0
    _, _, *lines = capsys.readouterr().out.rstrip().splitlines()[-len(rows) - 2 :]
    assert [line.split()[0] for line in lines] == ["train", "sample", "memory"]
    assert lines[0].split() == ["train", "layer_norm", "native", "1000", "135,122", "0.000725", "1,243", "0.709"]
    assert lines[2].split() == ["memory", "lstm", "native", "1000", "12.5", "1,249"]


def test_what_is_measured_on_a_gpu_is_measured(wave_data, monkeypatch):
    """On the CPU, in plain torch, where a graph is what it records."""
    small = ModelConfig(**{**vars(SMALL), "decoder_size": 16})
    monkeypatch.setenv("SKETCHRNN_BACKEND", "plain")
    monkeypatch.setattr(bench, "ModelConfig", lambda **cells: small)
    monkeypatch.setattr(bench, "preset", lambda name: (small, None))
    monkeypatch.setattr(bench, "make_cell", lambda name, inputs, size, *_: make_cell(name, inputs, 16, 6, 2))
    monkeypatch.setattr(bench, "_products", lambda *_: 4 * 16**2)
    monkeypatch.setattr(bench, "GPU_BATCHES", (5,))
    monkeypatch.setattr(bench, "PEAK_SHAPES", ((32, 32, 32),))
    monkeypatch.setattr(bench, "GPU_STEPS", 1)
    monkeypatch.setattr(bench, "SEQUENCE_STEPS", 3)
    monkeypatch.setattr(bench, "sequence_rows", partial(_small_sequence, bench.sequence_rows))

    def recorded(work):
        work()
        return SimpleNamespace(replay=work)

    monkeypatch.setattr(gpu, "recorded", recorded)
    rows = [row for measure in bench.gpu_measures(Dataset(wave_data), "cpu") for row in measure()]
    assert {row["what"] for row in rows} == {"peak", "sequence", "train"}
    assert {row["precision"] for row in rows} == {"float32", "tf32", "bfloat16"}
    for row in rows:
        assert row["gflops"] > 0
        if row["what"] == "sequence":
            assert row["backend"] in ("plain", "cudnn")
            assert row["drawings_per_s"] == pytest.approx(row["batch"] / row["seconds"])


def _small_sequence(measure, cell, size, *rest):
    return measure(cell, 16, *rest)


def test_a_dataset_that_is_none_is_told(tmp_path, capsys):
    assert cli.main(["bench", "--data", str(tmp_path), "--device", "cpu"]) == 1
    assert "is not a dataset" in capsys.readouterr().err
