"""The Triton kernels against plain torch, number by number: on a GPU, or without one in Triton's interpreter."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from sketchrnn.kernels import gpu
from sketchrnn.model import sequence
from sketchrnn.model.cells import make_cell

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that PyTorch can use")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # conftest.py turns the interpreter on for the CPU
LENGTHS = {"ragged": [4, 3, 3, 1], "length 1": [1, 1, 1], "some of none": [3, 1, 0, 0]}


def steady(lengths, longest):
    return sequence.steady_layout(torch.tensor(lengths), longest)


def made_cell(name, inputs, size=12):
    """With weights far from their initial values, in float64."""
    torch.manual_seed(1)
    made = make_cell(name, inputs, size, 6, 3).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def outputs_and_gradients(cell, layout, x, of_z, state, mask, keep, weight):
    """Everything `run` computes, and every gradient of a loss that reaches all of it: `weight` (P,) of each output."""
    made = [tensor.to(DEVICE).requires_grad_() for tensor in (*state, *([] if of_z is None else [of_z]))]
    cell, layout = cell.to(DEVICE), layout.to(DEVICE)
    h, last = sequence.run(
        cell,
        x.to(DEVICE),
        None if of_z is None else made[-1],
        layout,
        tuple(made[: len(state)]),
        None if mask is None else mask.to(DEVICE),
        keep,
    )
    slope = torch.linspace(-1, 1, h.shape[1], dtype=h.dtype, device=DEVICE)
    loss = (h * slope * weight.to(DEVICE)[:, None]).sum()
    loss = loss + sum((k + 1) * (part * part).sum() for k, part in enumerate(last))
    leaves = dict(cell.named_parameters()) | {f"made {k}": tensor for k, tensor in enumerate(made)}
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    values = {"h": h * weight.to(DEVICE)[:, None]} | {f"last {k}": part for k, part in enumerate(last)}
    values |= dict(zip(leaves, gradients, strict=True))
    return {name: np.zeros(1) if value is None else value.detach().cpu().numpy() for name, value in values.items()}


def same(ours, theirs, rtol=1e-9, atol=1e-11):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(
            ours[name], np.broadcast_to(value, ours[name].shape), rtol=rtol, atol=atol, err_msg=name
        )


@needs_triton
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("conditional", "keep"), [(True, 0.8), (False, 1.0)])
def test_sequence_is_that_of_plain_torch(cell, lengths, conditional, keep, monkeypatch):
    """In float64, forward and backward."""
    made = made_cell(cell, 5 + (6 if conditional else 0))
    layout = sequence.packed_layout(np.array(LENGTHS[lengths]))
    generator = torch.Generator().manual_seed(7)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    B, P = len(LENGTHS[lengths]), layout.num_rows
    of_z = normal(B, made.input_weights().shape[1]) if conditional else None
    mask = sequence.dropout_mask(made, layout, keep, generator)
    given = made, layout, normal(P, 5), of_z, tuple(normal(B, n) for n in made.state_sizes), mask, keep, normal(P)
    monkeypatch.setenv("SKETCHRNN_BACKEND", "plain")
    plain = outputs_and_gradients(*given)
    monkeypatch.setenv("SKETCHRNN_BACKEND", "triton")
    assert gpu.runs_on(torch.zeros(1, device=DEVICE))
    same(outputs_and_gradients(*given), plain)


@pytest.mark.parametrize("backend", ["plain", pytest.param("triton", marks=needs_triton)])
def test_rows_that_have_ended_change_nothing(cell, backend, monkeypatch):
    """A layout whose shape tells nothing of the lengths gives what a packed one gives, gradients included."""
    lengths = [4, 3, 3, 1]
    made = made_cell(cell, 11)
    packed, fixed = sequence.packed_layout(np.array(lengths)), steady(lengths, 5)
    generator = torch.Generator().manual_seed(7)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    of_z, state = normal(4, made.input_weights().shape[1]), tuple(normal(4, n) for n in made.state_sizes)
    x, weight = normal(5, 4, 5), normal(5, 4)
    mask = torch.randint(0, 2, (5, 4, 12), generator=generator).to(torch.uint8)
    at = packed.step, packed.drawing
    monkeypatch.setenv("SKETCHRNN_BACKEND", "plain")
    theirs = outputs_and_gradients(made, packed, x[at], of_z, state, mask[at], 0.8, weight[at])
    monkeypatch.setenv("SKETCHRNN_BACKEND", backend)
    goes_on = fixed.goes_on()
    weight = weight.flatten() * goes_on
    ours = outputs_and_gradients(made, fixed, x.flatten(0, 1), of_z, state, mask.flatten(0, 1), 0.8, weight)
    ours["h"] = ours["h"].reshape(5, 4, -1)[packed.step.numpy(), packed.drawing.numpy()]
    same(ours, theirs)


@needs_triton
def test_bfloat16_is_for_factors_alone(cell, monkeypatch):
    """Outputs and gradients near those of float32, and of float32: states do not drift with the number of steps."""
    monkeypatch.setenv("SKETCHRNN_BACKEND", "triton")
    made = made_cell(cell, 5).float()
    layout = sequence.packed_layout(np.full(2, 4))
    x, state = torch.randn(8, 5), tuple(torch.randn(2, n) for n in made.state_sizes)
    given = made, layout, x, None, state, None, 1.0, torch.ones(8)
    exact = outputs_and_gradients(*given)
    with gpu.products("bfloat16"):
        rounded = outputs_and_gradients(*given)
    for name, value in exact.items():
        assert rounded[name].dtype == np.float32
        assert np.linalg.norm(rounded[name] - value) <= 0.1 * np.linalg.norm(value), name
    assert not np.array_equal(exact["h"], rounded["h"])
    same(outputs_and_gradients(*given), exact, rtol=0, atol=0)


@needs_triton
@pytest.mark.parametrize("lengths", [[3, 2, 1], [1, 0, 0]])
def test_without_a_way_back_little_is_kept(cell, lengths, monkeypatch):
    """And the outputs are the same, to the last bit."""
    monkeypatch.setenv("SKETCHRNN_BACKEND", "triton")
    made = made_cell(cell, 5).to(DEVICE)
    layout = sequence.packed_layout(np.array(lengths)).to(DEVICE)
    x = torch.randn(layout.num_rows, 5, dtype=torch.float64, device=DEVICE)
    state = tuple(torch.randn(3, n, dtype=torch.float64, device=DEVICE) for n in made.state_sizes)
    h, last = sequence.run(made, x, None, layout, state)
    with torch.no_grad():
        same_h, same_last = sequence.run(made, x, None, layout, state)
    assert torch.equal(h, same_h)
    assert all(torch.equal(a, b) for a, b in zip(last, same_last, strict=True))


@needs_triton
def test_a_way_back_is_gone_once(monkeypatch):
    monkeypatch.setenv("SKETCHRNN_BACKEND", "triton")
    made = made_cell("lstm", 5)
    layout = sequence.packed_layout(np.array([1]))
    state = tuple(torch.zeros(1, 12, dtype=torch.float64, device=DEVICE) for _ in range(2))
    x = torch.zeros(1, 5, dtype=torch.float64, device=DEVICE)
    h, _ = sequence.run(made.to(DEVICE), x, None, layout, state)
    h.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        h.sum().backward()


COMPILES = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from sketchrnn.kernels import fused

NORMS = ("gamma", "beta", "c_gamma", "c_beta", "deviation")
WHOLE = dict.fromkeys(("hh_stride", "xs_stride", "start_stride", "d_stride", "t", "n", "n_next", "P"), "i32")
TYPES = WHOLE | {"mask": "*u8", "running": "*i32"}
BF16 = TYPES | dict.fromkeys(("h_now", "h_next", "d", "d_x", "d_scales"), "*bf16")
SIZES = dict(SCALE=1 / 0.9, SIZE=128, BLOCK=128)


def build(kernel, absent, types, known):
    signature, constants, facts = {}, {}, {}
    for k, name in enumerate(kernel.arg_names):
        if name in known or name in absent:
            signature[name], constants[(k,)] = "constexpr", known.get(name)
            continue
        signature[name] = types.get(name, "*fp32")
        if signature[name].startswith("*"):
            facts[(k,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, facts)
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
    print(kernel.__name__)


hyper = ("hh", "xs", "scales", "d_x", "d_scales")
build(fused.step_forward, ("more", "scales", "bias", *NORMS, "h_now"), TYPES, SIZES)  # lstm
build(fused.step_forward, ("more", "scales", "bias", "h_now", "running"), TYPES, SIZES)  # layer_norm
build(fused.step_forward, ("more", "h_now"), BF16, SIZES)  # hyper
build(fused.step_backward, ("more", "sums", *hyper, *NORMS), TYPES, SIZES)
build(fused.step_backward, ("more", "running", *hyper), TYPES, SIZES)
build(fused.step_backward, ("more",), BF16, SIZES)
build(fused.row_terms, (), TYPES, dict(LOG_FLOOR=-13.8, M=20, ROWS=16, BLOCK=32))
"""


