"""The density's kernels against plain torch, number by number: those in C and those for a GPU."""

import importlib.util

import pytest
import torch

from sketchrnn.kernels import compiled
from sketchrnn.model.losses import row_terms

NATIVE = pytest.mark.skipif(compiled.kernels().library is None, reason=compiled.kernels().reason or "there are none")
KERNELS = [
    pytest.param("native", marks=NATIVE),
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
    targets = some_targets(n, rng, dtype)
    targets[7] = torch.tensor([1e4, 0, 1, 0, 0])

    def values(backend):
        monkeypatch.setenv("SKETCHRNN_BACKEND", backend)
        leaf = y.to(device, copy=True).requires_grad_()
        identity = torch.eye(y.shape[1], dtype=dtype, device=device)
        terms = row_terms(leaf, identity, torch.zeros_like(identity[0]), targets.to(device), floor)
        (gradient,) = torch.autograd.grad(weighted(terms), leaf)
        return terms.offset.detach().cpu(), terms.pen.detach().cpu(), gradient.cpu()

    for ours, theirs in zip(values(kernel), values("plain"), strict=True):
        assert torch.isfinite(theirs).all()
        error = (ours - theirs).abs() / (1 + theirs.abs())
        # row 3 squares numbers of 1e9: only what a step would do with it is compared
        assert error[torch.arange(n) != 3].max() < tolerance
        assert error[3].max() < 1e3 * tolerance


PADDING = {"none": (), "all": range(300), "most": range(12, 260), "every other": range(0, 300, 2), "the last": [299]}


@NATIVE
@pytest.mark.parametrize("padding", PADDING.values(), ids=PADDING)
@pytest.mark.parametrize(("H", "M"), [(70, 7), (32, 5), (5, 1)])
@pytest.mark.parametrize("whole", [True, False])
def test_output_layer_and_density_together_are_plain_torch(padding, H, M, whole, monkeypatch):
    """Where nothing but padding comes the kernels leave most of the outputs out: no gradient may notice."""
    parts, targets = some_outputs(300, H, M, padding)
    if not whole:  # with gaps between the rows
        *parts, targets = (torch.stack([part, part], dim=-1)[..., 0] for part in (*parts, targets))

    def values(backend):
        monkeypatch.setenv("SKETCHRNN_BACKEND", backend)
        leaves = [part.detach().requires_grad_() for part in parts]
        terms = row_terms(*leaves, targets)
        return [terms.offset, terms.pen, *torch.autograd.grad(weighted(terms), leaves)]

    for own, plain in zip(values("native"), values("plain"), strict=True):
        torch.testing.assert_close(own, plain, rtol=1e-11, atol=1e-11)


@NATIVE
@pytest.mark.parametrize("padding", PADDING.values(), ids=PADDING)
def test_a_row_is_the_same_beside_any_others_and_on_any_threads(padding, monkeypatch):
    """To the last bit; the gradients of the weights on any threads."""
    monkeypatch.setattr("sketchrnn.kernels.native.WORK_A_THREAD", 1)  # so few rows would have one
    (h, W, b), targets = some_outputs(300, 70, 7, padding)
    weights = torch.linspace(0.5, 2, 300, dtype=torch.float64)

    def values(rows, threads):
        leaves = [part.clone().requires_grad_() for part in (h[rows], W, b)]
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            terms = row_terms(*leaves, targets[rows])
            total = (terms.offset * weights[rows]).sum() + (terms.pen * (3 - weights[rows])).sum()
            return terms.offset.detach(), terms.pen.detach(), *torch.autograd.grad(total, leaves)
        finally:
            torch.set_num_threads(before)

    everywhere = torch.arange(300)
    alone = values(everywhere, 1)
    for threads in (2, 5):
        assert all(map(torch.equal, values(everywhere, threads), alone))
    for some in (everywhere[:1], everywhere[5:30], everywhere.flip(0), everywhere[::7]):
        assert all(map(torch.equal, values(some, 2)[:3], (part[some] for part in alone[:3])))


@NATIVE
def test_terms_of_no_rows_and_a_second_way_back():
    (h, W, b), targets = some_outputs(4, 6, 2, ())
    W.requires_grad_()
    nothing = row_terms(h[:0], W, b, targets[:0])
    assert nothing.offset.shape == nothing.pen.shape == (0,)
    assert not torch.autograd.grad(nothing.pen.sum(), W)[0].any()
    terms = row_terms(h, W, b, targets)
    terms.pen.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        terms.pen.sum().backward()


def some_outputs(n, H, M, padding):
    """h (n, H), W, b and targets in float64, the rows of `padding` ends, all others points."""
    rng = torch.Generator().manual_seed(0)
    h, W, b = (
        torch.randn(*shape, dtype=torch.float64, generator=rng) for shape in ((n, H), (H, 3 + 6 * M), (3 + 6 * M,))
    )
    targets = some_targets(n, rng, torch.float64)
    targets[:, 4] = 0
    targets[:, 2] = 1 - targets[:, 3]
    targets[list(padding)] = torch.tensor([0, 0, 0, 0, 1.0], dtype=torch.float64)
    return (h, W / 10, b), targets


def some_targets(n, rng, dtype):
    """Stroke-5 rows, a third of them ends."""
    targets = torch.zeros(n, 5, dtype=dtype)
    targets[torch.arange(n), 2 + torch.randint(0, 3, (n,), generator=rng)] = 1
    targets[:, :2] = 2 * torch.randn(n, 2, dtype=dtype, generator=rng) * (1 - targets[:, 4:])
    return targets


def weighted(terms):
    """A number to which every row gives a share of its own."""
    weights = torch.linspace(0.5, 2, len(terms.pen), dtype=terms.pen.dtype, device=terms.pen.device)
    return (terms.offset * weights).sum() + (terms.pen * (3 - weights)).sum()
