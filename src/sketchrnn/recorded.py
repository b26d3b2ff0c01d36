"""Training steps on an NVIDIA GPU: recorded once for each length as a CUDA graph, and then replayed.

A step is some thousand small kernels, and the host would take longer to launch them than the device to run them. A
graph launches all with one call, but does the same to the same memory each time. So drawings go to a fixed place, every
batch runs to the next of a few lengths (`sequence.steady_layout`), and what changes from step to step is a number
there. No step waits for the device: whether one was finite is decided there, and read when the figures are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sketchrnn.config import TrainConfig
from sketchrnn.data.batches import Batch
from sketchrnn.kernels import gpu
from sketchrnn.model.adam import Adam
from sketchrnn.model.network import PackedBatch, SketchRNN, pack_steadily

LENGTHS = 16  # a graph for each multiple of this, up to N_max

Loss: TypeAlias = Callable[
    [SketchRNN, PackedBatch, TrainConfig, "float | Tensor", torch.Generator], tuple[Tensor, dict[str, Tensor]]
]


class RecordedSteps:
    """Steps of an optimiser whose place in memory is fixed: after its state was loaded, new ones must be made."""

    def __init__(
        self,
        model: SketchRNN,
        optimizer: Adam,
        loss: Loss,
        config: TrainConfig,
        *,
        batch_size: int,
        as_graphs: bool = True,
    ) -> None:
        """
        Args:
            loss: the loss of a packed batch and what it is made of; see `training.packed_loss`.
            batch_size: B, that of every batch.
            as_graphs: record the steps; without it, or on the CPU, the same is done kernel by kernel.
        """
        self.model, self.optimizer, self.loss, self.config = model, optimizer, loss, config
        device, N_max = model.device, model.data.max_length
        self.as_graphs = as_graphs and device.type == "cuda"
        self.strokes = torch.zeros(batch_size * N_max, 3, device=device)
        self.lengths = torch.ones(batch_size, dtype=torch.int64, device=device)
        self.start_token = torch.tensor(model.data.start_token, dtype=torch.float32, device=device)
        self.kl_weight, self.rate, self.rehearsing = torch.zeros(3, device=device).unbind()
        self.generator = torch.Generator(device)
        self.names: list[str] = []
        self.figures = torch.zeros(0, device=device)
        """What came out of the last step, as `names` has it."""
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def step(self, batch: Batch, kl_weight: float, rate: float, seed: int) -> Mapping[str, Tensor]:
        """One step of the optimiser, not waited for.

        Args:
            batch: its drawings.
            kl_weight: of the KL term, at this step.
            rate: Adam's.
            seed: of dropout and z.

        Returns:
            What the loss is made of, and `finite`: 0 where the loss or a gradient was not, and nothing was changed.
        """
        N_max = self.model.data.max_length
        longest = min(-(-int(batch.lengths[0]) // LENGTHS) * LENGTHS, N_max)
        _send(batch.strokes, self.strokes)
        _send(batch.lengths, self.lengths)
        self.kl_weight.fill_(kl_weight)
        self.rate.fill_(rate)
        if self.as_graphs and longest not in self.graphs:
            self._record(longest)
        self.generator.manual_seed(seed)
        if self.as_graphs:
            self.graphs[longest].replay()
        else:
            self._work(longest)
        return dict(zip(self.names, self.figures.clone().unbind(), strict=True))

    def _record(self, longest: int) -> None:
        """The graph of a length. When it is rehearsed, nothing changes."""
        self.rehearsing.fill_(1)
        # they share their memory, for one runs at a time, and nothing that it leaves there is read after it
        beside = next(iter(self.graphs.values()), None)
        self.graphs[longest] = gpu.recorded(lambda: self._work(longest), self.generator, beside)
        self.rehearsing.fill_(0)

    def _work(self, longest: int) -> None:
        """The step itself: reads and writes what has a fixed place, and nothing else outlives it."""
        model, config = self.model, self.config
        rows = self.strokes[: len(self.lengths) * longest]
        packed = pack_steadily(
            rows,
            self.lengths,
            longest,
            model.data.max_length,
            start_token=self.start_token,
            padded=config.pen_padding,
        )
        with gpu.products(config.precision):
            loss, parts = self.loss(model, packed, config, self.kl_weight, self.generator)
            found = torch.autograd.grad(loss, self.optimizer.parameters, allow_unused=True)
        gradients = [None if gradient is None else gradient.contiguous() for gradient in found]
        there = [gradient for gradient in gradients if gradient is not None]
        norms = torch.stack(torch._foreach_norm(there))
        finite = torch.isfinite(loss.detach() + norms.sum()).float()
        torch._foreach_clamp_min_(there, -config.clip_value)
        torch._foreach_clamp_max_(there, config.clip_value)
        self.optimizer.move(gradients, self.rate, torch.maximum(1 - finite, self.rehearsing))
        if not self.names:
            self.names = [*parts, "finite"]
            self.figures = torch.zeros(len(self.names), device=model.device)
        self.figures.copy_(torch.stack([*parts.values(), finite]))


def _send(values: NDArray[np.float32] | NDArray[np.int64], to: Tensor) -> None:
    """Into the first rows of `to`, from memory that the device reads while the host goes on."""
    source = torch.from_numpy(values)
    to[: len(source)].copy_(source.pin_memory() if to.is_cuda else source, non_blocking=True)
