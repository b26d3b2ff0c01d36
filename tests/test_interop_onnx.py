import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import START_TOKEN, small_model, wave

import sketchrnn
from sketchrnn import Drawing
from sketchrnn.cli import main
from sketchrnn.config import DataInfo, ModelConfig, from_dict
from sketchrnn.interop.onnx import write
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
    write(model, tmp_path / "onnx")
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
    write(model, tmp_path / "onnx")
    rng = np.random.default_rng(3)
    drawings = [
        wave(rng, length) if length > 3 else Drawing(9 * np.ones((length, 3)) * [1, 1, 0]) for length in lengths
    ]
    got = run(tmp_path / "onnx" / "encoder.onnx", points_of(drawings, model))
    mu, sigma = model.encode(drawings)
    np.testing.assert_allclose(got["mu"], mu, atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_allclose(got["sigma"], sigma, atol=TOLERANCE, rtol=TOLERANCE)
    assert len(lengths) == 1 or abs(mu[0] - mu[1]).max() > 0.1


def test_what_a_program_needs_to_know_stands_in_every_file(cell, tmp_path):
    model = small_model(cell)
    *graphs, facts = write(model, tmp_path / "onnx")
    assert [path.name for path in graphs] == ["encoder.onnx", "start.onnx", "decoder.onnx"]
    known = json.loads(facts.read_text())
    assert (known["format"], known["version"]) == ("sketchrnn onnx", 1)
    assert (known["scale_factor"], known["max_length"]) == (11.0, 24)
    assert known["start_token"] == pytest.approx(START_TOKEN)
    assert known["states"] == list(model.decoder.state_sizes)
    assert from_dict(ModelConfig, known["model"]) == model.config
    assert from_dict(DataInfo, known["data"]) == model.data
    for path in graphs:
        file = onnx.load(path)
        metadata = {prop.key: prop.value for prop in file.metadata_props}
        assert metadata.pop("format") == known["format"]
        assert {key: json.loads(text) for key, text in metadata.items()} | {"format": known["format"]} == known
        assert file.ir_version <= 8
        assert [opset.version for opset in file.opset_import] == [17]
        for port in (*file.graph.input, *file.graph.output):
            axes = [axis.dim_param or axis.dim_value for axis in port.type.tensor_type.shape.dim]
            assert "batch" in axes
            assert all(axes)
    alone = write(small_model(cell, conditional=False), tmp_path / "decoder only")
    assert [path.name for path in alone] == ["decoder.onnx", "model.json"]
    assert "z" not in [port.name for port in onnx.load(alone[0]).graph.input]


def test_float16_halves_the_weights_and_computes_in_float32(cell, tmp_path):
    """The same as a model whose weights were rounded: nothing else is lost."""
    model = small_model(cell)
    write(model, tmp_path / "half", float16=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    write(model, tmp_path / "rounded")
    rng = np.random.default_rng(1)
    points = points_of([wave(rng, 12), wave(rng, 7)], model)
    z = rng.normal(size=(3, 6)).astype(np.float32)
    token = random_tokens(3)[0]
    half, rounded = tmp_path / "half", tmp_path / "rounded"
    feeds = {"token": token, "z": z} | from_z(model, rounded, z, 3)
    for name, given in (("encoder.onnx", points), ("start.onnx", {"z": z}), ("decoder.onnx", feeds)):
        ours, theirs = run(half / name, given), run(rounded / name, given)
        for key, value in ours.items():
            assert value.dtype == np.float32
            np.testing.assert_allclose(value, theirs[key], atol=1e-6, rtol=1e-6)
    kinds = {tensor.data_type for tensor in onnx.load(half / "decoder.onnx").graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT16}


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path):
    model = small_model()
    with torch.no_grad():
        model.W_y[0, 0] = 1e6
    with pytest.raises(ValueError, match="W_y holds a number that float16 cannot hold: export float32"):
        write(model, tmp_path / "large", float16=True)
    write(model, tmp_path / "large")
    with torch.no_grad():
        model.encoder_forward.bias[3] = float("nan")
    with pytest.raises(ValueError, match=r"encoder_forward\.bias holds a number that is not finite"):
        write(model, tmp_path / "wild")
    assert [path.name for path in tmp_path.iterdir()] == ["large"]
    with pytest.raises(FileExistsError, match="large exists and is not an empty folder"):
        write(small_model(), tmp_path / "large")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="file exists and is not an empty folder"):
        write(small_model(), tmp_path / "file")
    (tmp_path / "empty").mkdir()
    write(small_model(), tmp_path / "empty")
    assert len(list((tmp_path / "empty").iterdir())) == 4


@pytest.mark.parametrize("conditional", [True, False])
def test_drawings_made_with_it_are_those_of_the_model(conditional, tmp_path):
    """The caller's loop as docs/formats.md tells it, at temperature 0 where there is no chance."""
    model = small_model(conditional=conditional)
    write(model, tmp_path / "onnx")
    decoder = session(tmp_path / "onnx" / "decoder.onnx")
    names = [port.name for port in decoder.get_outputs()]
    z = np.random.default_rng(0).standard_normal((1, 6), dtype=np.float32) if conditional else None
    feeds = from_z(model, tmp_path / "onnx", z, 1) | ({} if z is None else {"z": z})
    token = np.array([START_TOKEN], np.float32)
    rows = []
    while len(rows) < 24:
        got = dict(zip(names, decoder.run(None, {"token": token} | feeds), strict=True))
        feeds |= {f"state_{k}": got[f"next_state_{k}"] for k in range(2)}
        best, pen = got["logits_pi"][0].argmax(), got["logits_q"][0].argmax()
        if pen == 2:
            break
        offset = got["mu_x"][0, best], got["mu_y"][0, best]
        token = np.array([[*offset, pen == 0, pen == 1, 0]], np.float32)
        rows.append([11 * offset[0], 11 * offset[1], pen == 1])
    (theirs,) = sketchrnn.sample(model, temperature=0) if z is None else sketchrnn.decode(model, z, temperature=0)
    assert len(rows) > 5
    np.testing.assert_allclose(rows, theirs.stroke3, atol=1e-3)


def test_the_command(tmp_path, capsys):
    sketchrnn.save(small_model(), tmp_path / "model.safetensors")
    command = ["export", str(tmp_path / "model.safetensors"), "--to", "onnx", "--out", str(tmp_path / "onnx")]
    assert main(command) == 0
    assert "decoder.onnx" in capsys.readouterr().out
    assert (tmp_path / "onnx" / "encoder.onnx").exists()
    assert main(command) == 1
    assert "exists and is not an empty folder" in capsys.readouterr().err
    assert main([*command[:-1], str(tmp_path / "other"), "--name", "cat"]) == 1
    assert "--name is for --to site" in capsys.readouterr().err
