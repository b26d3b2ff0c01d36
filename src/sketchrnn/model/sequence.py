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

from sketchrnn.model.cells import Cell, State


@dataclass(frozen=True)
class Layout:
    """Where the rows of packed drawings stand."""

    batch_sizes: list[int]
    """Drawings still running at each step, falling."""
    drawing: Tensor
    """(P,) int64: the drawing each row belongs to."""
    step: Tensor
    """(P,) int64: the step of that drawing."""

    @property
    def num_rows(self) -> int:
        """P."""
        return len(self.step)

    def to(self, device: torch.device | str) -> Layout:
        return Layout(self.batch_sizes, self.drawing.to(device), self.step.to(device))


def packed_layout(lengths: NDArray[np.int64]) -> Layout:
    """The layout of drawings with so many steps each; `lengths` `(B,)` must not rise."""
    assert (np.diff(lengths) <= 0).all(), "drawings are packed in order of falling length"
    longest = int(lengths[0]) if len(lengths) else 0
    batch_sizes = len(lengths) - np.searchsorted(lengths[::-1], np.arange(longest), side="right")
    step = np.repeat(np.arange(longest), batch_sizes)
    starts = np.cumsum(batch_sizes) - batch_sizes
    drawing = np.arange(len(step)) - np.repeat(starts, batch_sizes)
    return Layout(batch_sizes.tolist(), torch.from_numpy(drawing), torch.from_numpy(step))


def run(
    cell: Cell,
    inputs: Tensor,
    layout: Layout,
    state: State,
    dropout: Tensor | None = None,
) -> tuple[Tensor, State]:
    """All steps of a cell.

    Args:
        cell: the cell.
        inputs: (P, K) packed rows, already multiplied by `cell.input_weights()`.
        layout: where the rows stand.
        state: the state each drawing starts from, members (B, units).
        dropout: (P, size) factors of g = tanh(j): 0 or 1 / keep; None for none.

    Returns:
        The packed outputs h (P, size) and the state after each drawing's last step, members (B, units).
    """
    outputs: list[Tensor] = []
    ended: list[State] = []
    rows = inputs.split(layout.batch_sizes)
    masks = dropout.split(layout.batch_sizes) if dropout is not None else [None] * len(rows)
    for n, row, mask in zip(layout.batch_sizes, rows, masks, strict=True):
        if n < len(state[0]):
            ended.append(tuple(part[n:] for part in state))
            state = tuple(part[:n] for part in state)
        state = cell.step(row, state, mask)
        outputs.append(state[0])
    ended.append(state)
    final = tuple(torch.cat(parts) for parts in zip(*reversed(ended), strict=True))
    return torch.cat(outputs) if outputs else inputs.new_zeros(0, cell.size), final


def dropout_factors(cell: Cell, layout: Layout, keep: float, generator: torch.Generator | None) -> Tensor | None:
    """(P, size) factors of recurrent dropout, a new mask for every row: 0, or 1 / keep with probability `keep`."""
    if keep >= 1:
        return None
    chance = torch.rand(layout.num_rows, cell.size, generator=generator, device=cell.W_hh.device)
    return (chance < keep).to(cell.W_hh.dtype).mul_(1 / keep)
