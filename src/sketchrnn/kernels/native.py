"""The C kernels as torch functions: products, all steps of a cell, dropout, the density of a mixture, the sampler.

`compiled` makes and loads them. Where it cannot, torch does everything itself, with the same result.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sketchrnn.kernels.compiled import address, call, fill, kernels, struct

WORK_A_THREAD = 500_000  # multiply-adds of a step that make one more thread worth its while
MOST_SPARE = 3  # rooms of a training step: two encoders and a decoder
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h

# The structs of native.c.
_Cell = struct(
    "Cell", "kind:n", "inputs:n", "size:n", "x_h", "h_back", "gamma", "beta", "c_gamma", "c_beta",
    "hyper_size:n", "embedding:n", "bias", "h", "hyper_x_h", "hyper_back",
    "hyper_gamma", "hyper_beta", "hyper_c_gamma", "hyper_c_beta", "z", "z_back", "b_z", "x", "scale", "scale_back",
    "x_stride:n", "scale_stride:n", "scale_back_stride:n",
)  # fmt: skip
_Trace = struct(
    "Trace", "h", "c", "gates", "deviation", "hyper_h", "hyper_c", "hyper_gates",
    "hyper_deviation", "z", "hh",
)  # fmt: skip
_Pass = struct(
    "Pass", "steps:n", "sizes", "learns:n", "x", "start", "start_apart:n", "mask", "scale:x", "h0", "c0", "hyper_h0",
    "hyper_c0", "h_last", "c_last", "hyper_h_last", "hyper_c_last", "d_h", "d_start", "sums", "d_x", "d_scale",
    "d_hyper", "scratch",
)  # fmt: skip
_Rows = struct("Rows", "rows", "first", "from", "width:n")
_Path = struct(
    "Path", "temperature:x", "variance:x", "given:n", "longest:n", "length:n", "ended:n", "points", "uniform", "normal",
    "rows",
)  # fmt: skip
_Sampler = struct(
    "Sampler", "n:n", "mixtures:n", "y", "b_y", "paths", "start", "who", "token", "h", "c", "hyper_h", "hyper_c", "room"
)


@dataclass(frozen=True)
class Weights:
    """The weights of a cell as the kernels read them; those after `c_beta` are of the HyperLSTM alone.

    What multiplies z, and the bias of a plain LSTM, are not here: they come as `start`, a row for each drawing or one.
    """

    x: Tensor
    """(inputs, 4 size), gates i, j, f, o."""
    h: Tensor
    """(size, 4 size)."""
    gamma: Tensor | None = None
    """Layer norm: (4 size), as beta; c_gamma and c_beta (size)."""
    beta: Tensor | None = None
    c_gamma: Tensor | None = None
    c_beta: Tensor | None = None
    bias: Tensor | None = None
    """(4 size), added before layer norm."""
    hyper_x: Tensor | None = None
    """(inputs, 4 hyper_size), of the small LSTM as all that begin so."""
    hyper_h: Tensor | None = None
    """(size, 4 hyper_size)."""
    hyper_hyper: Tensor | None = None
    """(hyper_size, 4 hyper_size)."""
    hyper_gamma: Tensor | None = None
    hyper_beta: Tensor | None = None
    hyper_c_gamma: Tensor | None = None
    hyper_c_beta: Tensor | None = None
    z: Tensor | None = None
    """(hyper_size, 12 embedding)."""
    b_z: Tensor | None = None
    """(12 embedding)."""
    scale: Tensor | None = None
    """(12, embedding, size): of W_x x for the four gates, of W_h h, and what is added."""

    @property
    def kind(self) -> int:
        """0 for an LSTM, 1 with layer norm, 2 for a HyperLSTM."""
        return 2 if self.scale is not None else 1 if self.gamma is not None else 0

    @property
    def hyper_size(self) -> int:
        """Units of the small LSTM; 0 without one."""
        return 0 if self.hyper_hyper is None else len(self.hyper_hyper)

    def tensors(self) -> tuple[Tensor | None, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


def _packed(*matrices: Tensor) -> Tensor:
    """Panels of the matrices (K, N), one above the other."""
    width, W = kernels(matrices[0].dtype).panel_width, matrices[0]
    K, N = sum(map(len, matrices)), W.shape[1]
    panels, above = W.new_empty(-(-N // width) * K * width), 0
    for matrix in matrices:
        threads = _threads_for(8 * matrix.numel())  # reading and writing a number takes as long as some products
        call("pack", W, threads, len(matrix), N, matrix, matrix.stride(0), matrix.stride(1), above, K, panels)
        above += len(matrix)
    return panels


def _cell(w: Weights, back: bool = False) -> ctypes.Structure:
    """The struct Cell, with the matrices of the way forth or with the transposed ones that the way back needs."""
    values: dict[str, Any] = dict(kind=w.kind, inputs=len(w.x), size=len(w.h))
    values |= dict(gamma=w.gamma, beta=w.beta, c_gamma=w.c_gamma, c_beta=w.c_beta)
    if w.scale is None:
        values |= dict(h_back=_packed(w.h.t())) if back else dict(x_h=_packed(w.x, w.h))
        return fill(_Cell, w.h, values)
    assert w.hyper_x is not None
    assert w.hyper_h is not None
    assert w.hyper_hyper is not None
    assert w.z is not None
    x, scale = (torch.stack([_packed(part) for part in parts]) for parts in (w.x.chunk(4, dim=1), w.scale))
    values |= dict(
        hyper_size=w.hyper_size, embedding=w.scale.shape[1], bias=w.bias, hyper_gamma=w.hyper_gamma,
        hyper_beta=w.hyper_beta, hyper_c_gamma=w.hyper_c_gamma, hyper_c_beta=w.hyper_c_beta, b_z=w.b_z,
        x=x, x_stride=x.shape[1], scale=scale, scale_stride=scale.shape[1],
    )  # fmt: skip
    if back:
        scale_back = torch.stack([_packed(matrix.t()) for matrix in w.scale])
        values |= dict(h_back=_packed(w.h.t(), w.hyper_h.t()), hyper_back=_packed(w.hyper_hyper.t()))
        values |= dict(z_back=_packed(w.z.t()), scale_back=scale_back, scale_back_stride=scale_back.shape[1])
    else:
        values |= dict(h=_packed(w.h), hyper_x_h=_packed(w.hyper_x, w.hyper_h, w.hyper_hyper))
        values |= dict(z=_packed(w.z))
    return fill(_Cell, w.h, values)


def _threads(w: Weights, rows: int, passes: int = 1) -> int:
    """Of a step with so many rows, in each of some passes."""
    return _threads_for(passes * rows * (w.h.numel() + (0 if w.hyper_h is None else 2 * w.hyper_h.numel())))


def _threads_for(work: int) -> int:
    """For so many multiply-adds: little is done before a second thread has noticed that there is work."""
    return max(1, min(torch.get_num_threads(), work // WORK_A_THREAD))


State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Pass:
    """A cell, and the packed rows that it goes over."""

    weights: Weights
    start: Tensor | None
    """(B, 4 size), for the HyperLSTM (B, 4 size + 4 hyper_size): added to the products of x; one row for a row that all
    drawings share, None for zeros."""
    x: Tensor
    """(P, inputs) the rows; no gradient goes to them."""
    state: State
    """Members (B, units): h, c; for the HyperLSTM h, h_hyper, c, c_hyper."""
    mask: Tensor | None = None
    """(P, size) uint8, 1 where a unit is kept; None for no dropout."""

    @property
    def shares_start(self) -> bool:
        """True where all drawings have the same `start`."""
        return self.start is not None and len(self.start) == 1

    def tensors(self) -> tuple[Tensor | None, ...]:
        return self.start, self.x, self.mask, *self.state, *self.weights.tensors()

    @classmethod
    def of_tensors(cls, tensors: Sequence[Any]) -> Pass:
        start, x, mask, *state = tensors[: -len(fields(Weights))]
        return cls(Weights(*map(_whole, tensors[-len(fields(Weights)) :])), start, x, tuple(state), mask)


def run(passes: Sequence[Pass], sizes: Sequence[int], keep: float = 1.0) -> list[tuple[Tensor, State]]:
    """All steps of some cells, each over its own rows, at once where there are threads for that.

    Args:
        passes: of as many rows, drawings and units each. The way back goes through all of them.
        sizes: (T,) rows of each step, falling; the first is B.
        keep: chance of a 1 in the masks.

    Returns:
        Of each pass the outputs h (P, size), and the state after the last step of each drawing.
    """
    assert all(len(one.x) == sum(sizes) for one in passes)
    assert all(len(part) == len(passes[0].state[0]) >= sizes[0] for one in passes for part in one.state)
    assert all(one.start is None or len(one.start) in (1, len(one.state[0])) for one in passes)
    counts = [len(one.tensors()) for one in passes]
    flat = [tensor for one in passes for tensor in one.tensors()]
    results = _Run.apply(sizes, keep, counts, torch.is_grad_enabled(), *flat)
    members = iter(results[len(passes) :])
    return [(h, tuple(islice(members, len(one.state)))) for h, one in zip(results, passes, strict=False)]


def _trace_widths(w: Weights) -> dict[str, int]:
    """Columns of each member of the struct Trace but h."""
    H, S = len(w.h), w.hyper_size
    widths = dict(c=H, gates=4 * H)
    if w.kind:
        widths["deviation"] = 4
    if w.scale is not None:
        widths |= dict(hyper_h=S, hyper_c=S, hyper_gates=4 * S, hyper_deviation=4)
        widths |= dict(z=w.scale.shape[0] * w.scale.shape[1], hh=4 * H)
    return widths


class _Room:
    """Memory for what a pass keeps; it is kept in turn, for the next pass, when nothing holds the room any more.

    Fresh pages from the system for some hundred megabytes cost a quarter of a training step.
    """

    spare: ClassVar[list[tuple[int, Tensor]]] = []
    """Numbers a row, and the buffer: passes of one cell take turns with the same buffers, however long they are."""
    lock: ClassVar[Lock] = Lock()

    def __init__(self, rows: int, widths: dict[str, int], like: Tensor) -> None:
        self.width = sum(widths.values())
        fitting = self._fitting(rows * self.width, self.width, like.dtype)
        # pages that are never written cost nothing; what they are for is the next, longer pass
        self.buffer = like.new_empty(2 * rows * self.width) if fitting is None else fitting
        cuts = self.buffer[: rows * self.width].split([rows * width for width in widths.values()])
        self.parts = {name: cut.view(rows, -1) for (name, cut) in zip(widths, cuts, strict=True)}
        """(rows, width) of each name; not to be used when the room is gone."""

    @classmethod
    def _fitting(cls, numbers: int, width: int, dtype: torch.dtype) -> Tensor | None:
        """A spare buffer of rows so wide that is large enough; without one, room is made for what comes."""
        with cls.lock:
            own = [i for i, (wide, buffer) in enumerate(cls.spare) if wide == width and buffer.dtype == dtype]
            if own:
                buffer = cls.spare.pop(own[-1])[1]
                if len(buffer) >= numbers:
                    return buffer
            while len(cls.spare) >= MOST_SPARE:
                cls.spare.pop(0)
        return None

    def __del__(self) -> None:
        # no lock: the garbage collector may come here while this very thread holds it; an append is atomic
        if hasattr(self, "buffer"):  # there was memory for it
            self.spare.append((self.width, self.buffer))


def keep_memory() -> None:
    """Lets the process keep what memory it frees until `give_back_memory`, where the C library can be told so (glibc):
    a step needs more anew than rooms."""
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        if not mallopt(_MMAP_THRESHOLD, 1 << 30):
            mallopt(_MMAP_THRESHOLD, 1 << 25)  # the most that older ones take
        mallopt(_TRIM_THRESHOLD, 1 << 30)


def give_back_memory() -> None:
    """Frees what is kept for the next pass, and what `keep_memory` kept. Thresholds of glibc stay fixed afterwards."""
    with _Room.lock:
        _Room.spare.clear()
    mallopt, trim = _of_libc("mallopt"), _of_libc("malloc_trim")
    if mallopt is not None and trim is not None:
        mallopt(_MMAP_THRESHOLD, 1 << 25)  # where glibc's own thresholds come to when they follow what is freed
        mallopt(_TRIM_THRESHOLD, 1 << 26)
        trim(0)


def _of_libc(name: str) -> Any:
    """A function of the C library; None where it has none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, sizes: Sequence[int], keep: float, counts: Sequence[int], learns: bool, *flat: Any
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        passes = _passes(flat, counts)
        threads = _threads(passes[0].weights, len(passes[0].state[0]), len(passes))
        rooms, outputs, lasts, structs = list[_Room](), list[Tensor](), list[Tensor](), list[_Structs]()
        for one in passes:
            w, x, widths = one.weights, one.x, _trace_widths(one.weights)
            if learns:
                rooms.append(_Room(len(x), widths, x))
                trace = rooms[-1].parts
            else:  # one step after the other in the same rows
                trace = {name: x.new_empty(sizes[0], width) for name, width in widths.items()}
            outputs.append(x.new_empty(len(x), len(w.h)))
            # those of no step at all end as they began
            last = [part.detach().clone(memory_format=torch.contiguous_format) for part in one.state]
            lasts += last
            written = _last(last)
            structs.append((_cell(w), _read(one, sizes, keep, learns) | written, trace | dict(h=outputs[-1])))
        _go("forward", threads, structs)
        ctx.save_for_backward(*outputs, *flat)
        ctx.rooms, ctx.settings = rooms, (sizes, keep, counts, threads)
        return *outputs, *lasts

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Any, ...]:
        if ctx.rooms is None:
            raise RuntimeError("a sequence can be gone back through once: what it kept is used up")
        sizes, keep, counts, threads = ctx.settings
        n, saved = len(counts), ctx.saved_tensors
        outputs, passes = saved[:n], _passes(saved[n:], counts)
        # the rooms live to the end of this function, and no longer
        rooms, ctx.rooms = ctx.rooms, None
        of_last, each = iter(d_results[n:]), call("threads_of_a_pass", outputs[0], threads, n)
        structs, gathered = list[_Structs](), []
        for one, h, d_h, room in zip(passes, outputs, d_results[:n], rooms, strict=True):
            w, x, B, H, S = one.weights, one.x, len(one.state[0]), len(one.weights.h), one.weights.hyper_size
            d_state = [
                torch.zeros_like(part) if d is None else d.clone(memory_format=torch.contiguous_format)
                for part, d in zip(one.state, of_last, strict=False)
            ]
            sums = dict(sums=x.new_zeros(each, 14 * H + 10 * S))
            written = _last(d_state) | dict(d_h=_whole(d_h), d_hyper=x.new_empty(B, S))
            if S or (one.start is not None and not one.shares_start):
                written["d_start"] = x.new_zeros(B, 4 * H + 4 * S)
            if w.scale is not None:
                width, (matrices, embedding, _) = kernels(x.dtype).panel_width, w.scale.shape
                panels = x.new_zeros(each, matrices, -(-H // width), embedding, width)
                sums |= dict(d_x=x.new_zeros(each, *w.x.shape), d_scale=panels)
            cell, given = _cell(w, back=True), _read(one, sizes, keep, learns=True) | written | sums
            structs.append((cell, given, room.parts | dict(h=h.detach())))
            gathered.append((written.get("d_start"), d_state, sums))
        costs, before = _go("backward", threads, structs), _rows_before(sizes)
        grads: list[Any] = []
        for one, (_, given, trace), (d_start, d_state, sums) in zip(passes, structs, gathered, strict=True):
            sums = {name: part.sum(dim=0) for name, part in sums.items()}
            of_weights = _weight_gradients(one, given, trace, sums, before, partial(_gradient, threads, costs))
            if one.shares_start:
                d_start = of_weights["start"] if d_start is None else d_start.sum(dim=0, keepdim=True)
            grads += None if one.start is None else d_start, None, None, *d_state
            grads += (of_weights[name] if part is not None else None for name, part in vars(one.weights).items())
        return None, None, None, None, *grads


_Structs = tuple[ctypes.Structure, dict[str, Any], dict[str, Tensor]]
"""A struct Cell, and the members of a Pass and of a Trace."""

_Costs = ctypes.Array[ctypes.c_double]


def _passes(flat: Sequence[Any], counts: Sequence[int]) -> list[Pass]:
    members = iter(flat)
    return [Pass.of_tensors(tuple(islice(members, count))) for count in counts]


def _go(way: str, threads: int, structs: Sequence[_Structs]) -> _Costs:
    """All steps of all passes, `forward` or `backward`. Returns what a row took each thread, in seconds."""
    n, x = len(structs), structs[0][1]["x"]
    each = call("threads_of_a_pass", x, threads, n)
    cells, passes, traces = [], [], []
    for cell, of_pass, of_trace in structs:
        scratch = x.new_empty(each * call("scratch_numbers", x, cell))
        cells.append(cell)
        passes.append(fill(_Pass, x, of_pass | dict(scratch=scratch)))
        traces.append(fill(_Trace, x, of_trace))
    costs = (ctypes.c_double * threads)()
    call(way, x, threads, n, (_Cell * n)(*cells), (_Pass * n)(*passes), (_Trace * n)(*traces), costs)
    return costs


def _read(one: Pass, sizes: Sequence[int], keep: float, learns: bool) -> dict[str, Any]:
    """What both ways read, as the struct Pass has it."""
    names = ("h0", "c0") if len(one.state) == 2 else ("h0", "hyper_h0", "c0", "hyper_c0")
    before = dict(zip(names, one.state, strict=True)) | dict(x=one.x, start=one.start, mask=one.mask)
    tensors = {name: _whole(tensor) for name, tensor in before.items()}
    apart = 0 if one.start is None or one.shares_start else one.start.shape[1]
    numbers = dict(steps=len(sizes), learns=learns, start_apart=apart, scale=1 / keep)
    return tensors | numbers | dict(sizes=torch.tensor(sizes, dtype=torch.int64))


def _last(state: Sequence[Tensor]) -> dict[str, Any]:
    """The state after the last steps, or its gradient, as the struct Pass has it."""
    names = ("h_last", "c_last") if len(state) == 2 else ("h_last", "hyper_h_last", "c_last", "hyper_c_last")
    return dict(zip(names, state, strict=True))


def _rows_before(sizes: Sequence[int]) -> Tensor:
    """Of each packed row (P,) the row that its step started from: of the step before; -1 - drawing for the state before
    the first step."""
    n = np.asarray(sizes)
    back = np.concatenate([[0], n[:-1]])  # rows from a drawing's row to that of the step before
    before = np.arange(n.sum()) - np.repeat(back, n)
    before[: n[0]] = -1 - np.arange(n[0])
    return torch.from_numpy(before)


_Chosen = tuple[Tensor, Tensor | None, Tensor | None]
"""`rows`, `first` and `from` of the struct Rows."""


def _weight_gradients(
    one: Pass,
    given: dict[str, Any],
    trace: dict[str, Tensor],
    sums: dict[str, Tensor],
    before: Tensor,
    gradient: Callable[..., tuple[Tensor, ...]],
) -> dict[str, Tensor]:
    """Of each matrix by one product over all rows, but for those of `sums`, which the kernels added up on the way; and
    of a `start` that all share, as of a weight of 1."""
    w, x, gates = one.weights, given["x"], trace["gates"]
    H, S = len(w.h), w.hyper_size
    names = ("gamma", "beta", "c_gamma", "c_beta")
    parts = sums["sums"].split([4 * H, 4 * H, H, H, 4 * S, 4 * S, S, S, 4 * H])
    grads = dict(zip((*names, *(f"hyper_{name}" for name in names), "bias"), parts, strict=True))
    of_x, h_before = (x, None, None), (trace["h"], given["h0"], before)
    if w.scale is None and one.shares_start:
        d_x, d_h, d_start = gradient(gates, of_x, h_before, (x.new_ones(len(x), 1), None, None))
        return grads | dict(x=d_x, h=d_h, start=d_start)
    if w.scale is None:
        d_x, d_h = gradient(gates, of_x, h_before)
        return grads | dict(x=d_x, h=d_h)
    d_z = trace["z"]
    d_hyper_x, d_hyper_h, d_hyper = gradient(
        trace["hyper_gates"], of_x, h_before, (trace["hyper_h"], given["hyper_h0"], before)
    )
    return grads | dict(
        x=sums["d_x"],
        h=gradient(trace["hh"], h_before)[0],
        hyper_x=d_hyper_x,
        hyper_h=d_hyper_h,
        hyper_hyper=d_hyper,
        z=gradient(d_z, (trace["hyper_h"], None, None))[0],
        b_z=d_z.sum(dim=0),
        scale=sums["d_scale"].transpose(1, 2).flatten(2)[..., :H],
    )


def _gradient(
    threads: int, costs: _Costs | None, d: Tensor, *inputs: _Chosen, which: Tensor | None = None
) -> tuple[Tensor, ...]:
    """The gradients A^T d of the weights of each input A.

    Args:
        threads: as many as may work on it.
        costs: of `_go`; None if not known.
        d: (P, N).
        inputs: A, with as many rows as count.
        which: the rows of d that count; None for all.
    """
    P, N = len(d) if which is None else len(which), d.shape[1]
    assert all(rows.is_contiguous() for rows in (d, *(rows for rows, _, _ in inputs)))
    widths = [rows.shape[1] for rows, _, _ in inputs]
    out = d.new_empty(sum(widths), N) if P else d.new_zeros(sum(widths), N)
    structs = (_Rows * len(inputs))(*(_rows(*one) for one in inputs))
    scratch = d.new_empty(threads * call("gradient_numbers", d, len(out)))
    call("weight_gradient", d, threads, costs, P, len(inputs), structs, N, _rows(d, None, which), out, scratch)
    return out.split(widths)


def _rows(rows: Tensor, first: Tensor | None, chosen: Tensor | None) -> ctypes.Structure:
    """The struct Rows."""
    return fill(_Rows, rows, dict(rows=rows, first=first, width=rows.shape[1]) | {"from": chosen})


def affine(x: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """x W + b (n, N), each row by itself: `x` (n, K) with n > 0, `W` (K, N), `b` (N), zeros if None."""
    assert len(x)
    assert x.shape[1] == len(W)
    assert b is None or b.shape == (W.shape[1],)
    out: Tensor = _Affine.apply(x, W, b)
    return out


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, W)
        return _affine(x, W, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        x, W = ctx.saved_tensors
        for_x, for_W, for_b = ctx.needs_input_grad
        d, x = _whole(d), _whole(x)
        return (
            _affine(d, W.t(), None) if for_x else None,
            _gradient(_threads_for(d.numel() * x.shape[1]), None, d, (x, None, None))[0] if for_W else None,
            d.sum(dim=0) if for_b else None,
        )


def _affine(x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
    (n, K), N = x.shape, W.shape[1]
    threads, out = _threads_for(n * W.numel()), x.new_empty(n, N)
    scratch = x.new_empty(threads * call("affine_numbers", x, K))
    call("affine", x, threads, n, K, N, _whole(x), _packed(W.detach()), _whole(b), out, scratch)
    return out


def dropout(like: Tensor, shape: tuple[int, int], seed: int, limit: int) -> Tensor:
    """uint8 of this shape: 1 where a random int16 is below `limit`, else 0. `seed` is of 63 bits; the random numbers
    are those of `sequence.splitmix64`, for any type of `like`."""
    mask = torch.empty(shape, dtype=torch.uint8, device="cpu")
    call("dropout", like, _threads_for(4 * mask.numel()), mask.numel(), seed, limit, mask)
    return mask


def row_terms(h: Tensor, W: Tensor, b: Tensor, targets: Tensor, density_floor: float) -> tuple[Tensor, Tensor]:
    """Log density of the offset and log probability of the pen state, each (P,), of the rows `targets` (P, 5) that the
    outputs y = h W + b (P, 3 + 6 M) foresee; the offset's is 0 where there is no point. Only the pen's outputs are
    computed where nothing but padding comes."""
    assert targets.shape == (len(h), 5)
    assert targets.is_floating_point()
    assert W.shape == (h.shape[1], len(b))
    assert len(b) > 3
    assert len(b) % 6 == 3
    offset, pen = _RowTerms.apply(h, W, b, targets, density_floor)
    return offset, pen


class _RowTerms(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, h: Tensor, W: Tensor, b: Tensor, targets: Tensor, density_floor: float
    ) -> tuple[Tensor, Tensor]:
        (P, H), N, new = h.shape, len(b), h.new_empty
        offset, pen, slope, sizes = new(P), new(P), new(P, N), (P, H, (N - 3) // 6)
        threads, h, targets = _threads_for(P * W.numel()), _whole(h), _whole(targets)
        scratch = new(threads * call("terms_numbers", h, *sizes[1:]))
        call(
            "row_terms", h, threads, *sizes, h, _packed(W.detach()), _whole(b), targets, float(density_floor),
            offset, pen, slope, scratch,
        )  # fmt: skip
        ctx.save_for_backward(h, W, targets)
        ctx.slope, ctx.settings = slope, (threads, sizes)
        return offset, pen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_offset: Tensor, d_pen: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.slope is None:
            raise RuntimeError("the terms of a batch can be gone back through once: what they kept is used up")
        (h, W, targets), (threads, sizes), slope, ctx.slope = ctx.saved_tensors, ctx.settings, ctx.slope, None
        d_h, W_t = torch.empty_like(h), W.detach().t()
        scratch = h.new_empty(threads * call("terms_numbers", h, *sizes[1:]))
        call(
            "row_terms_back", h, threads, *sizes, _packed(W_t), _packed(W_t[:3]), targets, _whole(d_offset),
            _whole(d_pen), slope, d_h, scratch,
        )  # fmt: skip
        is_end = targets[:, 4] == 1
        points, others = (rows.nonzero().squeeze(1) for rows in (~is_end, is_end))
        # transposed: of the wider side, which the threads share out, each reads its own part alone
        (d_W_t,) = _gradient(threads, None, h, (slope, None, points), which=points)
        pen = slope[:, :3].index_select(0, others)
        d_W_t[:3] += _gradient(threads, None, h, (pen, None, None), which=others)[0]
        return d_h, d_W_t.t().contiguous(), slope.sum(dim=0), None, None


class Sampler:
    """Drawings on their way, each the same whatever is drawn beside it. They may come and go between any two steps.

    It keeps the weights as they are when it is made. One thread at a time may use it.
    """

    def __init__(self, weights: Weights, W_y: Tensor, b_y: Tensor, token: Tensor, places: int) -> None:
        """
        Args:
            weights: of the decoder.
            W_y, b_y: of its output.
            token: (5,) the first input.
            places: drawings that it may hold.
        """
        H, S, self._weights, self._cell = len(weights.h), weights.hyper_size, weights, _cell(weights)
        self._token, self._paths, M = token, (_Path * places)(), (len(b_y) - 3) // 6
        self._free, self._kept = list(range(places))[::-1], dict[int, tuple[Tensor, ...]]()
        new = W_y.new_empty
        names = ("h", "hyper_h", "c", "hyper_c") if S else ("h", "c")
        self._state = {name: new(places, S if name.startswith("hyper") else H) for name in names}
        self._rows = dict(
            start=new(places, 4 * H + 4 * S), token=new(places, 5), who=torch.empty(places, dtype=torch.int64)
        )
        self._numbers = call("sampler_scratch", W_y, self._cell, M)
        self._scratch = new(0)
        values = dict(n=0, mixtures=M, y=_packed(W_y), b_y=_whole(b_y), paths=ctypes.addressof(self._paths))
        room = new(places * call("sampler_numbers", W_y, self._cell, M))
        self._sampler = fill(_Sampler, W_y, values | self._rows | self._state | dict(room=room))

    @property
    def free(self) -> int:
        """Drawings for which there is a place."""
        return len(self._free)

    def enter(
        self,
        state: State,
        start: Tensor | None,
        temperatures: Sequence[tuple[float, float]],
        points: Sequence[Tensor],
        uniform: Sequence[Tensor],
        normal: Sequence[Tensor],
        rows: Sequence[Tensor],
    ) -> list[int]:
        """Takes k drawings in; the last four are a tensor for each, of the same numbers as the weights.

        Args:
            state: members (k, units), before the first step.
            start: (k, width) what z and the bias add to the product of the inputs, or one row for all; None for zeros.
            temperatures: the divisor of the logits, 0 for the most likely, and the factor of sigma^2.
            points: (given, 5) the stroke-5 rows that it begins with.
            uniform, normal: (longest - given, 2) the random numbers of each point.
            rows: (longest, 3), to be filled with the drawing, what it begins with included.

        Returns:
            The place of each.
        """
        first, k, like = self._sampler.n, len(rows), self._sampler.kept["b_y"]
        assert k <= len(self._free)
        places = [self._free.pop() for _ in range(k)]
        for buffer, part in zip(self._state.values(), state, strict=True):
            buffer[first : first + k] = part
        self._rows["start"][places] = 0 if start is None else start
        self._rows["token"][first : first + k] = self._token
        self._rows["who"][first : first + k] = torch.tensor(places)
        for i, place in enumerate(places):
            self._kept[place] = tensors = points[i], uniform[i], normal[i], rows[i]
            assert all(tensor.is_contiguous() for tensor in tensors)
            addresses = (address(tensor, like) for tensor in tensors)
            given, longest = len(points[i]), len(rows[i])
            assert longest > given
            assert len(uniform[i]) == len(normal[i]) == longest - given
            self._paths[place] = _Path(*temperatures[i], given, longest, 0, 0, *addresses)
        self._sampler.n += k
        return places

    def step(self, steps: int) -> None:
        """So many more points for each drawing, or to its end."""
        like, n = self._sampler.kept["b_y"], self._sampler.n
        if n:
            threads = _threads(self._weights, n)
            if len(self._scratch) < threads * self._numbers:
                self._scratch = like.new_empty(threads * self._numbers)
            call("sample", like, threads, steps, self._cell, self._sampler, self._scratch)

    def progress(self, place: int) -> tuple[int, bool]:
        """The points that the drawing has, and whether it has ended."""
        path = self._paths[place]
        return path.length, bool(path.ended)

    def leave(self, place: int) -> None:
        """Gives the place of a drawing to others, ended or not."""
        if not self._paths[place].ended:
            call("drop", self._sampler.kept["b_y"], self._cell, self._sampler, place)
        del self._kept[place]
        self._free.append(place)


def _whole(tensor: Tensor | None) -> Any:
    """Its rows without gaps, as the kernels read them."""
    return None if tensor is None else tensor.detach().contiguous()
