import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SMALL

import sketchrnn
from sketchrnn import Dataset, ModelConfig, TrainConfig, checkpoint, training
from sketchrnn.drawing import normalise

CONFIG = TrainConfig(steps=12, batch_size=20, eval_every=4, seed=5, pen_padding=False)


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def state(run):
    return checkpoint.read_tensors(run / "last" / "state.safetensors")[0]


def assert_same_state(a, b):
    one, two = state(a), state(b)
    assert one.keys() == two.keys()
    assert any(name.startswith("optimizer.exp_avg_sq.") for name in one)
    for name in one:
        assert torch.equal(one[name], two[name]), name


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("conditional", [True, False])
def test_a_run_is_whole(wave_data, tmp_path, cell, conditional, padded):
    out = tmp_path / "run"
    sizes = replace(SMALL, encoder_cell=cell, decoder_cell=cell, conditional=conditional)
    config = replace(CONFIG, pen_padding=padded)
    model = sketchrnn.train(Dataset(wave_data), out=out, model=sizes, config=config)
    assert model.config == sizes
    assert model.data.labels == ("wave",)
    assert model.training_facts["step"] % 4 == 0
    rows = metrics(out)
    assert [row["step"] for row in rows if row["kind"] == "valid"] == [4, 8, 12]
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert {p.name for p in out.iterdir()} == {
        "config.json", "model.safetensors", "last", "metrics.jsonl", "samples", "report.html",
    }  # fmt: skip
    assert sorted(p.name for p in (out / "samples").iterdir()) == ["000004.png", "000008.png", "000012.png"]
    assert json.loads((out / "config.json").read_text())["train"]["seed"] == 5
    assert "<html" in (out / "report.html").read_text()


@pytest.fixture
def known(wave_data, tmp_path):
    """A model file to start from, with z, sigma, scale factor, N_max and start token unlike those of a new model."""
    torch.manual_seed(0)
    model = sketchrnn.SketchRNN(
        SMALL, replace(Dataset(wave_data).info, scale_factor=7.0, start_token=(1.0, 2.0, 1.0, 0.0, 0.0))
    )
    with torch.no_grad():
        model.W_mu.normal_(0, 2)
        model.W_z.normal_()
        model.b_sigma.fill_(-1.0)
    sketchrnn.save(model, tmp_path / "known.safetensors")
    return tmp_path / "known.safetensors"


@pytest.fixture
def steps_taken(monkeypatch):
    """What each step of a run was given and left behind, in order."""
    taken, one_step, one_loss = [], training._Run.step, training.loss_of

    def loss_of(model, batch, config, step, generator):
        taken[-1] |= {"kl_step": step, "seed": generator.initial_seed()}
        return one_loss(model, batch, config, step, generator)

    def step(run, batch):
        taken.append({"step": run.progress.step, "batch": batch, "model": run.model})
        done = one_step(run, batch)
        taken[-1] |= {
            "rate": run.optimizer.rate,
            "gradient": torch.cat([p.grad.flatten() for p in run.model.parameters()]),
        }
        return done

    monkeypatch.setattr(training, "loss_of", loss_of)
    monkeypatch.setattr(training._Run, "step", step)
    return taken


