"""A model as ONNX files, for every program that runs ONNX (https://onnx.ai): one step of the decoder at a time.

Three graphs in normalised units, all float32 and for any number of drawings at once, B:

* `encoder.onnx`: `points` (T, B, 5), `lengths` (B,) -> `mu`, `sigma` (B, N_z);
* `start.onnx`: `z` (B, N_z) -> `state_0`, `state_1`, ... (B, units): what the decoder starts from;
* `decoder.onnx`: `token` (B, 5), `z`, `state_k` -> the mixture of the next point, `next_state_k`.

A decoder-only model has the last alone, without z, and starts from zeros. The loop, the temperature and the random
choice are the caller's: docs/formats.md says what to do with the numbers, and examples/ does it.

The graphs are written node by node and not traced, so that they are small, alike whatever the version of torch, and
free of its exporter; the equations are those of `model.cells`, line by line, and a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError:
    raise ImportError("ONNX files are written by the package onnx: pip install 'sketchrnn[onnx]'") from None

from sketchrnn.config import FORGET_BIAS, LAYER_NORM_EPSILON
from sketchrnn.formats.atomic import atomic_folder
from sketchrnn.model.cells import Cell, HyperLSTMCell, LayerNormLSTMCell, LSTMCell
from sketchrnn.model.mixture import MAX_RHO_HAT, MIN_LOG_SIGMA
from sketchrnn.model.network import SketchRNN
from sketchrnn.model.sequence import NUM_INPUTS

FORMAT = "sketchrnn onnx"
VERSION = 1
OPSET = 17  # the first with LayerNormalization, for the widest choice of programs
IR_VERSION = 8  # what came with that opset
MAX_BYTES = 2**31 - 1  # of a protobuf message

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
BATCH, STEPS = "batch", "steps"

State = list[str]  # the values' names, in the order of `Cell.state_sizes`


def write(model: SketchRNN, out: str | Path, *, float16: bool = False) -> list[Path]:
    """Writes a model as ONNX files into the new folder `out`, all or none of them.

    Args:
        model: any model.
        out: must not exist, or be empty.
        float16: store the weights in half the bytes; they are turned into float32 when the file is loaded, and all is
            computed in float32. A weight is then right to 1 in 2,000.

    Returns:
        The files: `encoder.onnx`, `start.onnx`, `decoder.onnx` and `model.json`; a decoder-only model has the last two
        alone.

    Raises:
        ValueError: a weight is not finite, or too large for float16, or a graph larger than a file may be.
        OSError: `out` holds something, or cannot be written.
    """
    files = graphs(model, float16=float16) | {"model.json": _facts_json(model)}
    with atomic_folder(out) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
    return [Path(out) / name for name in files]


def graphs(model: SketchRNN, *, float16: bool = False) -> dict[str, bytes]:
    """The ONNX files of `write`, by name."""
    metadata = {key: fact if isinstance(fact, str) else json.dumps(fact) for key, fact in facts(model).items()}
    made = {"decoder.onnx": _decoder(model, float16)}
    if model.config.conditional:
        made = {"encoder.onnx": _encoder(model, float16), "start.onnx": _start(model, float16)} | made
    return {name: _serialised(name, graph, metadata) for name, graph in made.items()}


def facts(model: SketchRNN) -> dict[str, Any]:
    """What a program needs to know beside the graphs; in their metadata, and for JavaScript, which cannot read that, in
    `model.json`."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "scale_factor": model.data.scale_factor,
        "max_length": model.data.max_length,
        "start_token": model.data.start_token,
        "states": model.decoder.state_sizes,
        "model": asdict(model.config),
        "data": asdict(model.data),
    }


def _facts_json(model: SketchRNN) -> bytes:
    return json.dumps(facts(model), indent=2, ensure_ascii=False).encode()


# -- the three graphs


