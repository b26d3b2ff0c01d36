"""The sampler: the decoder fed with its own points, for many drawings at once.

A drawing is the same, to the last bit, whatever is drawn beside it, and whenever it joins. The random numbers come from
outside, so that they too belong to each drawing alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sketchrnn.kernels import compiled, native
from sketchrnn.model.cells import State
from sketchrnn.model.mixture import draw, split_output
from sketchrnn.model.network import SketchRNN
from sketchrnn.model.sequence import NUM_INPUTS, native_weights

SLOTS = 32  # rows of a product: enough to be fast, few enough that one drawing does not wait long
GPU_SLOTS = 256  # the same for a GPU, which takes as long for one row
LOOK = 16  # steps between two looks at whether all have ended; a look makes a GPU wait
PEN_LIFTS, PEN_END = 1, 2


@dataclass(eq=False)
class Path:
    """One drawing on its way, in normalised units."""

    z: NDArray[np.float32] | None
    """(N_z,); None for a decoder-only model."""
    points: NDArray[np.float32]
    """(given, 5) stroke-5 rows that it begins with: read, not drawn."""
    uniform: NDArray[np.float32]
    """(longest - given, 2) in [0, 1): for each point that is drawn, the choice of the normal and of the pen state."""
    normal: NDArray[np.float32]
    """(longest - given, 2) standard normal: where in that normal."""
    temperature: tuple[float, float]
    """What `mixture.temperatures` gives: 0 and 0 draw what is most likely."""
    rows: NDArray[np.float32]
    """(longest, 3): the stroke-3 rows are written here, those it begins with included."""
    length: int = 0
    """Rows that are written."""
    ended: bool = False


class Sampler:
    """Drawings of one model on their way. One thread at a time may use it.

    It keeps the weights as they are when it is made.
    """

    @torch.inference_mode()
    def __init__(self, model: SketchRNN, places: int) -> None:
        """
        Args:
            model: any model.
            places: drawings that are wanted at the same time; there may be fewer.
        """
        self._model = model
        self._running: dict[int, Path] = {}
        self._steps: native.Sampler | _Slots
        if compiled.runs_on(model.W_y):
            weights, _ = native_weights(model.decoder, None)
            token = torch.tensor(model.data.start_token, dtype=torch.float32)
            self._steps = native.Sampler(weights, model.W_y, model.b_y, token, places)
        else:
            self._steps = _Slots(model)

    @property
    def free(self) -> int:
        """Drawings that may enter now."""
        return self._steps.free

    @torch.inference_mode()
    def enter(self, paths: Sequence[Path]) -> None:
        """Takes drawings in, at most `free`."""
        if not paths:
            return
        state, of_z = _starts(self._model, [path.z for path in paths])
        if isinstance(self._steps, native.Sampler):
            _, of_z = native_weights(self._model.decoder, of_z)
        temperatures = [path.temperature for path in paths]
        numbers = [
            [torch.from_numpy(getattr(path, name)) for path in paths]
            for name in ("points", "uniform", "normal", "rows")
        ]
        places = self._steps.enter(state, of_z, temperatures, *numbers)
        self._running.update(zip(places, paths, strict=True))

    @torch.inference_mode()
    def step(self, steps: int) -> None:
        """So many more points for each drawing, or to its end; those that have ended are out."""
        if not self._running:
            return
        self._steps.step(min(steps, max(len(path.rows) - path.length for path in self._running.values())))
        for place, path in list(self._running.items()):
            path.length, path.ended = self._steps.progress(place)
            if path.ended:
                self._out(place)

    @torch.inference_mode()
    def leave(self, paths: Iterable[Path]) -> None:
        """Takes drawings out before they have ended; those that are not in are passed over."""
        gone = set(map(id, paths))
        for place in [place for place, path in self._running.items() if id(path) in gone]:
            self._out(place)

    def _out(self, place: int) -> None:
        self._steps.leave(place)
        del self._running[place]


class _Slots:
    """What `native.Sampler` does, in plain torch.

    There are always as many rows in work, some of them idle. A matrix product of one shape rounds each row alike
    wherever it stands, one of another shape may not.
    """

    def __init__(self, model: SketchRNN) -> None:
        slots = GPU_SLOTS if model.device.type == "cuda" else SLOTS

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(slots, *shape, dtype=dtype, device=model.device)

        self._model, self._slots = model, slots
        self._weights = model.decoder.input_weights()[:NUM_INPUTS]
        self._start_token = torch.tensor(model.data.start_token, dtype=torch.float32, device=model.device)
        self._state = tuple(zeros(size) for size in model.decoder.state_sizes)
        self._of_z = zeros(model.decoder.input_weights().shape[1]) if model.config.conditional else None
        self._token, self._temperature = zeros(5), zeros(2, dtype=torch.float64)
        self._live = zeros(dtype=torch.bool)
        self._given, self._longest, self._length = (zeros(dtype=torch.int64) for _ in range(3))
        self._points, self._uniform, self._normal, self._rows = (zeros(1, width) for width in (5, 2, 2, 3))
        self._out: dict[int, Tensor] = {}
        self._progress: tuple[list[int], list[bool]] = [0] * slots, [False] * slots

    @property
    def free(self) -> int:
        return self._slots - len(self._out)

    def enter(
        self,
        state: State,
        of_z: Tensor | None,
        temperatures: Sequence[tuple[float, float]],
        points: Sequence[Tensor],
        uniform: Sequence[Tensor],
        normal: Sequence[Tensor],
        rows: Sequence[Tensor],
    ) -> list[int]:
        free = [slot for slot in range(self._slots) if slot not in self._out]
        slots = free[: len(rows)]
        for buffer, part in zip(self._state, state, strict=True):
            buffer[slots] = part
        if self._of_z is not None and of_z is not None:
            self._of_z[slots] = of_z
        longest = max(map(len, rows))
        # one row to spare: what those that have ended write goes there
        self._points, self._uniform, self._normal, self._rows = (
            _at_least(buffer, longest + 1) for buffer in (self._points, self._uniform, self._normal, self._rows)
        )
        for k, slot in enumerate(slots):
            for numbers, of_each in ((self._points, points), (self._uniform, uniform), (self._normal, normal)):
                numbers[slot, : len(of_each[k])] = of_each[k].to(numbers.device)
            self._out[slot] = rows[k]
        device = self._token.device
        self._token[slots] = self._start_token
        self._temperature[slots] = torch.tensor(temperatures, dtype=torch.float64, device=device)
        self._given[slots] = torch.tensor(list(map(len, points)), device=device)
        self._longest[slots] = torch.tensor(list(map(len, rows)), device=device)
        self._length[slots] = 0
        self._live[slots] = True
        return slots

    def step(self, steps: int) -> None:
        before = self._length.tolist()
        model, slots, t = self._model, torch.arange(self._slots, device=self._token.device), self._length
        spare = self._rows.shape[1] - 1
        for step in range(steps):
            if step % LOOK == 0 and not self._live.any():
                break
            inputs = self._token @ self._weights
            if self._of_z is not None:
                inputs = inputs + self._of_z
            self._state = model.decoder.step(inputs, self._state)
            mixture = split_output(torch.addmm(model.b_y, self._state[0], model.W_y))
            new = (t - self._given).clamp(min=0)
            tau, variance = self._temperature.unbind(1)
            offset, pen = draw(mixture, tau, self._uniform[slots, new], self._normal[slots, new], variance)
            is_there = t < self._given  # what is there is read, not drawn
            point = self._points[slots, t.clamp(max=spare)]
            offset = torch.where(is_there[:, None], point[:, :2], offset)
            pen = torch.where(is_there, point[:, 2:].argmax(dim=1), pen)
            self._live &= pen != PEN_END
            at = torch.where(self._live, t, spare)
            self._rows[slots, at, :2] = offset
            self._rows[slots, at, 2] = (pen == PEN_LIFTS).float()
            self._token = torch.cat([offset, torch.nn.functional.one_hot(pen, 3).float()], dim=1)
            t += self._live
            self._live &= t < self._longest
        self._progress = t.tolist(), (~self._live).tolist()
        for slot, rows in self._out.items():
            rows[before[slot] : self._progress[0][slot]] = self._rows[
                slot, before[slot] : self._progress[0][slot]
            ].cpu()

    def progress(self, slot: int) -> tuple[int, bool]:
        return self._progress[0][slot], self._progress[1][slot]

    def leave(self, slot: int) -> None:
        self._live[slot] = False
        del self._out[slot]


def _at_least(buffer: Tensor, rows: int) -> Tensor:
    """The buffer (slots, k, width), k being at least `rows`."""
    if buffer.shape[1] >= rows:
        return buffer
    wider = buffer.new_zeros(len(buffer), rows, buffer.shape[2])
    wider[:, : buffer.shape[1]] = buffer
    return wider


def _starts(model: SketchRNN, z: Sequence[NDArray[np.float32] | None]) -> tuple[State, Tensor | None]:
    """The state (n, ...) each drawing starts from, and what z (n, N_z) adds to the inputs of all its steps.

    In products of `SLOTS` rows, so that they do not depend on n.
    """
    n, rows = len(z), [row for row in z if row is not None]
    if not rows:
        return model.initial_state(None, n), None
    padded = np.zeros((math.ceil(n / SLOTS) * SLOTS, model.config.z_size), np.float32)
    padded[:n] = rows
    blocks = torch.from_numpy(padded).to(model.device).split(SLOTS)
    states = [model.initial_state(block, SLOTS) for block in blocks]
    joined = tuple(torch.cat(parts)[:n] for parts in zip(*states, strict=True))
    of_z = torch.cat([part for block in blocks if (part := model.of_z(block)) is not None])
    return joined, of_z[:n]
