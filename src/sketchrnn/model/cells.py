"""The three recurrent cells: LSTM, layer-norm LSTM, HyperLSTM.

All speak the same language, so that a sequence can run any of them:

* `input_weights()` `(D, K)` multiplies the inputs of all steps in one product, before the loop over time;
* `step(inputs, state, dropout)` goes one step on;
* a state is a tuple of `(n, units)` tensors, its first member the output h. `join_state` and `split_state` turn it into
  and out of the one tensor of the reference, whose order of parts differs from cell to cell: it matters where
  tanh(W_z z + b_z) is split.

Weights are stored as `(inputs, outputs)` and multiply from the right. Gates stand in the order i, j, f, o; the forget
gate's bias of 1 is added at run time. Recurrent dropout (Semeniuta et al., 2016) falls on g = tanh(j) alone, so that
no memory is lost.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor, nn

from sketchrnn.config import FORGET_BIAS, LAYER_NORM_EPSILON, CellName

State: TypeAlias = tuple[Tensor, ...]


class LSTMCell(nn.Module):
    """LSTM (Hochreiter and Schmidhuber, 1997). State (h, c); as one tensor [c, h]."""

    def __init__(self, input_size: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.state_sizes = (size, size)
        self.W_xh = nn.Parameter(glorot(input_size, 4 * size))
        self.W_hh = nn.Parameter(orthogonal_gates(size))
        self.bias = nn.Parameter(torch.zeros(4 * size))

    def input_weights(self) -> Tensor:
        return self.W_xh

    def step(self, inputs: Tensor, state: State, dropout: Tensor | None = None) -> State:
        h, c = state
        i, j, f, o = (torch.addmm(self.bias, h, self.W_hh) + inputs).chunk(4, dim=1)
        g = torch.tanh(j)
        if dropout is not None:
            g = g * dropout
        c = c * torch.sigmoid(f + FORGET_BIAS) + torch.sigmoid(i) * g
        h = torch.tanh(c) * torch.sigmoid(o)
        return h, c

    def split_state(self, joined: Tensor) -> State:
        c, h = joined.chunk(2, dim=1)
        return h, c

    def join_state(self, state: State) -> Tensor:
        h, c = state
        return torch.cat([c, h], dim=1)


class LayerNormLSTMCell(nn.Module):
    """LSTM with layer normalisation (Ba et al., 2016) of each gate and of c. State (h, c); as one tensor [h, c]."""

    def __init__(self, input_size: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.state_sizes = (size, size)
        self.W_xh = nn.Parameter(glorot(input_size, 4 * size))
        self.W_hh = nn.Parameter(orthogonal_gates(size))
        self.gates_gamma = nn.Parameter(torch.ones(4 * size))
        self.gates_beta = nn.Parameter(torch.zeros(4 * size))
        self.c_gamma = nn.Parameter(torch.ones(size))
        self.c_beta = nn.Parameter(torch.zeros(size))

    def input_weights(self) -> Tensor:
        return self.W_xh

    def step(self, inputs: Tensor, state: State, dropout: Tensor | None = None) -> State:
        h, c = state
        i, j, f, o = layer_norm(inputs + h @ self.W_hh, 4, self.gates_gamma, self.gates_beta).chunk(4, dim=1)
        g = torch.tanh(j)
        if dropout is not None:
            g = g * dropout
        c = c * torch.sigmoid(f + FORGET_BIAS) + torch.sigmoid(i) * g
        h = torch.tanh(layer_norm(c, 1, self.c_gamma, self.c_beta)) * torch.sigmoid(o)
        return h, c

    def split_state(self, joined: Tensor) -> State:
        h, c = joined.chunk(2, dim=1)
        return h, c

    def join_state(self, state: State) -> Tensor:
        return torch.cat(state, dim=1)


class HyperLSTMCell(nn.Module):
    """HyperLSTM (Ha, Dai and Le, 2017) with layer normalisation.

    A small layer-norm LSTM reads [x; h]; embeddings of its output scale the gates' W_x x and W_h h and shift W_h h.
    State (h, h_hyper, c, c_hyper), as one tensor in that order. Its parts ix, jx, fx, ox, ih, jh, fh, oh stand in the
    first axis of `alpha` and in the columns of `W_zw`; those of the last four in `beta` and `W_zb`.
    """

    def __init__(self, input_size: int, size: int, hyper_units: int, embedding: int) -> None:
        super().__init__()
        self.size = size
        self.input_size = input_size
        self.embedding = embedding
        self.state_sizes = (size, hyper_units, size, hyper_units)
        self.hyper = LayerNormLSTMCell(input_size + size, hyper_units)
        self.W_xh = nn.Parameter(glorot(input_size, 4 * size))
        self.W_hh = nn.Parameter(orthogonal_gates(size))
        self.bias = nn.Parameter(torch.zeros(4 * size))
        self.W_zw = nn.Parameter(torch.zeros(hyper_units, 8 * embedding))
        self.b_zw = nn.Parameter(torch.ones(8 * embedding))
        self.alpha = nn.Parameter(torch.full((8, embedding, size), 0.1 / embedding))
        self.W_zb = nn.Parameter(normal(hyper_units, 4 * embedding, 0.01))
        self.beta = nn.Parameter(torch.zeros(4, embedding, size))
        self.gates_gamma = nn.Parameter(torch.ones(4 * size))
        self.gates_beta = nn.Parameter(torch.zeros(4 * size))
        self.c_gamma = nn.Parameter(torch.ones(size))
        self.c_beta = nn.Parameter(torch.zeros(size))

    def input_weights(self) -> Tensor:
        return torch.cat([self.W_xh, self.hyper.W_xh[: self.input_size]], dim=1)

    def step(self, inputs: Tensor, state: State, dropout: Tensor | None = None) -> State:
        h, h_hyper, c, c_hyper = state
        n = len(h)
        xh, hyper_xh = inputs.split([4 * self.size, inputs.shape[1] - 4 * self.size], dim=1)
        # the small LSTM's own step, its inputs [x; h]; no dropout within it
        h_hyper, c_hyper = self.hyper.step(
            torch.addmm(hyper_xh, h, self.hyper.W_xh[self.input_size :]), (h_hyper, c_hyper)
        )
        z = torch.cat([torch.addmm(self.b_zw, h_hyper, self.W_zw), h_hyper @ self.W_zb], dim=1)
        z = z.view(n, 12, self.embedding).transpose(0, 1)  # (12, n, embedding)
        scale_x, scale_h, shift = torch.bmm(z, torch.cat([self.alpha, self.beta])).split([4, 4, 4])  # (4, n, size)
        xh = xh.view(n, 4, self.size).transpose(0, 1)
        hh = (h @ self.W_hh).view(n, 4, self.size).transpose(0, 1)
        gates = (scale_x * xh + scale_h * hh + shift).transpose(0, 1).reshape(n, 4 * self.size) + self.bias
        i, j, f, o = layer_norm(gates, 4, self.gates_gamma, self.gates_beta).chunk(4, dim=1)
        g = torch.tanh(j)
        if dropout is not None:
            g = g * dropout
        c = c * torch.sigmoid(f + FORGET_BIAS) + torch.sigmoid(i) * g
        h = torch.tanh(layer_norm(c, 1, self.c_gamma, self.c_beta)) * torch.sigmoid(o)
        return h, h_hyper, c, c_hyper

    def split_state(self, joined: Tensor) -> State:
        return joined.split(self.state_sizes, dim=1)

    def join_state(self, state: State) -> Tensor:
        return torch.cat(state, dim=1)


Cell: TypeAlias = LSTMCell | LayerNormLSTMCell | HyperLSTMCell


def make_cell(name: CellName, input_size: int, size: int, hyper_units: int, hyper_embedding: int) -> Cell:
    """The cell called `lstm`, `layer_norm` or `hyper`."""
    if name == "lstm":
        return LSTMCell(input_size, size)
    if name == "layer_norm":
        return LayerNormLSTMCell(input_size, size)
    return HyperLSTMCell(input_size, size, hyper_units, hyper_embedding)


def zero_state(cell: Cell, n: int) -> State:
    """The state before anything was read."""
    return tuple(cell.W_hh.new_zeros(n, size) for size in cell.state_sizes)


def layer_norm(x: Tensor, groups: int, gamma: Tensor, beta: Tensor) -> Tensor:
    """`(n, groups k)`: each group of k normalised by itself, then scaled by gamma `(groups k,)` and shifted by beta."""
    n, width = x.shape
    size = width // groups
    normal = nn.functional.layer_norm(x.view(n, groups, size), (size,), eps=LAYER_NORM_EPSILON)
    return torch.addcmul(beta, normal.view(n, width), gamma)


# Initial weights, as the reference chooses them. On the device `meta`, where a checkpoint's sizes are tried, only what
# works in place is used, and nothing is drawn: other operations there make torch load its compiler, for seconds.


def glorot(inputs: int, outputs: int) -> Tensor:
    """Uniform in +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio, 2010)."""
    return nn.init.uniform_(torch.empty(inputs, outputs), -1, 1).mul_(math.sqrt(6 / (inputs + outputs)))


def normal(inputs: int, outputs: int, sigma: float) -> Tensor:
    """Normal numbers of deviation sigma."""
    weights = torch.empty(inputs, outputs)
    return weights if weights.is_meta else weights.normal_().mul_(sigma)


def orthogonal_gates(size: int) -> Tensor:
    """`(size, 4 size)`, an orthogonal matrix for each gate."""
    gates = torch.empty(size, 4 * size)
    for gate in gates.split(size, dim=1):
        gate.copy_(nn.init.orthogonal_(torch.empty(size, size)))
    return gates
