"""The C kernels of native.c: compiling and loading them, and torch functions around them.

They are compiled once for a machine and kept in the user's cache folder. Where there is no compiler, or compiling
fails, `describe` says why, and torch does everything itself.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SOURCE = Path(__file__).with_name("native.c")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
COMPILE_SECONDS = 120
WORK_A_THREAD = 1_000_000  # multiply-adds of a step that make one more thread worth its while
MOST_SPARE = 4  # rooms of a training step: two encoders, a decoder, and the way back of a HyperLSTM
KINDS = ("lstm", "layer_norm", "hyper")


class Kernels(NamedTuple):
    """The compiled library for one number type, or why there is none."""

    library: ctypes.CDLL | None
    reason: str
    """What runs, or why it cannot."""
    panel_width: int = 0


@cache
def kernels(dtype: torch.dtype = torch.float32) -> Kernels:
    """The kernels for float32 or float64 numbers, compiled if need be."""
    if dtype not in (torch.float32, torch.float64):
        return Kernels(None, f"native kernels know float32 and float64, not {dtype}")
    if platform.system() == "Windows":
        return Kernels(None, "native kernels are not built on Windows")
    compiler = _compiler()
    if compiler is None:
        return Kernels(None, "no C compiler was found (cc, gcc or clang; CC names another)")
    bits = f"-DREAL_BITS={torch.finfo(dtype).bits}"
    try:
        library, version = _built(compiler, bits)
    except (OSError, subprocess.SubprocessError) as error:
        detail = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        return Kernels(None, f"{shlex.join(compiler)} could not compile the native kernels: {' '.join(detail[-1:])}")
    for name in ("pack", "forward", "backward", "weight_gradient", "row_terms", "sample"):
        getattr(library, name).restype = None
    for name in ("scratch_numbers", "gradient_numbers", "sampler_numbers"):
        getattr(library, name).restype = ctypes.c_long
    return Kernels(library, f"C kernels, compiled by {version}", library.panel_width())


def runs_on(tensor: Tensor) -> bool:
    """True where the kernels can take this tensor: on the CPU, compiled, and not turned off."""
    return tensor.device.type == "cpu" and not _why_not(tensor.dtype)


def describe(device: torch.device) -> str:
    """What computes the sequences of a model on `device`, and why: one line for the log."""
    if device.type != "cpu":
        return f"plain torch on {torch.cuda.get_device_name(device) if device.type == 'cuda' else device}"
    if reason := _why_not(torch.float32):
        return f"plain torch: {reason}"
    threads = torch.get_num_threads()
    return f"{kernels().reason}; {threads} thread{'s' * (threads != 1)}"


def _why_not(dtype: torch.dtype) -> str:
    """Why the kernels do not run; empty where they do.

    Raises:
        ValueError: SKETCHRNN_BACKEND names a backend that does not exist, or one that cannot run.
    """
    asked = os.environ.get("SKETCHRNN_BACKEND", "")
    if asked == "plain":
        return "SKETCHRNN_BACKEND is plain"
    if asked not in ("", "native"):
        raise ValueError(f"SKETCHRNN_BACKEND is {asked!r}; it must be native or plain")
    compiled = kernels(dtype)
    return "" if compiled.library is not None else compiled.reason


def _compiler() -> list[str] | None:
    """The command of a C compiler."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        command = shlex.split(name)
        if command and shutil.which(command[0]):
            return command
    return None


