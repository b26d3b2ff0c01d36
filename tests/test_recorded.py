"""Steps of fixed shape, as a GPU replays them, against the steps of `training`; on the CPU kernel by kernel."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SMALL

import sketchrnn
from sketchrnn import Dataset, TrainConfig, training
from sketchrnn.data.batches import Batches
from sketchrnn.kernels import gpu
from sketchrnn.model.adam import Adam
from sketchrnn.model.losses import kl_weight
from sketchrnn.recorded import RecordedSteps

CONFIG = TrainConfig(steps=20, batch_size=20, eval_every=10, eval_drawings=20, dropout_keep=1.0, kl_min=0.0)
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or bool(gpu.why_not("cuda")), reason="there is no GPU that PyTorch and Triton can use"
)


def new_model(cell, data, conditional=True):
    torch.manual_seed(0)
    config = replace(SMALL, encoder_cell=cell, decoder_cell=cell, conditional=conditional)
    model = sketchrnn.SketchRNN(config, data.info)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def batches_of(data):
    return Batches(data.train, scale_factor=data.info.scale_factor, batch_size=20, augment_scale=0.1)


def recorded_steps(model, optimizer, config, **more):
    return RecordedSteps(model, optimizer, training.packed_loss, config, batch_size=20, **more)


def weights(model):
    return torch.cat([parameter.detach().flatten().cpu() for parameter in model.parameters()])


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("conditional", [True, False])
def test_is_the_step_of_training(cell, padded, conditional, wave_data):
    """Losses, weights and moments after three steps, of batches whose longest drawings differ."""
    data = Dataset(wave_data)
    config = replace(CONFIG, pen_padding=padded)
    model = new_model(cell, data, conditional)
    other = deepcopy(model)
    # an epsilon above the rounding of gradients: Adam would make whole steps of those that are next to nothing
    optimizer, others = Adam(model.parameters(), 1e-3, 1e-5), Adam(other.parameters(), 1e-3, 1e-5)
    recorded = recorded_steps(other, others, config)
    batches = batches_of(data)
    for step in range(3):
        batch = batches.batch(step)
        generator = torch.Generator().manual_seed(step)
        optimizer.rate = 1e-3 / (step + 1)
        theirs = training.train_step(model, optimizer, batch, config, step, generator)
        ours = dict(recorded.step(batch, kl_weight(config, step), optimizer.rate, step))
        assert ours.pop("finite") == 1
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights(other), weights(model), rtol=0, atol=2e-5)
    for a, b in zip(other.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(others.state[a]["exp_avg"], optimizer.state[b]["exp_avg"], rtol=1e-3, atol=1e-5)
        assert others.state[a]["step"] == optimizer.state[b]["step"] == 3


def test_a_step_that_is_not_finite_changes_nothing(wave_data):
    data = Dataset(wave_data)
    model = new_model("lstm", data)
    optimizer = Adam(model.parameters(), 1e-3)
    recorded = recorded_steps(model, optimizer, CONFIG)
    batches = batches_of(data)
    recorded.step(batches.batch(0), 0.5, 1e-3, 0)
    before = weights(model).clone()
    moments = [state["exp_avg_sq"].clone() for state in optimizer.state.values()]
    strokes = batches.batch(1).strokes.copy()
    strokes[3, 0] = np.inf
    assert recorded.step(replace(batches.batch(1), strokes=strokes), 0.5, 1e-3, 1)["finite"] == 0
    assert torch.equal(weights(model), before)
    assert all(torch.equal(a, state["exp_avg_sq"]) for a, state in zip(moments, optimizer.state.values(), strict=True))
    assert all(state["step"] == 1 for state in optimizer.state.values())
    assert recorded.step(batches.batch(2), 0.5, 1e-3, 2)["finite"] == 1
    assert not torch.equal(weights(model), before)


@pytest.fixture
def recording(monkeypatch):
    """Lets a run on the CPU go the way of one on a GPU; returns the steps that shall not be finite."""
    monkeypatch.setattr(training, "_no_gpu", lambda device: "")
    bad: set[int] = set()
    one_step = RecordedSteps.step
    done = iter(range(10_000))

    def step(self, batch, *settings):
        if next(done) in bad:
            batch = replace(batch, strokes=np.full_like(batch.strokes, np.nan))
        return one_step(self, batch, *settings)

    monkeypatch.setattr(RecordedSteps, "step", step)
    return bad


def test_a_run_is_what_it_is_without(wave_data, tmp_path, recording, monkeypatch):
    """Figures of training and validation, and the model; resumed in between."""
    data = Dataset(wave_data)
    with monkeypatch.context() as without:
        without.setattr(training, "_no_gpu", lambda device: "the device is the CPU")
        plain = sketchrnn.train(data, out=tmp_path / "plain", model=SMALL, config=CONFIG, device="cpu")
    sketchrnn.train(data, out=tmp_path / "run", model=SMALL, config=replace(CONFIG, steps=10), device="cpu")
    ours = sketchrnn.train(data, out=tmp_path / "run", config=CONFIG, resume=True, device="cpu")
    torch.testing.assert_close(weights(ours), weights(plain), rtol=0, atol=1e-4)
    rows, others = (training.RunFolder(tmp_path / name).metrics() for name in ("run", "plain"))
    assert [row["step"] for row in rows] == [row["step"] for row in others]
    for row, other in zip(rows, others, strict=True):
        assert row.keys() == other.keys()
        for name in ("L_R", "loss", "nats_per_point"):
            assert row[name] == pytest.approx(other[name], rel=1e-3)


def test_a_run_goes_back_when_the_loss_is_not_finite_again_and_again(wave_data, tmp_path, recording, capsys):
    """Single steps are counted and left out of the figures; five in a row lead back to the last checkpoint."""
    recording |= {3, 12, 13, 14, 15, 16}
    data = Dataset(wave_data)
    sketchrnn.train(data, out=tmp_path / "run", model=SMALL, config=CONFIG, device="cpu")
    rows = training.RunFolder(tmp_path / "run").metrics()
    assert all(np.isfinite(row["loss"]) for row in rows if "loss" in row)
    assert rows[-1]["step"] == 20
    (back,) = (row for row in rows if row["kind"] == "rollback")
    assert back["step"] == 10
    assert back["skipped"] == 6
    assert back["learning_rate"] == pytest.approx(0.5 * 1e-3, rel=0.01)
    assert "not finite 5 times in a row: back to step 10" in capsys.readouterr().err


def test_a_validation_that_falls_on_a_bad_step_is_left_out(wave_data, tmp_path, recording):
    recording |= {4}
    config = replace(CONFIG, eval_every=5)
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", model=SMALL, config=config, device="cpu")
    rows = training.RunFolder(tmp_path / "run").metrics()
    assert [row["step"] for row in rows if row["kind"] == "valid"] == [10, 15, 20]
    assert [row["skipped"] for row in rows if row["kind"] == "train"] == [1] * 4


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_other_precisions_are_for_gpus(precision, wave_data, tmp_path):
    with pytest.raises(ValueError, match=f"--train.precision {precision} is for NVIDIA GPUs .* leave it at float32"):
        sketchrnn.train(
            Dataset(wave_data), out=tmp_path / "run", config=replace(CONFIG, precision=precision), device="cpu"
        )
    assert not (tmp_path / "run").exists()


@needs_gpu
def test_graphs_do_what_they_record(cell, wave_data):
    """Replayed graphs, single kernels and steps on the CPU agree; with dropout graphs and kernels do, bit for bit."""
    data = Dataset(wave_data)
    batches = batches_of(data)
    for keep in (1.0, 0.9):
        config = replace(CONFIG, dropout_keep=keep)
        found = []
        for as_graphs in (True, False):
            model = new_model(cell, data).cuda()
            steps = recorded_steps(model, Adam(model.parameters(), 1e-3), config, as_graphs=as_graphs)
            figures = [dict(steps.step(batches.batch(k), 0.5, 1e-3, k)) for k in range(6)]
            found.append((weights(model), [float(row["loss"]) for row in figures]))
            lengths = {-(-int(batches.batch(k).lengths[0]) // 16) for k in range(6)}
            assert len(steps.graphs) == (len(lengths) if as_graphs else 0)
        assert torch.equal(found[0][0], found[1][0])
        assert found[0][1] == found[1][1]


@needs_gpu
def test_a_step_does_not_wait_for_the_device(wave_data):
    data = Dataset(wave_data)
    model = new_model("hyper", data).cuda()
    steps = recorded_steps(model, Adam(model.parameters(), 1e-3), CONFIG)
    batch = batches_of(data).batch(0)
    steps.step(batch, 0.5, 1e-3, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for k in range(3):
            steps.step(batch, 0.5, 1e-3, k)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
def test_bfloat16_learns_what_float32_learns(wave_data, tmp_path):
    """Nats per point after three hundred steps on a GPU."""
    ends = {}
    for precision in ("float32", "bfloat16"):
        config = replace(CONFIG, steps=300, eval_every=300, precision=precision, eval_drawings=200)
        sketchrnn.train(Dataset(wave_data), out=tmp_path / precision, model=SMALL, config=config, device="cuda")
        ends[precision] = training.RunFolder(tmp_path / precision).metrics()[-1]["nats_per_point"]
    assert ends["bfloat16"] == pytest.approx(ends["float32"], abs=0.05)
