import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import small_model
from safetensors.torch import load_file, save_file

import sketchrnn
from sketchrnn import checkpoint
from sketchrnn.model.adam import Adam


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    sketchrnn.save(small_model("hyper"), path)
    return path


def rewritten(path, *, tensors=None, **metadata):
    """The same file with other tensors or other metadata."""
    old, meta = checkpoint.read_tensors(path)
    save_file(old | (tensors or {}), path, {k: v for k, v in (meta | metadata).items() if v is not None})


@pytest.mark.parametrize("conditional", [True, False])
def test_what_is_saved_is_loaded(cell, conditional, tmp_path, waves):
    model = small_model(cell, conditional=conditional)
    model.training_facts = {"step": 7}
    sketchrnn.save(model, tmp_path / "m.safetensors")
    again = sketchrnn.load(tmp_path / "m.safetensors")
    assert again.config == model.config
    assert again.data == model.data
    assert again.training_facts == {"step": 7}
    assert sketchrnn.sample(again, 5) == sketchrnn.sample(model, 5)
    assert all(p.requires_grad for p in again.parameters())


def test_a_run_folder_is_its_best_model(saved):
    assert sketchrnn.load(saved.parent).config == sketchrnn.load(saved).config


def test_a_file_of_any_reader(saved):
    """The weights are plain tensors under the names of the module; the settings are JSON."""
    tensors = load_file(saved)
    assert set(tensors) == set(small_model("hyper").state_dict())
    _, metadata = checkpoint.read_tensors(saved)
    assert json.loads(metadata["model"])["decoder_cell"] == "hyper"
    assert json.loads(metadata["data"])["scale_factor"] == 11.0


def test_half_precision_weights_are_widened(saved):
    tensors, metadata = checkpoint.read_tensors(saved)
    save_file({name: t.half() for name, t in tensors.items()}, saved, metadata)
    model = sketchrnn.load(saved)
    assert model.W_y.dtype == torch.float32
    np.testing.assert_allclose(model.W_y.detach(), tensors["W_y"], atol=1e-3)


def test_bad_files_are_told_in_one_sentence(saved, tmp_path):
    def refused(match, path=saved, error=ValueError):
        with pytest.raises(error, match=match) as caught:
            sketchrnn.load(path)
        assert "\n" not in str(caught.value)

    whole = saved.read_bytes()
    refused("there is no model at", tmp_path / "nothing", FileNotFoundError)
    (tmp_path / "empty").mkdir()
    refused("holds no model.safetensors", tmp_path / "empty", FileNotFoundError)
    for content in (b"", b"<!doctype html>", whole[:100], whole[:-50], b"\xff" * 64):
        saved.write_bytes(content)
        refused("not a model file, or is damaged")
    for change, match in (
        ({"format": "another"}, "not a sketchrnn model"),
        ({"format": None}, "not a sketchrnn model"),
        ({"version": "2"}, "model version '2'.*upgrade"),
        ({"version": "new"}, "model version 'new'"),
        ({"model": "{"}, "settings cannot be read"),
        ({"model": None}, "settings cannot be read"),
        ({"model": '{"depth": 3}'}, "no depth"),
        ({"model": '{"z_size": 1000000000}'}, "z_size is 1000000000"),
        ({"data": '{"scale_factor": 0, "max_length": 5}'}, "scale factor is 0"),
        ({"tensors": {"W_y": torch.zeros(3, 3)}}, "W_y is \\(3, 3\\), not"),
        ({"tensors": {"extra": torch.zeros(3)}}, "differ: extra"),
        ({"tensors": {"b_y": torch.full((27,), torch.nan)}}, "b_y holds numbers that are not finite"),
    ):
        saved.write_bytes(whole)
        rewritten(saved, **change)
        refused(match)


def test_a_claimed_size_costs_no_memory(saved):
    """A model that says it is huge is refused by its weights, before anything of that size is made."""
    rewritten(
        saved, model=json.dumps(dataclasses.asdict(sketchrnn.ModelConfig(decoder_size=65536, encoder_size=65536)))
    )
    with pytest.raises(ValueError, match=r"differ|is \("):
        sketchrnn.load(saved)


def test_state_brings_everything_back(tmp_path):
    model, other = small_model(seed=0), small_model(seed=1)
    optimizer = Adam(model.parameters(), 1e-3)
    model.W_y.grad = torch.ones_like(model.W_y)
    optimizer.step()
    checkpoint.save_state(tmp_path / "s.safetensors", model, optimizer, {"step": 3, "best_loss": float("inf")})
    fresh = Adam(other.parameters(), 1e-3)
    progress = checkpoint.load_state(tmp_path / "s.safetensors", other, fresh)
    assert progress == {"step": 3, "best_loss": float("inf")}
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        for key, value in optimizer.state.get(a, {}).items():
            assert torch.equal(value, fresh.state[b][key])
    assert fresh.state[other.W_y]["step"] == 1
    with pytest.raises(ValueError, match="other sizes"):
        checkpoint.load_state(tmp_path / "s.safetensors", small_model("hyper"), fresh)


def test_devices():
    assert checkpoint.resolve_device("cpu").type == "cpu"
    assert checkpoint.resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="no device 'gpu'"):
        checkpoint.resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA GPU"):
            checkpoint.resolve_device("cuda")


def test_loading_a_model_does_not_load_torchs_compiler(saved):
    """It takes seconds, which every command would wait."""
    program = f"import sys, sketchrnn; sketchrnn.load({str(saved)!r}); print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