def test_a_step_is_what_the_settings_say(wave_data, tmp_path, known, steps_taken):
    """Batches, augmentation, scale, learning rate, step of the KL weight, clipping, random numbers."""
    config = replace(
        CONFIG, steps=8, clip_value=0.001, learning_rate_decay=0.5, augment_scale=0.3, augment_drop=0.4, bucket=False
    )
    data = Dataset(wave_data)
    sketchrnn.train(data, out=tmp_path / "run", init=known, config=config)
    batches = training.Batches(
        data.train, scale_factor=7.0, batch_size=20, seed=5, bucket=False, augment_scale=0.3, augment_drop=0.4
    )
    assert [taken["step"] for taken in steps_taken] == [taken["kl_step"] for taken in steps_taken] == list(range(8))
    for taken in steps_taken:
        np.testing.assert_array_equal(taken["batch"].strokes, batches.batch(taken["step"]).strokes)
        assert taken["rate"] == pytest.approx((1e-3 - 1e-5) * 0.5 ** taken["step"] + 1e-5)
        assert taken["gradient"].max().item() == pytest.approx(0.001)
        assert taken["gradient"].min().item() == pytest.approx(-0.001)
    assert len({taken["seed"] for taken in steps_taken}) == 8


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("kl_min", [0.0, 50.0])
def test_the_best_has_the_least_loss(wave_data, tmp_path, known, padded, kl_min):
    """Of the validations: L_R as it is trained, and the KL term with the weight of the end."""
    data, out = Dataset(wave_data), tmp_path / "run"
    config = replace(CONFIG, pen_padding=padded, kl_min=kl_min, kl_weight=3.0, learning_rate=0.05, eval_every=2)
    best = sketchrnn.train(data, out=out, init=known, config=config)
    rows = [row for row in metrics(out) if row["kind"] == "valid"]
    for row in rows:
        L_R = row["L_R_padded" if padded else "L_R_ended"]
        assert row["loss"] == pytest.approx(L_R + 3.0 * max(row["L_KL"], kl_min))
        assert 0.1 < row["L_KL"] < 50
    losses = [row["loss"] for row in rows]
    least = rows[losses.index(min(losses))]
    assert least["step"] != rows[0]["step"]
    assert best.training_facts["step"] == least["step"]
    figures = sketchrnn.evaluate(best, data.valid)  # the weights are those of that step
    assert figures["nats_per_point"] == pytest.approx(least["nats_per_point"], rel=1e-5)


@pytest.mark.parametrize("conditional", [True, False])
def test_dropout_falls_on_encoder_and_decoder(wave_data, cell, conditional):
    data = Dataset(wave_data)
    torch.manual_seed(0)
    sizes = replace(SMALL, encoder_cell=cell, decoder_cell=cell, conditional=conditional)
    model = sketchrnn.SketchRNN(sizes, data.info)
    if conditional:
        with torch.no_grad():
            model.W_mu.normal_()
            model.b_sigma.fill_(-40.0)  # z = mu
            model.W_z.zero_()
            model.decoder.W_xh[5:].zero_()  # which the decoder does not see
            if cell == "hyper":
                model.decoder.hyper.W_xh[5 : 5 + SMALL.z_size].zero_()
    batch = training.Batches(data.train, scale_factor=10.0, batch_size=10).batch(0)

    def parts(keep, seed):
        generator = torch.Generator().manual_seed(seed)
        return training.loss_of(model, batch, replace(CONFIG, dropout_keep=keep), 0, generator)[1]

    for name in ("L_R", "L_KL") if conditional else ("L_R",):  # L_R of the decoder alone, L_KL of the encoder alone
        assert parts(0.5, 1)[name] == parts(0.5, 1)[name]
        assert parts(0.5, 1)[name] != parts(0.5, 2)[name]
        assert parts(1.0, 1)[name] == parts(1.0, 2)[name]


def test_z_is_drawn_and_the_kl_weight_grows(wave_data, known):
    """The loss from its parts: z = mu + exp(sigma_hat / 2) N(0, I), the KL term weighed by the step."""
    model, data = sketchrnn.load(known), Dataset(wave_data)
    batch = training.Batches(data.train, scale_factor=7.0, batch_size=10).batch(0)
    config = replace(CONFIG, dropout_keep=1.0, kl_decay=0.999, density_floor=0.0)
    packed = model.pack(batch.strokes, batch.lengths)
    mu, sigma_hat = model.encoder(packed)
    z = mu + torch.exp(sigma_hat / 2) * torch.randn(mu.shape, generator=torch.Generator().manual_seed(3))

    def L_R_of(z):
        h, _ = model.decoder_states(packed, z)
        terms = model.row_terms(h, packed)
        return -(terms.offset.sum() + terms.pen.sum()).item() / (10 * data.info.max_length)

    L_R, L_KL = L_R_of(z), training.kl_loss(mu, sigma_hat).mean().item()
    assert abs(L_R - L_R_of(mu)) > 1e-3
    for step, weight in ((0, 0.01), (700, 0.5 - 0.49 * 0.999**700)):
        loss, parts = training.loss_of(model, batch, config, step, torch.Generator().manual_seed(3))
        assert parts["L_R"].item() == pytest.approx(L_R, rel=1e-5)
        assert loss.item() == pytest.approx(L_R + weight * L_KL, rel=1e-5)