def _encoder(model: SketchRNN, float16: bool) -> onnx.GraphProto:
    g = _Graph(float16)
    batch = g("Shape", "points", start=1, end=2)
    steps = g("Range", g.constant(0), g("Squeeze", g("Shape", "points", start=0, end=1)), g.constant(1))
    last = []
    for name, cell in (("encoder_forward", model.encoder_forward), ("encoder_backward", model.encoder_backward)):
        inputs = _products(g, name, cell, "points")
        zeros = [g("ConstantOfShape", g("Concat", batch, g.constant([size]), axis=0)) for size in cell.state_sizes]
        final = g.several(
            "Scan",
            *[*zeros, inputs, steps],
            outputs=len(zeros),
            body=_encoder_step(g, name, cell),
            num_scan_inputs=2,
            scan_input_directions=[int(name == "encoder_backward")] * 2,
        )
        last.append(final[0])
    h = g("Concat", *last, axis=1)
    g("Gemm", h, g.weight("W_mu", model.W_mu), g.weight("b_mu", model.b_mu), output="mu")
    sigma_hat = g("Gemm", h, g.weight("W_sigma", model.W_sigma), g.weight("b_sigma", model.b_sigma))
    g("Exp", g("Mul", sigma_hat, g.constant(0.5)), output="sigma")
    z_size = model.config.z_size
    return g.graph(
        "encoder",
        [_port("points", "steps", "batch", NUM_INPUTS), _port("lengths", "batch", kind=INT64)],
        [_port("mu", "batch", z_size), _port("sigma", "batch", z_size)],
    )


def _encoder_step(outer: _Graph, name: str, cell: Cell) -> onnx.GraphProto:
    """What Scan repeats: a step of the cell, but a drawing that has ended (from behind: not begun) keeps its state."""
    g = outer.inner(name)
    before, row, t = [g.name() for _ in cell.state_sizes], g.name(), g.name()
    running = g("Unsqueeze", g("Less", t, "lengths"), g.constant([1]))
    after = [g("Where", running, new, old) for new, old in zip(_step(g, name, cell, row, before), before, strict=True)]
    sizes = cell.state_sizes
    return g.graph(
        name,
        [
            *(_port(old, "batch", size) for old, size in zip(before, sizes, strict=True)),
            _port(row, "batch", cell.input_weights().shape[1]),
            _port(t, kind=INT64),
        ],
        [_port(new, "batch", size) for new, size in zip(after, sizes, strict=True)],
    )


def _start(model: SketchRNN, float16: bool) -> onnx.GraphProto:
    g = _Graph(float16)
    joined = g("Tanh", g("Gemm", "z", g.weight("W_z", model.W_z), g.weight("b_z", model.b_z)))
    states = {f"state_{k}": size for k, size in enumerate(model.decoder.state_sizes)}
    # as the cell's `split_state`: the LSTM's one tensor is [c, h]
    order = ["state_1", "state_0"] if isinstance(model.decoder, LSTMCell) else list(states)
    g.several("Split", joined, g.constant([states[name] for name in order]), axis=1, outputs=order)
    return g.graph(
        "start",
        [_port("z", "batch", model.config.z_size)],
        [_port(name, "batch", size) for name, size in states.items()],
    )


def _decoder(model: SketchRNN, float16: bool) -> onnx.GraphProto:
    g = _Graph(float16)
    states = {f"state_{k}": size for k, size in enumerate(model.decoder.state_sizes)}
    conditional, num_mixtures = model.config.conditional, model.config.num_mixtures
    inputs = _products(g, "decoder", model.decoder, g("Concat", "token", "z", axis=1) if conditional else "token")
    after = _step(g, "decoder", model.decoder, inputs, list(states))
    for name, value in zip(states, after, strict=True):
        g("Identity", value, output=f"next_{name}")
    y = g("Gemm", after[0], g.weight("W_y", model.W_y), g.weight("b_y", model.b_y))
    # as `mixture.split_output`
    log_sigma_x, log_sigma_y, rho_hat = g.name(), g.name(), g.name()
    parts = ["logits_q", "logits_pi", "mu_x", "mu_y", log_sigma_x, log_sigma_y, rho_hat]
    g.several("Split", y, g.constant([3, *[num_mixtures] * 6]), axis=1, outputs=parts)
    g("Max", log_sigma_x, g.constant(MIN_LOG_SIGMA), output="log_sigma_x")
    g("Max", log_sigma_y, g.constant(MIN_LOG_SIGMA), output="log_sigma_y")
    g("Tanh", g("Clip", rho_hat, g.constant(-MAX_RHO_HAT), g.constant(MAX_RHO_HAT)), output="rho")
    mixture = ("logits_pi", "mu_x", "mu_y", "log_sigma_x", "log_sigma_y", "rho")
    return g.graph(
        "decoder",
        [
            _port("token", "batch", NUM_INPUTS),
            *([_port("z", "batch", model.config.z_size)] if conditional else []),
            *(_port(name, "batch", size) for name, size in states.items()),
        ],
        [
            *(_port(name, "batch", num_mixtures) for name in mixture),
            _port("logits_q", "batch", 3),
            *(_port(f"next_{name}", "batch", size) for name, size in states.items()),
        ],
    )


