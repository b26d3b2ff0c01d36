"""What makes sequences fast on an NVIDIA GPU: all steps of a cell, forward and backward by hand, and the density.

A step is one matrix product by torch (cuBLAS) and one Triton kernel (`fused`) for all between the products. The inputs
are multiplied before the loop, and the gradient of each weight matrix is one product over all rows after it. Nothing
here waits for the device, so that a CUDA graph can record it.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sketchrnn.config import Precision
from sketchrnn.kernels import compiled
from sketchrnn.kernels.native import State, Weights

T = TypeVar("T")

MOST_PROGRAMS = 256  # of a backward step with layer norm: each adds up the gradients of gamma and beta over its rows
ROWS_OF_DENSITY = 16  # rows of one program

_product_type: torch.dtype | None = None  # what matrices are turned into for a product; None leaves them


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """How matrix products on a GPU are computed meanwhile, in this process.

    `tf32` rounds their factors to 10 bits, `bfloat16` those of the cells to 7 bits and the others to 10. Sums, weights,
    states and all between the products are float32 with either.
    """
    global _product_type
    before = _product_type, torch.get_float32_matmul_precision()
    _product_type = torch.bfloat16 if precision == "bfloat16" else None
    torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
    try:
        yield
    finally:
        _product_type = before[0]
        torch.set_float32_matmul_precision(before[1])


def runs_on(tensor: Tensor) -> bool:
    """True where the Triton kernels can take this tensor: on a GPU, or in Triton's interpreter where that is asked for.

    Raises:
        ValueError: SKETCHRNN_BACKEND names a backend that does not exist.
    """
    known = tensor.dtype in (torch.float32, torch.float64)
    here = tensor.device.type == "cpu" or (tensor.is_cuda and tensor.get_device() == torch.cuda.current_device())
    return here and known and not why_not(tensor.device.type)


def why_not(device_type: str) -> str:
    """Why the Triton kernels do not run on the CPU or on a GPU; empty where they do."""
    asked = compiled.asked_backend()
    if device_type == "cpu":
        if asked != "triton":
            return "Triton is for GPUs"
        if os.environ.get("TRITON_INTERPRET") != "1":
            return "Triton runs on the CPU in its interpreter alone (TRITON_INTERPRET=1)"
    elif asked in ("plain", "native"):
        return f"SKETCHRNN_BACKEND is {asked}"
    if not _triton_is_there():
        return "Triton is not installed"
    if device_type == "cuda" and compiled.compiler() is None:
        return "Triton needs a C compiler (cc, gcc or clang; CC names another)"
    return ""


@cache
def _triton_is_there() -> bool:
    return importlib.util.find_spec("triton") is not None


def describe(device: torch.device) -> str:
    """What computes the sequences of a model on `device`, and why: one line for the log."""
    if device.type == "cpu":
        return compiled.describe() if why_not("cpu") else "Triton kernels, in its interpreter"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    reason = why_not(device.type)
    return f"plain torch on {name}: {reason}" if reason else f"Triton kernels on {name}"


def recorded(
    work: Callable[[], None],
    generator: torch.Generator | None = None,
    beside: torch.cuda.CUDAGraph | None = None,
) -> torch.cuda.CUDAGraph:
    """A CUDA graph of `work`, which is done once before: all is compiled then, and allocated that outlives it.

    Args:
        work: it reads and writes tensors whose place is fixed, and does not wait for the device.
        generator: of its random numbers, if it is not torch's own; it may be seeded anew before each replay.
        beside: a graph to share memory with: what one left there, the other overwrites.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    if generator is not None:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph, pool=None if beside is None else beside.pool()):
        work()
    return graph


class _Step(NamedTuple):
    """Where a step's rows stand."""

    t: int
    row: int
    """The first of them."""
    n: int
    """How many there are."""
    before: int
    """The first row of the step before; below 0 at the first step."""
    n_next: int
    """How many the next step has."""


def _steps(sizes: Sequence[int]) -> list[_Step]:
    steps, row = [], 0
    for t, n in enumerate(sizes):
        following = sizes[t + 1] if t + 1 < len(sizes) else 0
        steps.append(_Step(t, row, n, row - sizes[t - 1] if t else -1, following))
        row += n
    return steps