def test_gradients_are_the_same_every_time_on_two_threads():
    """Bit for bit, at real size: with more threads than one, no sum may depend on which was faster."""
    torch.manual_seed(0)
    info = sketchrnn.DataInfo(scale_factor=1.0, max_length=60)
    model = sketchrnn.SketchRNN(ModelConfig(encoder_size=64, decoder_size=256), info)
    rng = np.random.default_rng(0)
    lengths = np.sort(rng.integers(20, 50, 100))[::-1].copy()
    strokes = rng.standard_normal((lengths.sum(), 3)).astype(np.float32)
    strokes[:, 2] = rng.random(len(strokes)) < 0.2
    batch = training.Batch(strokes, lengths, np.arange(100))

    def gradients():
        model.zero_grad()
        training.loss_of(model, batch, CONFIG, 0, torch.Generator().manual_seed(0))[0].backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = gradients()
        for _ in range(2):
            assert all(torch.equal(a, b) for a, b in zip(first, gradients(), strict=True))
    finally:
        torch.set_num_threads(threads)


def test_a_resumed_run_keeps_its_own_settings(wave_data, tmp_path, steps_taken):
    data, out = Dataset(wave_data), tmp_path / "run"
    sketchrnn.train(data, out=out, model=SMALL, config=replace(CONFIG, steps=5))
    settings = json.loads((out / "config.json").read_text())
    settings["train"]["steps"] = 6
    (out / "config.json").write_text(json.dumps(settings))  # as a run that was stopped after 5 of its 6 steps
    sketchrnn.train(data, out=out, resume=True)
    assert [taken["step"] for taken in steps_taken] == list(range(6))
    assert len(steps_taken[-1]["batch"].lengths) == 20
    assert json.loads((out / "config.json").read_text()) == settings


def test_a_run_without_a_checkpoint_starts_again_as_it_was_meant(wave_data, tmp_path):
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", model=SMALL, config=replace(CONFIG, steps=1))
    shutil.rmtree(tmp_path / "run" / "last")
    again = sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", resume=True)
    assert again.config == SMALL
    assert metrics(tmp_path / "run")[-1]["step"] == 1


def test_validation_looks_at_every_class(tmp_path, monkeypatch):
    """However few drawings it may look at, and in whatever order they are stored."""
    from conftest import wave

    from sketchrnn import formats

    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        formats.write([replace(wave(rng, 8), label=name) for _ in range(60)], tmp_path / f"{name}.ndjson")
    data = sketchrnn.prepare(
        [tmp_path / "first.ndjson", tmp_path / "second.ndjson"],
        tmp_path / "two",
        config=sketchrnn.DataConfig(valid=0.2, test=0.1),
    )
    looked_at, evaluate = [], training.evaluate

    def spy(model, drawings, **settings):
        looked_at.append([drawing.label for drawing in drawings])
        return evaluate(model, drawings, **settings)

    monkeypatch.setattr(training, "evaluate", spy)
    sketchrnn.train(data, out=tmp_path / "run", model=SMALL, config=replace(CONFIG, steps=1, eval_drawings=6))
    assert len(looked_at) == 1
    assert len(looked_at[0]) == 6
    assert set(looked_at[0]) == {"first", "second"}


