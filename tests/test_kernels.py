"""The density's kernels against plain torch, number by number: those in C and those for a GPU."""

import importlib.util

import pytest
import torch

from sketchrnn.kernels import compiled
from sketchrnn.model.losses import row_terms

KERNELS = [
    pytest.param(
        "native",
        marks=pytest.mark.skipif(
            compiled.kernels().library is None, reason=compiled.kernels().reason or "there are none"
        ),
    ),
    pytest.param(
        "triton",
        marks=pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed"),
    ),
]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("floor", [0.0, 1e-6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 3e-5)])
def test_kernels_of_the_density_are_plain_torch(kernel, floor, dtype, tolerance, monkeypatch):
    """With outliers, with parameters beyond where they are clamped, and a last block of rows that is not full."""
    device = "cuda" if kernel == "triton" and torch.cuda.is_available() else "cpu"
    n = 37 if kernel == "triton" else 400
    rng = torch.Generator().manual_seed(0)
    y = 2 * torch.randn(n, 3 + 6 * 7, dtype=dtype, generator=rng)
    y[3, 3 + 21 : 3 + 35] = -30  # log sigma
    y[4, 3 + 35 :] = 12  # rho_hat
    targets = torch.zeros(n, 5, dtype=dtype)
    targets[torch.arange(n), 2 + torch.randint(0, 3, (n,), generator=rng)] = 1
    targets[:, :2] = 2 * torch.randn(n, 2, dtype=dtype, generator=rng) * (1 - targets[:, 4:])
    targets[7, 0] = 1e4

    def values(backend):
        monkeypatch.setenv("SKETCHRNN_BACKEND", backend)
        leaf = y.to(device, copy=True).requires_grad_()
        terms = row_terms(leaf, targets.to(device), floor)
        weights = torch.linspace(0.5, 2, n, dtype=dtype, device=device)
        (gradient,) = torch.autograd.grad((terms.offset * weights).sum() + (terms.pen * (3 - weights)).sum(), leaf)
        return terms.offset.detach().cpu(), terms.pen.detach().cpu(), gradient.cpu()

    for ours, theirs in zip(values(kernel), values("plain"), strict=True):
        assert torch.isfinite(theirs).all()
        error = (ours - theirs).abs() / (1 + theirs.abs())
        # row 3 squares numbers of 1e9: only what a step would do with it is compared
        assert error[torch.arange(n) != 3].max() < tolerance
        assert error[3].max() < 1e3 * tolerance