@needs_triton
def test_kernels_compile_for_a_gpu_that_is_not_here(tmp_path):
    """What the interpreter lets pass, Triton's compiler may not: to a program of an H100, which needs none to make."""
    settings = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    settings.pop("TRITON_INTERPRET", None)
    (tmp_path / "compiles.py").write_text(COMPILES)
    done = subprocess.run(
        [sys.executable, tmp_path / "compiles.py"], env=settings, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7


def test_without_triton_a_gpu_has_plain_torch(monkeypatch):
    monkeypatch.setattr(gpu, "_triton_is_there", lambda: False)
    monkeypatch.delenv("SKETCHRNN_BACKEND", raising=False)
    assert gpu.why_not("cuda") == "Triton is not installed"
    assert "for GPUs" in gpu.why_not("cpu")
    monkeypatch.setenv("SKETCHRNN_BACKEND", "plain")
    assert gpu.why_not("cuda") == "SKETCHRNN_BACKEND is plain"
    monkeypatch.setenv("SKETCHRNN_BACKEND", "triton")
    assert not gpu.runs_on(torch.zeros(1))


def test_products_are_as_asked_for_a_while():
    before = torch.get_float32_matmul_precision()
    with gpu.products("tf32"):
        assert torch.get_float32_matmul_precision() == "high"
        with gpu.products("float32"):
            assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_float32_matmul_precision() == before


@needs_gpu
@needs_triton
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_at_the_references_size_on_a_gpu(cell, precision):
    """Against float64 on the CPU, at sizes where a product may be cut in other ways than at small ones."""
    tolerance = {"float32": 1e-4, "tf32": 3e-2, "bfloat16": 1e-1}[precision]
    torch.manual_seed(0)
    exact = make_cell(cell, 5, 512, 256, 32).double()
    lengths = np.sort(np.random.default_rng(0).integers(1, 40, 100))[::-1].copy()
    layout = sequence.packed_layout(lengths)
    x = torch.randn(layout.num_rows, 5, dtype=torch.float64)
    mask = sequence.dropout_mask(exact, layout, 0.9, None)

    def values(cell, x, mask, layout):
        state = tuple(x.new_zeros(100, n) for n in cell.state_sizes)
        h, last = sequence.run(cell, x, None, layout, state, mask, 0.9)
        loss = (h * torch.linspace(-1, 1, 512, dtype=h.dtype, device=h.device)).sum() / len(h) + last[0].sum() / 100
        return [h, *last, *torch.autograd.grad(loss, list(cell.parameters()))]

    theirs = values(exact, x, mask, layout)
    with gpu.products(precision):
        ours = values(exact.float().cuda(), x.float().cuda(), mask.cuda(), layout.to("cuda"))
    for a, b in zip(ours, theirs, strict=True):
        difference, size = (a.detach().cpu().double() - b.detach()).norm(), b.detach().norm()
        assert difference <= tolerance * size