def test_it_learns(wave_data, tmp_path):
    """A hundred steps beat the start by far, on drawings that were held out."""
    data = Dataset(wave_data)
    config = replace(CONFIG, steps=150, eval_every=50, learning_rate=1e-2, kl_weight=0.05)
    sketchrnn.train(data, out=tmp_path / "run", model=replace(SMALL, decoder_size=32), config=config)
    rows = metrics(tmp_path / "run")
    first = next(row for row in rows if row["kind"] == "train")["nats_per_point"]
    best = min(row["nats_per_point"] for row in rows if row["kind"] == "valid")
    assert best < first - 1.5


def test_resumed_is_straight_bit_for_bit(wave_data, tmp_path, cell):
    data, sizes = Dataset(wave_data), replace(SMALL, encoder_cell=cell, decoder_cell=cell)
    sketchrnn.train(data, out=tmp_path / "straight", model=sizes, config=CONFIG)
    sketchrnn.train(data, out=tmp_path / "half", model=sizes, config=replace(CONFIG, steps=6))
    sketchrnn.train(data, out=tmp_path / "half", model=sizes, config=CONFIG, resume=True)
    assert_same_state(tmp_path / "straight", tmp_path / "half")
    train_rows = [row for row in metrics(tmp_path / "straight") if row["kind"] == "valid" and row["step"] == 12]
    again = [row for row in metrics(tmp_path / "half") if row["kind"] == "valid" and row["step"] == 12]
    assert again == train_rows