def _built(compiler: list[str], bits: str) -> tuple[ctypes.CDLL, str]:
    """The library, from the cache or compiled anew, and the name of the compiler."""
    version = _output([*compiler, "--version"]).splitlines()[0]
    key = hashlib.sha256("\n".join([version, bits, *FLAGS, _processor(), SOURCE.read_text()]).encode()).hexdigest()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sketchrnn"
    path = folder / f"native-{key[:16]}.so"
    if path.exists():
        with suppress(OSError):  # cut off when a disk was full: compiled anew
            return ctypes.CDLL(str(path)), version
    try:
        folder.mkdir(parents=True, exist_ok=True)
        room = tempfile.TemporaryDirectory(dir=folder)
    except OSError:  # no home, or one that may not be written: compiled anew by every process
        room = tempfile.TemporaryDirectory()
    with room:
        fresh = Path(room.name) / "native.so"
        command = [*compiler, *FLAGS, bits, "-o", str(fresh), str(SOURCE), "-lm"]
        try:
            _output([*command, "-fopenmp"])
        except subprocess.CalledProcessError:  # clang without its OpenMP library: one thread
            _output(command)
        library = ctypes.CDLL(str(fresh))
        if Path(room.name).parent == folder:
            os.replace(fresh, path)
    return library, version


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=True)
    return done.stdout


