import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import START_TOKEN, small_model, wave

import sketchrnn
from sketchrnn import DataInfo, Drawing, ModelConfig, SketchRNN
from sketchrnn.interop.onnx import export
from sketchrnn.model.mixture import split_output

STEPS = 250
TOLERANCE = 1e-5


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def run(path, feeds):
    """The outputs of a graph by name."""
    opened = session(path)
    return dict(zip([port.name for port in opened.get_outputs()], opened.run(None, feeds), strict=True))


def random_tokens(batch):
    rng = np.random.default_rng(5)
    tokens = np.zeros((STEPS, batch, 5), np.float32)
    tokens[..., :2] = rng.normal(size=(STEPS, batch, 2))
    tokens[np.arange(STEPS)[:, None], np.arange(batch), 2 + (rng.random((STEPS, batch)) < 0.2)] = 1
    return tokens


def from_z(model, folder, z, batch):
    if z is None:
        return {f"state_{k}": np.zeros((batch, size), np.float32) for k, size in enumerate(model.decoder.state_sizes)}
    return run(folder / "start.onnx", {"z": z})


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("conditional", [True, False])
def test_the_decoder_agrees_at_every_step(cell, conditional, batch, tmp_path):
    model = small_model(cell, conditional=conditional)
    export(model, tmp_path / "onnx")
    rng = np.random.default_rng(4)
    z = rng.normal(size=(batch, 6)).astype(np.float32) if conditional else None
    given = {} if z is None else {"z": z}
    states = from_z(model, tmp_path / "onnx", z, batch)
    decoder = session(tmp_path / "onnx" / "decoder.onnx")
    names = [port.name for port in decoder.get_outputs()]
    with torch.no_grad():
        z_rows = torch.zeros(batch, 0) if z is None else torch.from_numpy(z)
        state = model.initial_state(None if z is None else z_rows, batch)
        for token in random_tokens(batch):
            got = dict(zip(names, decoder.run(None, {"token": token} | given | states), strict=True))
            inputs = torch.cat([torch.from_numpy(token), z_rows], 1) @ model.decoder.input_weights()
            state = model.decoder.step(inputs, state)
            y = state[0] @ model.W_y + model.b_y
            expected = split_output(y)
            for name in ("mu_x", "mu_y", "log_sigma_x", "log_sigma_y", "rho"):
                np.testing.assert_allclose(got[name], getattr(expected, name), atol=TOLERANCE, rtol=TOLERANCE)
            np.testing.assert_allclose(got["logits_q"], y[:, :3], atol=TOLERANCE, rtol=TOLERANCE)
            np.testing.assert_allclose(got["logits_pi"], y[:, 3:7], atol=TOLERANCE, rtol=TOLERANCE)
            states = {f"state_{k}": got[f"next_state_{k}"] for k in range(len(state))}
            for k, part in enumerate(state):
                np.testing.assert_allclose(states[f"state_{k}"], part, atol=TOLERANCE, rtol=TOLERANCE)


def points_of(drawings, model):
    """The encoder's inputs: normalised stroke-5 rows (T, B, 5), padded at the end with anything."""
    lengths = np.array([len(d) for d in drawings], np.int64)
    points = np.full((max(1, lengths.max()), len(drawings), 5), 7.5, np.float32)
    for b, drawing in enumerate(drawings):
        rows = drawing.stroke5()
        rows[:, :2] /= model.data.scale_factor
        points[: len(rows), b] = rows
    return {"points": points, "lengths": lengths}


@pytest.mark.parametrize("lengths", [[9], [0], [5, 250, 1, 0, 90, 33, 250]])
def test_the_encoder_agrees_with_drawings_of_any_length(cell, lengths, tmp_path):
    model = small_model(cell, max_length=250)
    export(model, tmp_path / "onnx")
    rng = np.random.default_rng(3)
    drawings = [wave(rng, length) if length > 1 else Drawing(rng.normal(size=(length, 3)) * [9, 9, 0]) for length in lengths]
    got = run(tmp_path / "onnx" / "encoder.onnx", points_of(drawings, model))
    mu, sigma = model.encode(drawings)
    np.testing.assert_allclose(got["mu"], mu, atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_allclose(got["sigma"], sigma, atol=TOLERANCE, rtol=TOLERANCE)
    assert len(lengths) == 1 or abs(mu[0] - mu[1]).max() > 0.1