def test_seed_decides(wave_data, tmp_path):
    data = Dataset(wave_data)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        sketchrnn.train(data, out=tmp_path / name, model=SMALL, config=replace(CONFIG, steps=4, seed=seed))
    assert_same_state(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same_state(tmp_path / "a", tmp_path / "c")


def test_the_loss_is_the_papers(wave_data):
    """loss_of against evaluate on the same drawings: no dropout, z = mu through a tiny sigma."""
    from sketchrnn.data.batches import Batch

    data = Dataset(wave_data)
    torch.manual_seed(0)
    model = sketchrnn.SketchRNN(SMALL, data.info)
    with torch.no_grad():
        model.b_sigma.fill_(-40.0)
    drawings = sorted(data.test, key=len, reverse=True)
    batch = Batch(
        np.concatenate([normalise(d.stroke3, data.info.scale_factor) for d in drawings]),
        np.array([len(d) for d in drawings]),
        np.arange(len(drawings)),
    )
    figures = sketchrnn.evaluate(model, drawings)
    for padded in (True, False):
        config = replace(CONFIG, dropout_keep=1.0, pen_padding=padded, kl_weight=2.0, kl_weight_start=1.0)
        config = replace(config, density_floor=1e-6 if padded else 0.0)  # as evaluate has it in either figure
        loss, parts = training.loss_of(model, batch, config, 0, torch.Generator())
        assert parts["L_KL"].item() == pytest.approx(figures["L_KL"], rel=1e-4)
        L_R = figures["L_R_padded"] if padded else figures["nats_per_drawing"] / data.info.max_length
        assert parts["L_R"].item() == pytest.approx(L_R, rel=1e-4)
        assert loss.item() == pytest.approx(L_R + 1.0 * figures["L_KL"], rel=1e-4)
    config = replace(config, kl_min=100.0)
    assert training.loss_of(model, batch, config, 0, torch.Generator())[0].item() == pytest.approx(
        L_R + 100.0, rel=1e-4
    )


def test_early_stopping(wave_data, tmp_path):
    config = replace(CONFIG, steps=200, patience=2, learning_rate=0.5, learning_rate_min=0.4)  # far too fast to improve
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", model=SMALL, config=config)
    steps = [row["step"] for row in metrics(tmp_path / "run") if row["kind"] == "valid"]
    best = sketchrnn.load(tmp_path / "run").training_facts["step"]
    assert steps[-1] < 200
    assert steps[-1] == best + 2 * 4
    losses = [row["loss"] for row in metrics(tmp_path / "run") if row["kind"] == "valid"]
    assert losses.index(min(losses)) == steps.index(best)
    # it ended, until it is made longer
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", resume=True)
    assert metrics(tmp_path / "run")[-1]["step"] == steps[-1]
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", config=replace(config, steps=204), resume=True)
    assert metrics(tmp_path / "run")[-1]["step"] > steps[-1]


def test_fine_tuning_starts_from_the_weights_and_their_scale(wave_data, tmp_path):
    data = Dataset(wave_data)
    first = sketchrnn.train(data, out=tmp_path / "first", model=SMALL, config=CONFIG)
    first.data = replace(first.data, scale_factor=7.0, max_length=100)
    sketchrnn.save(first, tmp_path / "first.safetensors")
    config = replace(CONFIG, steps=1, learning_rate=1e-9, learning_rate_min=0.0)
    tuned = sketchrnn.train(data, out=tmp_path / "tuned", init=tmp_path / "first.safetensors", config=config)
    assert tuned.data.scale_factor == 7.0
    assert tuned.data.max_length == 100
    first.data = replace(first.data, max_length=5, start_token=(1.0, 2.0, 1.0, 0.0, 0.0))
    sketchrnn.save(first, tmp_path / "short.safetensors")
    grown = sketchrnn.train(data, out=tmp_path / "grown", init=tmp_path / "short.safetensors", config=config)
    assert grown.data.max_length == data.info.max_length > 5
    assert grown.data.start_token == (1.0, 2.0, 1.0, 0.0, 0.0)
    for a, b in zip(first.parameters(), tuned.parameters(), strict=True):
        assert (a - b).abs().max().item() < 1e-6
    with pytest.raises(ValueError, match="brings its own"):
        sketchrnn.train(
            data, out=tmp_path / "x", init=tmp_path / "first.safetensors", model=ModelConfig(), config=config
        )


def test_a_step_that_is_not_finite_is_left_out(wave_data, tmp_path, monkeypatch):
    """Real infinite losses: a few steps meet a batch of offsets that overflow."""
    poisoned, original = {3, 7, 8}, training.Batches.batch

    def batch(self, step):
        found = original(self, step)
        if step in poisoned:
            found.strokes[:, 0] = 1e30
        return found

    monkeypatch.setattr(training.Batches, "batch", batch)
    out = tmp_path / "run"
    config = replace(CONFIG, density_floor=0.0)
    model = sketchrnn.train(Dataset(wave_data), out=out, model=SMALL, config=config)
    assert [row["skipped"] for row in metrics(out) if row["kind"] == "train"][-1] == 3
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("where", [0, -1])
@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (np.nan, 0.0, None),
        (np.inf, 0.0, None),
        (-np.inf, np.inf, None),
        (3e38, 3e38, (1.0, 1.0)),
        (-5.0, 0.25, (-1.0, 0.25)),
        (5.0, -0.25, (1.0, -0.25)),
        (-0.75, 0.5, (-0.75, 0.5)),
    ],
)
def test_gradients_are_clipped_or_the_step_is_left_out(wave_data, where, first, second, wanted):
    """A finite loss of which two gradients, of the first or the last weights, are what they are told to be."""
    data = Dataset(wave_data)
    model = sketchrnn.SketchRNN(SMALL, data.info)
    weights = list(model.parameters())
    before = [p.detach().clone() for p in weights]
    for p in weights:
        p.register_hook(torch.zeros_like)

    def told(gradient):
        gradient = torch.zeros_like(gradient)
        gradient.view(-1)[:2] = torch.tensor([first, second])
        return gradient

    weights[where].register_hook(told)
    batch = training.Batches(data.train, scale_factor=1.0, batch_size=20, seed=0).batch(0)
    optimizer = training.Adam(weights, 1e-3)
    parts = training.train_step(model, optimizer, batch, CONFIG, 0, torch.Generator().manual_seed(0))
    assert (parts is None) == (wanted is None)
    if wanted is None:
        assert all(torch.equal(p, was) for p, was in zip(weights, before, strict=True))
    else:
        gradient = weights[where].grad.view(-1)
        np.testing.assert_allclose(gradient[:2], wanted)
        assert not gradient[2:].any()


