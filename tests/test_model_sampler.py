"""The sampler on a GPU beside the one on the CPU."""

import numpy as np
import pytest
import torch
from conftest import small_model

import sketchrnn


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