def _processor() -> str:
    """What -march=native depends on: a cache may lie in a home that several machines share."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() + platform.machine()
    return "".join(line for line in dict.fromkeys(lines) if line.startswith(("flags", "Features", "model name")))


# The structs of native.c. A tensor is passed by the address of its first number.


def _struct(name: str, *members: str) -> type[ctypes.Structure]:
    """Members are `name` for an address, `name:n` for a whole number, `name:x` for a real one."""
    kinds = {"": ctypes.c_void_p, "n": ctypes.c_long, "x": ctypes.c_double}
    parts = [member.partition(":") for member in members]
    return type(name, (ctypes.Structure,), {"_fields_": [(name, kinds[kind]) for name, _, kind in parts]})


_Cell = _struct(
    "Cell", "kind:n", "inputs:n", "size:n", "x", "h", "h_back", "gamma", "beta", "c_gamma", "c_beta",
    "hyper_size:n", "embedding:n", "bias", "hyper_x", "hyper_h", "hyper_hyper", "hyper_h_back", "hyper_hyper_back",
    "hyper_gamma", "hyper_beta", "hyper_c_gamma", "hyper_c_beta", "z", "z_back", "b_z", "scale", "scale_back",
    "scale_stride:n", "scale_back_stride:n",
)  # fmt: skip
_Trace = _struct(
    "Trace", "h", "c", "gates", "deviation", "hyper_h", "hyper_c", "hyper_gates",
    "hyper_deviation", "z", "xh", "hh", "d_xh", "d_hh", "d_z",
)  # fmt: skip
_Pass = _struct(
    "Pass", "steps:n", "sizes", "x", "start", "mask", "scale:x", "h0", "c0", "hyper_h0", "hyper_c0",
    "h_last", "c_last", "hyper_h_last", "hyper_c_last", "d_h", "d_start", "sums",
)  # fmt: skip
_Inputs = _struct("Inputs", "rows", "first", "from", "width:n")
_Sampler = _struct(
    "Sampler", "n:n", "longest:n", "given:n", "mixtures:n", "temperature:x", "points", "token", "y", "b_y", "start",
    "uniform", "normal", "h", "c", "hyper_h", "hyper_c", "who", "room", "rows", "lengths",
)  # fmt: skip


def _fill(struct: type[ctypes.Structure], values: dict[str, Any]) -> ctypes.Structure:
    """A struct of tensors and numbers; it keeps the tensors alive."""
    filled = struct()
    filled.kept = values
    for name, value in values.items():
        if isinstance(value, Tensor):
            assert value.is_contiguous()
            value = value.data_ptr()
        if value is not None:
            setattr(filled, name, value)
    return filled


@dataclass(frozen=True)
class Weights:
    """The weights of a cell as the kernels read them; those after `c_beta` are of the HyperLSTM alone.

    What multiplies z, and the bias of a plain LSTM, are not here: they come as `start`, a row for each drawing.
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
        """Place in KINDS."""
        return 2 if self.scale is not None else 1 if self.gamma is not None else 0

    @property
    def hyper_size(self) -> int:
        """Units of the small LSTM; 0 without one."""
        return 0 if self.hyper_hyper is None else len(self.hyper_hyper)

    def tensors(self) -> tuple[Tensor | None, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


def _packed(W: Tensor) -> Tensor:
    """Panels of W (K, N), or of each of a stack of them (k, K, N): k of those."""
    compiled = kernels(W.dtype)
    assert compiled.library is not None
    stack = W if W.ndim == 3 else W.unsqueeze(0)
    k, K, N = stack.shape
    out = W.new_empty(k, -(-N // compiled.panel_width) * K * compiled.panel_width)
    for matrix, panels in zip(stack, out, strict=True):
        _call("pack", W, K, N, matrix, matrix.stride(0), matrix.stride(1), panels)
    return out


def _cell(w: Weights, back: bool = False) -> ctypes.Structure:
    """The struct Cell; `back` with the transposed matrices that the way back needs."""
    values: dict[str, Any] = dict(kind=w.kind, inputs=len(w.x), size=len(w.h), x=_packed(w.x), h=_packed(w.h))
    values |= dict(gamma=w.gamma, beta=w.beta, c_gamma=w.c_gamma, c_beta=w.c_beta)
    if back:
        values["h_back"] = _packed(w.h.t())
    if w.scale is not None:
        assert w.hyper_x is not None
        assert w.hyper_h is not None
        assert w.hyper_hyper is not None
        assert w.z is not None
        scale, scale_back = _packed(w.scale), _packed(w.scale.transpose(1, 2)) if back else None
        values |= dict(
            hyper_size=len(w.hyper_hyper), embedding=w.scale.shape[1], bias=w.bias, hyper_x=_packed(w.hyper_x),
            hyper_h=_packed(w.hyper_h), hyper_hyper=_packed(w.hyper_hyper), hyper_gamma=w.hyper_gamma,
            hyper_beta=w.hyper_beta, hyper_c_gamma=w.hyper_c_gamma, hyper_c_beta=w.hyper_c_beta, z=_packed(w.z),
            b_z=w.b_z, scale=scale, scale_stride=scale.shape[1], scale_back=scale_back,
            scale_back_stride=0 if scale_back is None else scale_back.shape[1],
        )  # fmt: skip
        if back:
            values |= dict(hyper_h_back=_packed(w.hyper_h.t()), hyper_hyper_back=_packed(w.hyper_hyper.t()))
            values["z_back"] = _packed(w.z.t())
    return _fill(_Cell, values)


def _threads(w: Weights, rows: int) -> int:
    """Small steps are done before a second thread has noticed that there is work."""
    work = rows * (w.h.numel() + (0 if w.hyper_h is None else 2 * w.hyper_h.numel()))
    return max(1, min(torch.get_num_threads(), work // WORK_A_THREAD))


State = tuple[Tensor, ...]


def run(
    weights: Weights,
    sizes: Sequence[int],
    x: Tensor,
    start: Tensor | None,
    state: State,
    mask: Tensor | None = None,
    keep: float = 1.0,
) -> tuple[Tensor, State]:
    """All steps of a cell over packed rows.

    Args:
        weights: of the cell.
        sizes: (T,) rows of each step, falling; the first is B.
        x: (P, inputs) the rows; no gradient goes to them.
        start: (B, 4 size), for the HyperLSTM (B, 4 size + 4 hyper_size): added to the products of x; None for zeros.
        state: members (B, units): h, c; for the HyperLSTM h, h_hyper, c, c_hyper.
        mask: (P, size) uint8, 1 where a unit is kept; None for no dropout.
        keep: chance of a 1 in it.

    Returns:
        The outputs h (P, size), and the state after the last step of each drawing, as `state`.
    """
    outputs, *last = _Run.apply(sizes, x, start, mask, keep, len(state), *state, *weights.tensors())
    return outputs, tuple(last)


def _trace_widths(w: Weights) -> dict[str, int]:
    """Columns of each member of the struct Trace but h."""
    H, S = len(w.h), w.hyper_size
    widths = dict(c=H, gates=4 * H)
    if w.kind:
        widths["deviation"] = 4
    if w.scale is not None:
        widths |= dict(hyper_h=S, hyper_c=S, hyper_gates=4 * S, hyper_deviation=4)
        widths |= dict(z=w.scale.shape[0] * w.scale.shape[1], xh=4 * H, hh=4 * H)
    return widths


class _Room:
    """Memory for what a pass keeps; it is kept in turn, for the next pass, when nothing holds the room any more.

    Fresh pages from the system for some hundred megabytes cost a quarter of a training step.
    """

    spare: ClassVar[list[Tensor]] = []
    lock: ClassVar[Lock] = Lock()

    def __init__(self, rows: int, widths: dict[str, int], like: Tensor) -> None:
        numbers = rows * sum(widths.values())
        with self.lock:
            fitting = [b for b in self.spare if b.dtype == like.dtype and b.numel() >= numbers]
            given_up = min(fitting, key=Tensor.numel) if fitting else max(self.spare, key=Tensor.numel, default=None)
            self.spare[:] = [b for b in self.spare if b is not given_up]
        if not fitting:
            given_up = None  # freed before the larger one is made
        self.buffer = like.new_empty(numbers) if given_up is None else given_up
        cuts = self.buffer[:numbers].split([rows * width for width in widths.values()])
        self.parts = {name: cut.view(rows, -1) for (name, cut) in zip(widths, cuts, strict=True)}

    def __del__(self) -> None:
        with self.lock:
            self.spare.append(self.buffer)
            self.spare[:] = sorted(self.spare, key=Tensor.numel)[-MOST_SPARE:]


def give_back_memory() -> None:
    """Frees what is kept for the next pass."""
    with _Room.lock:
        _Room.spare.clear()


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sizes: Sequence[int],
        x: Tensor,
        start: Tensor | None,
        mask: Tensor | None,
        keep: float,
        parts: int,
        *rest: Any,
    ) -> tuple[Tensor, ...]:
        state, w = [_whole(part) for part in rest[:parts]], Weights(*map(_whole, rest[parts:]))
        B, room = len(rest[0]), _Room(len(x), _trace_widths(w), x)
        h = x.new_empty(len(x), len(w.h))  # not in the room: it is returned
        # those of no step at all end as they began
        last = [part.detach().clone(memory_format=torch.contiguous_format) for part in rest[:parts]]
        read = dict(
            steps=len(sizes), sizes=torch.tensor(sizes, dtype=torch.int64), x=_whole(x), start=_whole(start),
            mask=_whole(mask), scale=1 / keep, h0=state[0], c0=state[parts // 2],
        )  # fmt: skip
        written = dict(h_last=last[0], c_last=last[parts // 2])
        if parts == 4:
            read |= dict(hyper_h0=state[1], hyper_c0=state[3])
            written |= dict(hyper_h_last=last[1], hyper_c_last=last[3])
        threads = _threads(w, B)
        structs = _cell(w), _fill(_Pass, read | written), _fill(_Trace, room.parts | dict(h=h))
        scratch = x.new_empty(threads * _call("scratch_numbers", x, structs[0]))
        _call("forward", x, threads, *structs, scratch)
        # not h itself: it will hold this context, and neither would ever be freed
        ctx.room, ctx.h = room, h.detach()
        ctx.read, ctx.weights, ctx.threads, ctx.shapes = read, w, threads, [part.shape for part in last]
        return h, *last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_h: Tensor | None, *d_last: Tensor | None) -> tuple[Any, ...]:
        w, room, read, parts = ctx.weights, ctx.room, ctx.read, len(d_last)
        trace = room.parts | dict(h=ctx.h)
        del ctx.room, ctx.h  # used up
        x, H, S, B = read["x"], len(w.h), w.hyper_size, ctx.shapes[0][0]
        d_state = [
            x.new_zeros(shape) if d is None else d.clone(memory_format=torch.contiguous_format)
            for d, shape in zip(d_last, ctx.shapes, strict=True)
        ]
        d_start = x.new_zeros(B, 4 * H + 4 * S)
        sums = x.new_zeros(ctx.threads, 14 * H + 10 * S)
        written = dict(h_last=d_state[0], c_last=d_state[parts // 2], d_h=_whole(d_h), d_start=d_start, sums=sums)
        if S:
            written |= dict(hyper_h_last=d_state[1], hyper_c_last=d_state[3])
            more = _Room(len(x), {f"d_{name}": trace[name].shape[1] for name in ("xh", "hh", "z")}, x)
            trace |= more.parts
        structs = _cell(w, back=True), _fill(_Pass, read | written), _fill(_Trace, trace)
        scratch = x.new_empty(ctx.threads * _call("scratch_numbers", x, structs[0]))
        _call("backward", x, ctx.threads, *structs, scratch, x.new_empty(B, S))
        grads = _weight_gradients(w, read, trace, sums.sum(dim=0), ctx.threads)
        of_weights = (None if getattr(w, field.name) is None else grads[field.name] for field in fields(w))
        start = None if read["start"] is None else d_start
        return None, None, start, None, None, None, *d_state, *of_weights


def _weight_gradients(
    w: Weights, read: dict[str, Any], trace: dict[str, Tensor], sums: Tensor, threads: int
) -> dict[str, Tensor]:
    """One product over all rows for each matrix; `sums` holds what the kernels added up on the way."""
    H, S, x, sizes = len(w.h), w.hyper_size, read["x"], read["sizes"]
    names = ("gamma", "beta", "c_gamma", "c_beta")
    parts = sums.split([4 * H, 4 * H, H, H, 4 * S, 4 * S, S, S, 4 * H])
    grads = dict(zip((*names, *(f"hyper_{name}" for name in names), "bias"), parts, strict=True))
    # the row that each row's step started from: of the step before, or of the state before the first
    first = int(sizes[0])
    others = torch.arange(first, len(x)) - sizes[:-1].repeat_interleave(sizes[1:])
    start = torch.cat([-1 - torch.arange(first), others])
    before = (trace["h"], read["h0"], start)

    gradient = partial(_gradient, threads)
    if w.scale is None:
        d_x, d_h = gradient(trace["gates"], (x, None, None), before)
        return grads | dict(x=d_x, h=d_h)
    E, d_small, d_z, z = w.scale.shape[1], trace["hyper_gates"], trace["d_z"], trace["z"]
    d_hyper_x, d_hyper_h, d_hyper = gradient(
        d_small, (x, None, None), before, (trace["hyper_h"], read["hyper_h0"], start)
    )
    d_scale = [
        z[:, k * E : (k + 1) * E].t() @ source[:, gate * H : (gate + 1) * H]
        for k, (source, gate) in enumerate((trace[name], gate) for name in ("xh", "hh", "gates") for gate in range(4))
    ]
    return grads | dict(
        x=gradient(trace["d_xh"], (x, None, None))[0],
        h=gradient(trace["d_hh"], before)[0],
        hyper_x=d_hyper_x,
        hyper_h=d_hyper_h,
        hyper_hyper=d_hyper,
        z=gradient(d_z, (trace["hyper_h"], None, None))[0],
        b_z=d_z.sum(dim=0),
        scale=torch.stack(d_scale),
    )


def _gradient(threads: int, d: Tensor, *inputs: tuple[Tensor, Tensor | None, Tensor | None]) -> tuple[Tensor, ...]:
    """The gradients A^T d of the weights of each input A: `rows`, `first` and `from` of the struct Inputs."""
    members = [dict(rows=rows, first=first, width=rows.shape[1]) | {"from": row} for rows, first, row in inputs]
    widths = [rows.shape[1] for rows, _, _ in inputs]
    out = d.new_empty(sum(widths), d.shape[1])
    structs = (_Inputs * len(inputs))(*(_fill(_Inputs, member) for member in members))
    scratch = d.new_empty(threads * _call("gradient_numbers", d, len(out)))
    _call("weight_gradient", d, threads, len(d), len(inputs), structs, d.shape[1], d, d.stride(0), out, scratch)
    return out.split(widths)


class _RowTerms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, targets: Tensor, density_floor: float) -> tuple[Tensor, Tensor]:
        P, N = y.shape
        offset, pen, slope = y.new_empty(P), y.new_empty(P), y.new_empty(P, N)
        threads = max(1, min(torch.get_num_threads(), y.numel() // 10_000))
        M = (N - 3) // 6
        scratch = y.new_empty(threads * 4 * M)
        _call(
            "row_terms", y, threads, P, M, _whole(y), _whole(targets), float(density_floor), offset, pen, slope, scratch
        )
        ctx.slope = slope
        return offset, pen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_offset: Tensor, d_pen: Tensor) -> tuple[Tensor, None, None]:
        slope = ctx.slope
        del ctx.slope
        slope[:, :3] *= d_pen.unsqueeze(1)
        slope[:, 3:] *= d_offset.unsqueeze(1)
        return slope, None, None


def row_terms(y: Tensor, targets: Tensor, density_floor: float) -> tuple[Tensor, Tensor]:
    """Log density of the offset and log probability of the pen state, each (P,), of the rows `targets` (P, 5) that the
    outputs `y` (P, 3 + 6 M) foresee; the offset's is 0 where there is no point."""
    offset, pen = _RowTerms.apply(y, targets, density_floor)
    return offset, pen


def sample(
    weights: Weights,
    W_y: Tensor,
    b_y: Tensor,
    state: State,
    start: Tensor | None,
    token: Tensor,
    points: Tensor,
    uniform: Tensor,
    normal: Tensor,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """Drawings, all at once, each the same whatever is drawn beside it.

    Args:
        weights: of the decoder.
        W_y, b_y: of its output.
        state: members (n, units), before the first step.
        start: (n, width) what z and the bias add to the product of the inputs; None for zeros.
        token: (5,) the first input.
        points: (given, 5) the stroke-5 rows that all begin with.
        uniform, normal: (n, longest - given, 2) the random numbers of each point.
        temperature: 0 for the most likely.

    Returns:
        Stroke-3 rows (n, longest, 3) in normalised units, the given ones included, and the number of points (n,).
    """
    n, longest = len(uniform), len(points) + uniform.shape[1]
    rows, lengths = W_y.new_zeros(n, longest, 3), torch.zeros(n, dtype=torch.int64)
    h, *others = (part.clone(memory_format=torch.contiguous_format) for part in state)
    names = ("c",) if len(state) == 2 else ("hyper_h", "c", "hyper_c")
    cell, threads, M = _cell(weights), _threads(weights, n), (len(b_y) - 3) // 6
    sampler = _fill(
        _Sampler,
        dict(
            n=n, longest=longest, given=len(points), mixtures=M, temperature=temperature,
            points=_whole(points), token=_whole(token), y=_packed(W_y), b_y=_whole(b_y), start=_whole(start),
            uniform=_whole(uniform), normal=_whole(normal), rows=rows, lengths=lengths, h=h,
            who=torch.empty(n, dtype=torch.int64), room=rows.new_empty(n * _call("sampler_numbers", rows, cell, M)),
            **dict(zip(names, others, strict=True)),
        ),
    )  # fmt: skip
    scratch = rows.new_empty(threads * (_call("scratch_numbers", rows, cell) + 2 * M))
    _call("sample", rows, threads, cell, sampler, scratch)
    return rows, lengths


def _call(name: str, like: Tensor, *arguments: int | float | Tensor | ctypes.Structure | ctypes.Array[Any]) -> int:
    """A function of native.c for the number type of `like`; tensors go by address, and live until it is done."""
    library = kernels(like.dtype).library
    assert library is not None
    passed: list[Any] = []
    for argument in arguments:
        if isinstance(argument, int):
            passed.append(ctypes.c_long(argument))
        elif isinstance(argument, float):
            passed.append(ctypes.c_double(argument))
        elif isinstance(argument, Tensor):
            passed.append(ctypes.c_void_p(argument.data_ptr()))
        else:
            passed.append(ctypes.byref(argument))
    result: int = getattr(library, name)(*passed)
    return result


def _whole(tensor: Tensor | None) -> Any:
    """Its rows without gaps, as the kernels read them."""
    return None if tensor is None else tensor.detach().contiguous()