# -- the cells of `model.cells`, in its names


def _products(g: _Graph, name: str, cell: Cell, x: str) -> str:
    """The inputs of any number of steps, multiplied."""
    return g("MatMul", x, g.weight(f"{name}.W_xh", cell.input_weights()))


def _step(g: _Graph, name: str, cell: Cell, inputs: str, state: State) -> State:
    """The state after one step of a cell; `inputs` is multiplied already."""
    if isinstance(cell, LSTMCell):
        h, c = state
        gates = g("Gemm", h, g.weight(f"{name}.W_hh", cell.W_hh), g.weight(f"{name}.bias", cell.bias))
        i, j, f, o = g.several("Split", g("Add", gates, inputs), axis=1, outputs=4)
        c = _next_c(g, i, j, f, c)
        return [g("Mul", g("Tanh", c), g("Sigmoid", o)), c]
    if isinstance(cell, LayerNormLSTMCell):
        h, c = state
        gates = g("Add", inputs, g("MatMul", h, g.weight(f"{name}.W_hh", cell.W_hh)))
        return _normalised_step(g, name, cell, gates, c)
    return _hyper_step(g, name, cell, inputs, state)


def _hyper_step(g: _Graph, name: str, cell: HyperLSTMCell, inputs: str, state: State) -> State:
    h, h_hyper, c, c_hyper = state
    size = cell.size
    xh, hyper_xh = g.several("Split", inputs, g.constant([4 * size, 4 * cell.hyper.size]), axis=1, outputs=2)
    hyper_hh = g("MatMul", h, g.weight(f"{name}.hyper.W_xh.h", cell.hyper.W_xh[cell.input_size :]))
    h_hyper, c_hyper = _step(g, f"{name}.hyper", cell.hyper, g("Add", hyper_xh, hyper_hh), [h_hyper, c_hyper])
    W_z, alpha_beta = torch.cat([cell.W_zw, cell.W_zb], dim=1), torch.cat([cell.alpha, cell.beta])
    b_z = torch.cat([cell.b_zw, cell.b_zw.new_zeros(4 * cell.embedding)])
    z = g("Gemm", h_hyper, g.weight(f"{name}.W_z", W_z), g.weight(f"{name}.b_z", b_z))
    z = _by_part(g, z, 12, cell.embedding)  # (12, n, embedding)
    scales = g("MatMul", z, g.weight(f"{name}.alpha_beta", alpha_beta))
    scale_x, scale_h, shift = g.several("Split", scales, axis=0, outputs=3)  # (4, n, size)
    xh = _by_part(g, xh, 4, size)
    hh = _by_part(g, g("MatMul", h, g.weight(f"{name}.W_hh", cell.W_hh)), 4, size)
    gates = g("Add", g("Add", g("Mul", scale_x, xh), g("Mul", scale_h, hh)), shift)
    gates = g("Reshape", g("Transpose", gates, perm=[1, 0, 2]), g.constant([0, 4 * size]))
    gates = g("Add", gates, g.weight(f"{name}.bias", cell.bias))
    h, c = _normalised_step(g, name, cell, gates, c)
    return [h, h_hyper, c, c_hyper]