def run(
    weights: Weights,
    sizes: Sequence[int],
    running: Tensor | None,
    x: Tensor,
    start: Tensor | None,
    state: State,
    mask: Tensor | None = None,
    keep: float = 1.0,
) -> tuple[Tensor, State]:
    """All steps of a cell over packed rows: what `native.run` gives for one pass.

    Args:
        weights, x, start, state, mask: of the pass; see `native.Pass`.
        sizes, keep: as there.
        running: (T,) int32, how many of a step's rows go on: those after them keep their state, and hold it once
            more as their output. None for all.
    """
    learns = torch.is_grad_enabled()
    outputs, *last = _Run.apply(sizes, running, x, start, mask, keep, len(state), learns, *state, *weights.tensors())
    return outputs, tuple(last)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sizes: Sequence[int],
        running: Tensor | None,
        x: Tensor,
        start: Tensor | None,
        mask: Tensor | None,
        keep: float,
        parts: int,
        learns: bool,
        *rest: Any,
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        w, state = Weights(*rest[parts:]), tuple(part.contiguous() for part in rest[:parts])
        start = None if start is None else start.contiguous()
        dtype = _product_type or x.dtype
        kept, last = _forward(w, sizes, running, x, start, state, mask, keep, dtype, learns)
        ctx.save_for_backward(running, x, start, mask, kept["h"], *rest)
        ctx.kept = {name: tensor for name, tensor in kept.items() if name != "h"} if learns else None
        ctx.settings = sizes, keep, parts, dtype
        return kept["h"], *last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_h: Tensor | None, *d_last: Tensor | None) -> tuple[Any, ...]:
        running, x, start, mask, h, *rest = ctx.saved_tensors
        if ctx.kept is None:
            raise RuntimeError("a sequence can be gone back through once: what it kept is used up")
        kept, ctx.kept = ctx.kept | dict(h=h), None
        sizes, keep, parts, dtype = ctx.settings
        w, state = Weights(*rest[parts:]), tuple(part.contiguous() for part in rest[:parts])
        d_state, d_start, grads = _backward(w, sizes, running, x, start, state, mask, keep, dtype, kept, d_h, d_last)
        of_weights = (None if getattr(w, field.name) is None else grads[field.name] for field in fields(w))
        return None, None, None, d_start, None, None, None, None, *d_state, *of_weights


