"""The sampler's ways through a block of drawings, one against the other."""

import numpy as np
import pytest
import torch
from conftest import small_model

import sketchrnn
from sketchrnn.model import sampler

POINTS = np.array([[0.5, 0.1, 1, 0, 0], [0.1, -0.3, 0, 1, 0]], np.float32)


@torch.inference_mode()
def drawings(way, model, n, given, temperature, device="cpu"):
    rng = np.random.default_rng(1)
    z = rng.standard_normal((n, 6)).astype(np.float32) if model.config.conditional else None
    uniform = torch.from_numpy(rng.random((n, 20, 2)).astype(np.float32)).to(device)
    normal = torch.from_numpy(rng.standard_normal((n, 20, 2)).astype(np.float32)).to(device)
    state, of_z = sampler._starts(model, z, n)
    token = torch.tensor(model.data.start_token, device=device)
    points = torch.from_numpy(POINTS[:given]).to(device)
    rows, lengths = way(model, state, of_z, token, points, uniform, normal, temperature)
    return [row[:end].cpu().numpy() for row, end in zip(rows, lengths.tolist(), strict=True)]


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("given", [0, 2])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_blocks_are_the_loop(cell, conditional, given, temperature, monkeypatch):
    """Blocks that are not full, steps that are no whole number of looks, drawings that end and some that do not."""
    monkeypatch.setattr(sampler, "GPU_SLOTS", 5)
    monkeypatch.setattr(sampler, "GPU_STEPS", 8)
    model = small_model(cell, conditional=conditional)
    one = drawings(sampler._blocks, model, 12, given, temperature)
    other = drawings(sampler._loop, model, 12, given, temperature)
    assert [len(a) for a in one] == [len(b) for b in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that PyTorch can use")
def test_a_gpu_draws_what_the_cpu_draws(cell):
    """As long as rounding does not tip a choice; and to the last bit the same whatever is drawn beside it."""
    model = small_model(cell)
    here = sketchrnn.sample(model, 300, temperature=0.5, seed=3)
    there = sketchrnn.sample(model.cuda(), 300, temperature=0.5, seed=3)
    alike = [
        a.stroke3.shape == b.stroke3.shape and np.allclose(a.stroke3, b.stroke3, atol=1e-2)
        for a, b in zip(here, there, strict=True)
    ]
    assert np.mean(alike) > 0.98
    again = sketchrnn.sample(model, 7, temperature=0.5, seed=3)
    for a, b in zip(again, there, strict=False):
        np.testing.assert_array_equal(a.stroke3, b.stroke3)
