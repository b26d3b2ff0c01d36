"""A cell over many drawings at once, without padding.

The rows of a batch are **packed**: drawings stand in order of falling length, the rows of the first step come first,
then those of the second, and so on. At each step the drawings still running are the first `batch_sizes[t]` of all, so
that the batch shrinks as drawings end and no work is done for those that have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sketchrnn.kernels import compiled, gpu, native
from sketchrnn.model.cells import Cell, LayerNormLSTMCell, LSTMCell, State

NUM_INPUTS = 5  # stroke-5; the rest of a cell's inputs is z


@dataclass(frozen=True)
class Layout:
    """Where the rows of packed drawings stand."""

    batch_sizes: list[int]
    """Drawings still running at each step, falling."""
    drawing: Tensor
    """(P,) int64: the drawing each row belongs to."""
    step: Tensor
    """(P,) int64: the step of that drawing."""
    running: Tensor | None = None
    """(T,) int32: how many rows of a step are of drawings that go on; those after them hold what was. None: all are."""

    @property
    def num_rows(self) -> int:
        """P."""
        return len(self.step)

    def to(self, device: torch.device | str) -> Layout:
        running = None if self.running is None else self.running.to(device)
        return Layout(self.batch_sizes, self.drawing.to(device), self.step.to(device), running)

    def goes_on(self) -> Tensor | None:
        """(P,) bool, where the drawing of a row has not ended; None where none has."""
        return None if self.running is None else self.drawing < self.running.index_select(0, self.step)


def packed_layout(lengths: NDArray[np.int64]) -> Layout:
    """The layout of drawings with so many steps each; `lengths` `(B,)` must not rise."""
    assert (np.diff(lengths) <= 0).all(), "drawings are packed in order of falling length"
    longest = int(lengths[0]) if len(lengths) else 0
    batch_sizes = len(lengths) - np.searchsorted(lengths[::-1], np.arange(longest), side="right")
    step = np.repeat(np.arange(longest), batch_sizes)
    starts = np.cumsum(batch_sizes) - batch_sizes
    drawing = np.arange(len(step)) - np.repeat(starts, batch_sizes)
    return Layout(batch_sizes.tolist(), torch.from_numpy(drawing), torch.from_numpy(step))


def steady_layout(lengths: Tensor, longest: int) -> Layout:
    """A layout of one shape whatever the lengths `(B,)` are, none above `longest`: every step has all drawings.

    For the GPU, where a step takes as long with fewer rows, and a CUDA graph can do one shape alone. Nothing of it
    is known to the host, so that nothing waits for the device.
    """
    n, device = len(lengths), lengths.device
    row = torch.arange(n * longest, device=device)
    running = (lengths > torch.arange(longest, device=device).unsqueeze(1)).sum(dim=1, dtype=torch.int32)
    return Layout([n] * longest, row % n, row // n, running)


def run(
    cell: Cell,
    x: Tensor,
    of_z: Tensor | None,
    layout: Layout,
    state: State,
    dropout: Tensor | None = None,
    keep: float = 1.0,
) -> tuple[Tensor, State]:
    """All steps of a cell: by the fast kernels where they run, else in plain torch, with the same result.

    Args:
        cell: the cell, its inputs [x; z].
        x: (P, 5) packed rows; they are data, and no gradient goes to them.
        of_z: (B, K) what z adds to the product of the inputs, the same at every step; None without z.
        layout: where the rows stand.
        state: the state each drawing starts from, members (B, units).
        dropout: (P, size) uint8, 1 where recurrent dropout keeps g = tanh(j); None for none.
        keep: chance of a 1 in it.

    Returns:
        The packed outputs h (P, size) and the state after each drawing's last step, members (B, units).
    """
    if layout.num_rows and gpu.runs_on(x):
        weights, start = native_weights(cell, of_z)
        if start is not None:
            start = start.expand(len(state[0]), -1)
        return gpu.run(weights, layout.batch_sizes, layout.running, x, start, state, dropout, keep)
    if layout.num_rows and layout.running is None and compiled.runs_on(x):
        one = native.Pass(*native_weights(cell, of_z), x, state, dropout)
        return native.run([one], layout.batch_sizes, keep)[0]
    inputs = x @ cell.input_weights()[: x.shape[1]]
    if of_z is not None:
        # not by [...]: the gradient of that adds up in an order of its own on several threads
        inputs = inputs + of_z.index_select(0, layout.drawing)
    factors = None if dropout is None else dropout.to(x.dtype) / keep
    return step_by_step(cell, inputs, layout, state, factors)


def run_both(
    cells: tuple[Cell, Cell],
    x: tuple[Tensor, Tensor],
    layout: Layout,
    states: tuple[State, State],
    dropout: tuple[Tensor | None, Tensor | None] = (None, None),
    keep: float = 1.0,
) -> list[tuple[Tensor, State]]:
    """`run` of two cells of one kind and size, without z, each over its own rows: at once where that is faster."""
    given = list(zip(cells, x, states, dropout, strict=True))
    if layout.num_rows and layout.running is None and compiled.runs_on(x[0]):
        passes = [native.Pass(*native_weights(cell, None), rows, state, mask) for cell, rows, state, mask in given]
        return native.run(passes, layout.batch_sizes, keep)
    return [run(cell, rows, None, layout, state, mask, keep) for cell, rows, state, mask in given]


def step_by_step(
    cell: Cell,
    inputs: Tensor,
    layout: Layout,
    state: State,
    dropout: Tensor | None = None,
) -> tuple[Tensor, State]:
    """What `run` computes, in plain torch: `inputs` (P, K) are multiplied already, `dropout` (P, size) holds 0 or
    1 / keep."""
    outputs: list[Tensor] = []
    ended: list[State] = []
    rows = inputs.split(layout.batch_sizes)
    masks = dropout.split(layout.batch_sizes) if dropout is not None else [None] * len(rows)
    for t, (n, row, mask) in enumerate(zip(layout.batch_sizes, rows, masks, strict=True)):
        if n < len(state[0]):
            ended.append(tuple(part[n:] for part in state))
            state = tuple(part[:n] for part in state)
        after = cell.step(row, state, mask)
        if layout.running is not None:
            goes_on = (torch.arange(n, device=row.device) < layout.running[t]).unsqueeze(1)
            after = tuple(torch.where(goes_on, new, old) for new, old in zip(after, state, strict=True))
        state = after
        outputs.append(state[0])
    ended.append(state)
    final = tuple(torch.cat(parts) for parts in zip(*reversed(ended), strict=True))
    return torch.cat(outputs) if outputs else inputs.new_zeros(0, cell.size), final


def native_weights(cell: Cell, of_z: Tensor | None) -> tuple[native.Weights, Tensor | None]:
    """The weights as the fast kernels read them, and what they start each product of the inputs from: a row for each
    drawing, one row for all, or None for zeros."""
    x = cell.W_xh[:NUM_INPUTS]
    if isinstance(cell, LSTMCell):
        return native.Weights(x, cell.W_hh), cell.bias.unsqueeze(0) if of_z is None else of_z + cell.bias
    norms = cell.gates_gamma, cell.gates_beta, cell.c_gamma, cell.c_beta
    if isinstance(cell, LayerNormLSTMCell):
        return native.Weights(x, cell.W_hh, *norms), of_z
    small = cell.hyper
    weights = native.Weights(
        x,
        cell.W_hh,
        *norms,
        cell.bias,
        hyper_x=small.W_xh[:NUM_INPUTS],
        hyper_h=small.W_xh[cell.input_size :],
        hyper_hyper=small.W_hh,
        hyper_gamma=small.gates_gamma,
        hyper_beta=small.gates_beta,
        hyper_c_gamma=small.c_gamma,
        hyper_c_beta=small.c_beta,
        z=torch.cat([cell.W_zw, cell.W_zb], dim=1),
        b_z=torch.cat([cell.b_zw, cell.b_zw.new_zeros(4 * cell.embedding)]),
        scale=torch.cat([cell.alpha, cell.beta]),
    )
    return weights, of_z


def dropout_mask(cell: Cell, layout: Layout, keep: float, generator: torch.Generator | None) -> Tensor | None:
    """(P, size) uint8 of recurrent dropout, a new mask for every row: 1 with probability `keep`; None for all ones."""
    if keep >= 1:
        return None
    # 16 random bits a unit: the chance is right to 1 in 100,000, and four units share the cost of one number
    shape, limit, device = (layout.num_rows, cell.size), min(round(keep * 65536), 65535) - 32768, cell.W_hh.device
    words = -(-layout.num_rows * cell.size // 4)
    if device.type == "cpu":
        seed = int(torch.randint(torch.iinfo(torch.int64).max, (), generator=generator, device=device))
        if compiled.runs_on(cell.W_hh):
            return native.dropout(cell.W_hh, shape, seed, limit)
        bits = splitmix64(seed, words)
    else:
        bits = torch.empty(words, dtype=torch.int64, device=device)
        bits.random_(torch.iinfo(torch.int64).min, None, generator=generator)
    chance = bits.view(torch.int16)[: layout.num_rows * cell.size].view(shape)
    return (chance < limit).view(torch.uint8)


def splitmix64(seed: int, count: int) -> Tensor:
    """(count,) int64, the random numbers of Steele et al. (2014): what the C kernel draws."""
    x = (torch.arange(1, count + 1, device="cpu") * (0x9E3779B97F4A7C15 - 2**64)).add_(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> shift & 2 ** (64 - shift) - 1)) * (factor - 2**64)
    return x ^ (x >> 31 & 2**33 - 1)