def test_several_in_a_row_go_back_to_the_last_checkpoint(wave_data, tmp_path, monkeypatch, capsys, steps_taken):
    original, bad = training.Batches.batch, [True]

    def batch(self, step):
        found = original(self, step)
        if step in (5, 6, 7) and bad[0]:
            found.strokes[:, 0] = 1e30
            bad[0] = step != 7  # the third one is the last: after it the data are good again
        return found

    monkeypatch.setattr(training.Batches, "batch", batch)
    out = tmp_path / "run"
    config = replace(CONFIG, density_floor=0.0, max_bad_steps=3, learning_rate_decay=1.0)
    sketchrnn.train(Dataset(wave_data), out=out, model=SMALL, config=config)
    assert "back to step 4 with half the learning rate" in capsys.readouterr().err
    rows = metrics(out)
    assert [row["step"] for row in rows if row["kind"] == "rollback"] == [4]
    assert [row["learning_rate"] for row in rows if row["kind"] == "train"][-1] == pytest.approx(5e-4)
    assert [row["step"] for row in rows if row["kind"] == "valid"] == [4, 8, 12]
    # other random numbers the second time, or the same would happen again
    assert [taken["step"] for taken in steps_taken] == [*range(8), *range(4, 12)]
    assert len({taken["seed"] for taken in steps_taken}) == 16


def test_a_stop_among_bad_steps_keeps_the_last_good_state(wave_data, tmp_path, monkeypatch):
    original, stopped = training.Batches.batch, []

    def batch(self, step):
        found = original(self, step)
        if step >= 5 and not stopped:
            found.strokes[:, 0] = 1e30
            if step == 6:
                stopped.append((tmp_path / "run" / "last" / "state.safetensors").read_bytes())
                signal.raise_signal(signal.SIGTERM)
        return found

    monkeypatch.setattr(training.Batches, "batch", batch)
    config = replace(CONFIG, density_floor=0.0)
    with pytest.raises(KeyboardInterrupt, match="go on with --resume"):
        sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", model=SMALL, config=config)
    assert (tmp_path / "run" / "last" / "state.safetensors").read_bytes() == stopped[0]
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", model=SMALL, config=config, resume=True)
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "straight", model=SMALL, config=config)
    assert_same_state(tmp_path / "run", tmp_path / "straight")


def test_a_loss_that_is_never_finite_ends_with_a_sentence(wave_data, tmp_path):
    config = replace(CONFIG, learning_rate=1e30, learning_rate_min=1e30, density_floor=0.0)
    with pytest.raises(ValueError, match="not finite"):
        sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", model=SMALL, config=config)


def test_wrong_use_is_told(wave_data, tmp_path):
    data = Dataset(wave_data)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="no UTF-8: name another folder"):
        sketchrnn.train(data, out=tmp_path / os.fsdecode(b"run\xff"), model=SMALL, config=CONFIG)
    with pytest.raises(NotADirectoryError):
        sketchrnn.train(data, out=tmp_path / "file" / "run", model=SMALL, config=CONFIG)
    sketchrnn.train(data, out=tmp_path / "run", model=SMALL, config=replace(CONFIG, steps=1))
    with pytest.raises(FileExistsError, match="go on with --resume"):
        sketchrnn.train(data, out=tmp_path / "run", model=SMALL, config=CONFIG)
    with pytest.raises(ValueError, match="other sizes"):
        sketchrnn.train(data, out=tmp_path / "run", model=replace(SMALL, z_size=5), config=CONFIG, resume=True)
    for wrong in (
        {"steps": 0},
        {"learning_rate": float("nan")},
        {"dropout_keep": 0.0},
        {"kl_decay": 2.0},
        {"seed": -1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            replace(CONFIG, **wrong)


# -- processes that are stopped

SCRIPT = """
import sys, json
import sketchrnn
from sketchrnn import Dataset, ModelConfig, TrainConfig, config
data, out, model, train = sys.argv[1:]
model, train = config.from_dict(ModelConfig, json.loads(model)), config.from_dict(TrainConfig, json.loads(train))
try:
    sketchrnn.train(Dataset(data), out=out, model=model, config=train, resume=True)
except KeyboardInterrupt as stopped:
    sys.exit(str(stopped))
"""


def start(data, out, config, **popen):
    from dataclasses import asdict

    arguments = [str(data), str(out), json.dumps(asdict(SMALL)), json.dumps(asdict(config))]
    env = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments], env=env, stderr=subprocess.PIPE, text=True, **popen
    )