def _forward(
    w: Weights,
    sizes: Sequence[int],
    running: Tensor | None,
    x: Tensor,
    start: Tensor | None,
    state: State,
    mask: Tensor | None,
    keep: float,
    dtype: torch.dtype,
    learns: bool,
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """All that the way back needs, `h` the outputs among it, and the state after each drawing's last step.

    Where nothing `learns`, what only the way back reads is kept for one step at a time.
    """
    from sketchrnn.kernels.fused import step_forward

    H, S, P, B = len(w.h), w.hyper_size, len(x), len(state[0])
    K = P if learns else B
    first = _named(state)
    # W_x x of all steps in one product: its factors have five columns, and keep their number type
    kept = dict(xs=x @ _beside(w.x, w.hyper_x), h=x.new_empty(P, H), c=x.new_empty(P, H), gates=x.new_empty(K, 4 * H))
    kept["before"] = x.new_empty(P, H, dtype=dtype)  # h of the step before, as the products read it
    kept["before"][: sizes[0]] = first["h"][: sizes[0]]
    if w.gamma is not None:
        kept["deviation"] = x.new_empty(K, 4)
    W_h = _beside(w.h, w.hyper_h).to(dtype)
    hh = kept["hh"] = x.new_empty(K if S else B, 4 * H + 4 * S)
    if w.scale is not None:
        assert w.hyper_hyper is not None
        assert w.z is not None
        assert w.b_z is not None
        E = w.scale.shape[1]
        kept |= dict(
            small_h=x.new_empty(P, S), small_c=x.new_empty(P, S), small_gates=x.new_empty(K, 4 * S),
            small_deviation=x.new_empty(K, 4), small_before=x.new_empty(P, S, dtype=dtype),
            small_now=x.new_empty(K, S, dtype=dtype), z=x.new_empty(K, 12 * E, dtype=dtype),
            scales=x.new_empty(K, 12, H),
        )  # fmt: skip
        kept["small_before"][: sizes[0]] = first["small_h"][: sizes[0]]
        small, W_z, b_z, scale = (part.to(dtype) for part in (w.hyper_hyper, w.z, w.b_z, w.scale))
        of_small = x.new_empty(B, 4 * S)
    last = {name: part.clone() for name, part in first.items()}
    for step in _steps(sizes):
        t, row, n, before, n_next = step
        own = {name: part[row : row + n] if len(part) == P else part[:n] for name, part in kept.items()}
        hh_now = own["hh"]
        _multiply(own["before"], W_h, hh_now)
        following = {
            name: kept[name][row + n : row + n + n_next] if n_next else None
            for name in ("before", "small_before")
            if name in kept
        }
        if S:
            _multiply(own["small_before"], small, of_small[:n])
            step_forward[(n,)](
                hh_now[:, 4 * H :], hh.stride(0), of_small, own["xs"][:, 4 * H :], kept["xs"].stride(0),
                None if start is None else start[:, 4 * H :], 0 if start is None else start.stride(0), None, None,
                w.hyper_gamma, w.hyper_beta, w.hyper_c_gamma, w.hyper_c_beta, None,
                _before(kept, "small_h", first, before, n), _before(kept, "small_c", first, before, n),
                own["small_gates"], own["small_deviation"], own["small_c"], own["small_h"],
                own["small_now"], following["small_before"], n_next, running, t, SCALE=1.0, **_sizes(S),
            )  # fmt: skip
            torch.addmm(b_z, own["small_now"], W_z, out=own["z"])
            _multiply(_parts(own["z"], 12), scale, own["scales"].transpose(0, 1))
        step_forward[(n,)](
            hh_now, hh.stride(0), None, own["xs"], kept["xs"].stride(0), start,
            0 if start is None else start.stride(0), own.get("scales"), w.bias if S else None,
            w.gamma, w.beta, w.c_gamma, w.c_beta, None if mask is None else mask[row : row + n],
            _before(kept, "h", first, before, n), _before(kept, "c", first, before, n),
            own["gates"], own.get("deviation"), own["c"], own["h"], None, following["before"], n_next, running, t,
            SCALE=1 / keep, **_sizes(H),
        )  # fmt: skip
        if n_next < n:  # these end here
            for name, part in last.items():
                part[n_next:n] = own[name][n_next:]
    if S == 0:
        del kept["xs"], kept["hh"]
    return kept, list(last.values())


def _backward(
    w: Weights,
    sizes: Sequence[int],
    running: Tensor | None,
    x: Tensor,
    start: Tensor | None,
    state: State,
    mask: Tensor | None,
    keep: float,
    dtype: torch.dtype,
    kept: dict[str, Tensor],
    d_out: Tensor | None,
    d_last: Sequence[Tensor | None],
) -> tuple[list[Tensor], Tensor | None, dict[str, Tensor]]:
    """The gradients of the state before the first step, of `start`, and of the weights by name."""
    from sketchrnn.kernels.fused import step_backward

    H, S, P, B = len(w.h), w.hyper_size, len(x), len(state[0])
    first = _named(state)
    d_out = None if d_out is None else d_out.contiguous()
    # what waits for a drawing's last step, and what one step gives to the one before it
    waiting = _named(
        [
            torch.zeros_like(part) if d is None else d.clone(memory_format=torch.contiguous_format)
            for part, d in zip(state, d_last, strict=True)
        ]
    )
    dh = x.new_zeros(B, H)
    d = x.new_empty(P, 4 * H + 4 * S, dtype=dtype)  # gradient of W_h h, of the small LSTM's after it
    d_start = None if start is None else torch.zeros_like(start)
    stride = 0 if start is None else start.stride(0)
    programs = min(B, MOST_PROGRAMS) if w.gamma is not None else B
    sums = None if w.gamma is None else x.new_zeros(programs, 10 * H)
    W_back = _beside(w.h, w.hyper_h).to(dtype).t()
    if w.scale is not None:
        assert w.hyper_hyper is not None
        assert w.z is not None
        E = w.scale.shape[1]
        more = dict(d_x=x.new_empty(P, 4 * H, dtype=dtype), d_scales=x.new_empty(P, 12, H, dtype=dtype))
        more["d_z"] = x.new_empty(P, 12 * E, dtype=dtype)
        kept = kept | more
        small_back, z_back = w.hyper_hyper.to(dtype).t(), w.z.to(dtype).t()
        scale_back = w.scale.to(dtype).transpose(1, 2)
        dh_small, dh_of_z = x.new_zeros(B, S), x.new_empty(B, S)
        small_sums = x.new_zeros(programs, 10 * S)
    for step in reversed(_steps(sizes)):
        t, row, n, before, _ = step
        own = {name: part[row : row + n] for name, part in kept.items()}
        d_now = d[row : row + n]
        grid = (min(n, programs),)
        step_backward[grid](
            None if d_out is None else d_out[row : row + n], dh, None, waiting["h"], waiting["c"],
            own["gates"], own.get("deviation"), own["c"], _before(kept, "c", first, before, n),
            None if mask is None else mask[row : row + n],
            own.get("hh"), 4 * H + 4 * S, own.get("xs"), 4 * H + 4 * S, start, stride, own.get("scales"),
            w.gamma, w.beta, w.c_gamma, w.c_beta,
            d_now, d.stride(0), own.get("d_x"), own.get("d_scales"), d_start, sums, running, t, n,
            SCALE=1 / keep, **_sizes(H),
        )  # fmt: skip
        if S:
            _multiply(own["d_scales"].transpose(0, 1), scale_back, _parts(own["d_z"], 12))
            _multiply(own["d_z"], z_back, dh_of_z[:n])
            step_backward[grid](
                None, dh_small, dh_of_z, waiting["small_h"], waiting["small_c"],
                own["small_gates"], own["small_deviation"], own["small_c"],
                _before(kept, "small_c", first, before, n), None,
                None, 0, None, 0, start, stride, None,
                w.hyper_gamma, w.hyper_beta, w.hyper_c_gamma, w.hyper_c_beta,
                d_now[:, 4 * H :], d.stride(0), None, None, None if d_start is None else d_start[:, 4 * H :],
                small_sums, running, t, n, SCALE=1.0, **_sizes(S),
            )  # fmt: skip
            _multiply(d_now[:, 4 * H :], small_back, dh_small[:n])
        _multiply(d_now, W_back, dh[:n])
    waiting["h"] += dh
    if S:
        waiting["small_h"] += dh_small
    d_state = list(waiting.values())

    grads: dict[str, Tensor] = {}
    x_now = x.to(dtype).t()
    of_h = _product(kept["before"].t(), d)
    if sums is not None:
        grads |= _norm_gradients("", sums, H)
    if not S:
        return d_state, d_start, grads | dict(x=_product(x_now, d), h=of_h)
    grads |= _norm_gradients("hyper_", small_sums, S)
    d_shift = kept["d_scales"][:, 8:]
    grads |= dict(
        x=_product(x_now, kept["d_x"]),
        hyper_x=_product(x_now, d[:, 4 * H :]),
        h=of_h[:, : 4 * H],
        hyper_h=of_h[:, 4 * H :],
        hyper_hyper=_product(kept["small_before"].t(), d[:, 4 * H :]),
        bias=d_shift.sum(dim=0, dtype=x.dtype).flatten(),
        z=_product(kept["small_now"].t(), kept["d_z"]),
        b_z=kept["d_z"].sum(dim=0, dtype=x.dtype),
        scale=_product(_parts(kept["z"], 12).transpose(1, 2), kept["d_scales"].transpose(0, 1)),
    )
    return d_state, d_start, grads


def _norm_gradients(prefix: str, sums: Tensor, size: int) -> dict[str, Tensor]:
    names = ("gamma", "beta", "c_gamma", "c_beta")
    parts = sums.sum(dim=0).split([4 * size, 4 * size, size, size])
    return {prefix + name: part for name, part in zip(names, parts, strict=True)}


def _named(state: Sequence[T]) -> dict[str, T]:
    """The members of a state, or of its gradient, by name; `small_` are those of the small LSTM in a HyperLSTM."""
    names = ("h", "c") if len(state) == 2 else ("h", "small_h", "c", "small_c")
    return dict(zip(names, state, strict=True))


def _before(kept: dict[str, Tensor], name: str, first: dict[str, Tensor], row: int, n: int) -> Tensor:
    """The rows (n, units) that a step starts from: of the step before, or what was before the first."""
    return first[name] if row < 0 else kept[name][row : row + n]


def _beside(a: Tensor, b: Tensor | None) -> Tensor:
    return a if b is None else torch.cat([a, b], dim=1)


def _parts(rows: Tensor, count: int) -> Tensor:
    """(n, count k) as (count, n, k)."""
    return rows.view(len(rows), count, -1).transpose(0, 1)


def _sizes(size: int) -> dict[str, int]:
    """What a kernel must know to go through `size` units: numbers of a block are a power of two."""
    block = 1 << (size - 1).bit_length()
    return dict(SIZE=size, BLOCK=block, num_warps=min(16, max(1, block // 128)))


def _multiply(a: Tensor, b: Tensor, out: Tensor) -> None:
    """out = a b, of matrices or of stacks of them; sums are in the numbers of `out` whatever those of a and b are."""
    multiply = torch.mm if a.ndim == 2 else torch.bmm
    if a.dtype == out.dtype:
        multiply(a, b, out=out)
    elif a.is_cuda and _sums_are_wider():
        multiply(a, b, out_dtype=out.dtype, out=out)
    else:
        out.copy_(multiply(a, b))


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a b, or (k, ...) of a stack, as float32; float64 where they are."""
    wide = torch.float32 if a.dtype == torch.bfloat16 else a.dtype
    out = torch.empty(*a.shape[:-1], b.shape[-1], dtype=wide, device=a.device)
    _multiply(a, b, out)
    return out


@cache
def _sums_are_wider() -> bool:
    """Products of bfloat16 matrices that end in float32 came with torch 2.8; before it they end rounded."""
    return "dtype_out" in torch.ops.aten.mm.overloads() and "dtype_out" in torch.ops.aten.bmm.overloads()


def row_terms(y: Tensor, targets: Tensor, density_floor: float) -> tuple[Tensor, Tensor]:
    """As `native.row_terms`, of outputs y (P, 3 + 6 M)."""
    offset, pen = _RowTerms.apply(y, targets, density_floor)
    return offset, pen


class _RowTerms(torch.autograd.Function):
    """The kernel finds both figures of a row, and on the way their slopes (P, 3 + 6 M) by the outputs: of the first
    three the pen's, of the others the offset's."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, targets: Tensor, density_floor: float) -> tuple[Tensor, Tensor]:
        from sketchrnn.kernels import fused

        P, N = y.shape
        M = (N - 3) // 6
        log_floor = math.log(density_floor) if density_floor > 0 else None
        offset, pen, ctx.slope = y.new_empty(P), y.new_empty(P), y.new_empty(P, N)
        if P:
            block = 1 << (max(M, 3) - 1).bit_length()
            fused.row_terms[(-(-P // ROWS_OF_DENSITY),)](
                y.contiguous(), targets.contiguous(), offset, pen, ctx.slope, P, log_floor, M, ROWS_OF_DENSITY, block,
            )  # fmt: skip
        return offset, pen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_offset: Tensor, d_pen: Tensor) -> tuple[Tensor, None, None]:
        if ctx.slope is None:
            raise RuntimeError("the terms of a batch can be gone back through once: what they kept is used up")
        slope, ctx.slope = ctx.slope, None
        slope[:, :3] *= d_pen.unsqueeze(1)
        slope[:, 3:] *= d_offset.unsqueeze(1)
        return slope, None, None