def _normalised_step(g: _Graph, name: str, cell: LayerNormLSTMCell | HyperLSTMCell, gates: str, c: str) -> State:
    """h and c from the four gates, each normalised by itself, and with c normalised before the output's tanh."""
    parts = zip(
        "ijfo",
        g.several("Split", gates, axis=1, outputs=4),
        cell.gates_gamma.chunk(4),
        cell.gates_beta.chunk(4),
        strict=True,
    )
    i, j, f, o = (_layer_norm(g, f"{name}.{gate}", value, gamma, beta) for gate, value, gamma, beta in parts)
    c = _next_c(g, i, j, f, c)
    return [g("Mul", g("Tanh", _layer_norm(g, f"{name}.c", c, cell.c_gamma, cell.c_beta)), g("Sigmoid", o)), c]


def _layer_norm(g: _Graph, name: str, x: str, gamma: Tensor, beta: Tensor) -> str:
    scale, shift = g.weight(f"{name}_gamma", gamma), g.weight(f"{name}_beta", beta)
    return g("LayerNormalization", x, scale, shift, epsilon=LAYER_NORM_EPSILON)


def _next_c(g: _Graph, i: str, j: str, f: str, c: str) -> str:
    kept = g("Mul", c, g("Sigmoid", g("Add", f, g.constant(FORGET_BIAS))))
    return g("Add", kept, g("Mul", g("Sigmoid", i), g("Tanh", j)))


def _by_part(g: _Graph, x: str, parts: int, size: int) -> str:
    """(n, parts size) as (parts, n, size)."""
    return g("Transpose", g("Reshape", x, g.constant([0, parts, size])), perm=[1, 0, 2])


# -- writing a graph


class _Graph:
    """A graph that grows node by node; values are known by their names. Weights are kept by the outermost."""

    def __init__(self, float16: bool, outer: _Graph | None = None, prefix: str = "") -> None:
        self._float16 = float16
        self._outer = outer
        self._prefix = prefix
        self._count = 0
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def __call__(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Adds a node of one output, and gives its name."""
        return self.several(kind, *inputs, outputs=[output or self.name()], **attributes)[0]

    def several(self, kind: str, *inputs: str, outputs: int | Sequence[str], **attributes: Any) -> list[str]:
        """Adds a node of several outputs, and gives their names."""
        names = [self.name() for _ in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self._nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def name(self) -> str:
        """A new one."""
        self._count += 1
        return f"{self._prefix}value_{self._count}"

    def constant(self, value: float | Sequence[int]) -> str:
        """A float as such, whole numbers as int64."""
        array = np.array(value, np.float32 if isinstance(value, float) else np.int64)
        return self("Constant", value=numpy_helper.from_array(array))

    def weight(self, name: str, value: Tensor) -> str:
        """A float32 value that is stored with the graph."""
        if self._outer is not None:
            return self._outer.weight(name, value)
        array = _finite(name, value.detach().float().cpu().numpy(), "is not finite")
        if not self._float16:
            self._weights.append(numpy_helper.from_array(array, name))
            return name
        with np.errstate(over="ignore"):
            half = _finite(name, array.astype(np.float16), "float16 cannot hold: export float32")
        self._weights.append(numpy_helper.from_array(half, f"{name}.float16"))
        # before all others, since nodes stand in the order in which they run
        self._nodes.insert(0, helper.make_node("Cast", [f"{name}.float16"], [name], to=FLOAT))
        return name

    def inner(self, prefix: str) -> _Graph:
        """A graph for a node's body, which sees the values of this one."""
        return _Graph(self._float16, self, f"{prefix}_")

    def graph(
        self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> onnx.GraphProto:
        """All of it."""
        return helper.make_graph(self._nodes, name, inputs, outputs, initializer=self._weights)


def _port(name: str, *shape: str | int, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _finite(name: str, array: NDArray[np.floating], sentence: str) -> NDArray[np.floating]:
    if not np.isfinite(array).all():
        raise ValueError(f"the weight {name} holds a number that {sentence}")
    return array


def _serialised(name: str, graph: onnx.GraphProto, metadata: Mapping[str, str]) -> bytes:
    model = helper.make_model(
        graph,
        producer_name="sketchrnn",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, dict(metadata))
    if model.ByteSize() > MAX_BYTES:
        raise ValueError(f"{name} would have {model.ByteSize():,} bytes; an ONNX file holds at most {MAX_BYTES:,}")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