def lines(run):
    path = run / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_goes_on(wave_data, tmp_path, number):
    endless = replace(CONFIG, steps=100_000, eval_every=100_000)
    process = start(wave_data, tmp_path / "run", endless)
    wait_for(lambda: (tmp_path / "run" / "metrics.jsonl").exists())
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert "all is saved: go on with --resume" in said
    stopped_at = json.loads(checkpoint.read_tensors(tmp_path / "run" / "last" / "state.safetensors")[1]["progress"])[
        "step"
    ]
    assert stopped_at > 0
    sketchrnn.load(tmp_path / "run")
    config = replace(CONFIG, steps=stopped_at + 3, eval_every=100_000)
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", model=SMALL, config=config, resume=True)
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "straight", model=SMALL, config=config)
    assert_same_state(tmp_path / "run", tmp_path / "straight")


def test_kill_at_a_random_moment_loses_only_the_steps_since(wave_data, tmp_path):
    """kill -9 again and again, checkpoints as often as can be; the result is that of a run never touched."""
    config = replace(CONFIG, steps=30, eval_every=2)
    rng = random.Random(1)
    out = tmp_path / "run"
    for _ in range(3):
        process = start(wave_data, out, config)
        wait_for(lambda: len(lines(out)) > 2)
        time.sleep(rng.uniform(0, 1.0))
        process.kill()
        process.communicate()
        for line in lines(out)[:-1]:  # the last may be cut off
            json.loads(line)
        if (out / "model.safetensors").exists():
            sketchrnn.load(out)  # whole, whatever the moment
    sketchrnn.train(Dataset(wave_data), out=out, model=SMALL, config=config, resume=True)
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "straight", model=SMALL, config=config)
    assert_same_state(out, tmp_path / "straight")
    assert [row["step"] for row in metrics(out) if row["kind"] == "valid"] == list(range(2, 31, 2))


def test_a_full_disk_in_the_middle_of_a_checkpoint(wave_data, tmp_path):
    """No file may grow beyond 20 kB: the second checkpoint breaks off in the middle, the first stays whole."""
    out = tmp_path / "run"
    sketchrnn.train(Dataset(wave_data), out=out, model=SMALL, config=replace(CONFIG, steps=4))
    before = (out / "last" / "state.safetensors").read_bytes()
    assert len(before) > 20_000

    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = start(wave_data, out, CONFIG, preexec_fn=little_room)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "File too large" in said
    assert (out / "last" / "state.safetensors").read_bytes() == before
    assert sorted(p.name for p in (out / "last").iterdir()) == ["state.safetensors"]
    sketchrnn.load(out)
    sketchrnn.train(Dataset(wave_data), out=out, model=SMALL, config=CONFIG, resume=True)
    sketchrnn.train(Dataset(wave_data), out=tmp_path / "straight", model=SMALL, config=CONFIG)
    assert_same_state(out, tmp_path / "straight")


def test_tensorboard_gets_the_same_figures(wave_data, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sketchrnn.train(Dataset(wave_data), out=tmp_path / "run", model=SMALL, config=CONFIG, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    written = {e.step: e.value for e in events.Scalars("nats_per_point/valid")}
    ours = {row["step"]: row["nats_per_point"] for row in metrics(tmp_path / "run") if row["kind"] == "valid"}
    assert written == pytest.approx(ours)
