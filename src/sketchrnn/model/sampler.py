"""The sampler: the decoder fed with its own points, for many drawings at once.

A drawing is the same, to the last bit, whatever is drawn beside it. The random numbers come from outside, so that they
too belong to each drawing alone.
"""

from __future__ import annotations

import math

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
PEN_LIFTS, PEN_END = 1, 2


@torch.inference_mode()
def draw_rows(
    model: SketchRNN,
    z: NDArray[np.float32] | None,
    uniform: NDArray[np.float32],
    normal: NDArray[np.float32],
    points: NDArray[np.float32],
    temperature: float,
) -> list[NDArray[np.float32]]:
    """Drawings as normalised stroke-3 rows (N_s, 3), those that were given included.

    Args:
        model: any model.
        z: (n, N_z); None for a decoder-only model.
        uniform: (n, steps, 2) in [0, 1): for each drawn point the choice of the normal and of the pen state.
        normal: (n, steps, 2) standard normal: where in that normal.
        points: (given, 5) stroke-5 rows that every drawing begins with.
        temperature: tau; 0 draws what is most likely.
    """
    if not len(uniform):
        return []
    of_choice, of_place, given = (torch.from_numpy(a).to(model.device) for a in (uniform, normal, points))
    token = torch.tensor(model.data.start_token, dtype=torch.float32, device=model.device)
    state, of_z = _starts(model, z, len(uniform))
    if compiled.runs_on(model.W_y):
        weights, start = native_weights(model.decoder, of_z, len(uniform))
        rows, lengths = native.sample(
            weights, model.W_y, model.b_y, state, start, token, given, of_choice, of_place, temperature
        )
    else:
        rows, lengths = _loop(model, state, of_z, token, given, of_choice, of_place, temperature)
    drawn, ends = rows.cpu().numpy(), lengths.tolist()
    return [row[:end] for row, end in zip(drawn, ends, strict=True)]


def _loop(
    model: SketchRNN,
    first_state: State,
    of_z: Tensor | None,
    start_token: Tensor,
    points: Tensor,
    uniform: Tensor,
    normal: Tensor,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """In plain torch: the rows (n, longest, 3) and how many of them each drawing has.

    There are always `SLOTS` rows in work; a drawing that ends leaves its slot to the next that waits. A matrix product
    of one shape rounds each row alike wherever it stands, one of another shape may not.
    """
    device, n, given = model.device, len(uniform), len(points)
    longest = given + uniform.shape[1]
    weights = model.decoder.input_weights()[:NUM_INPUTS]
    rows = torch.zeros(n, longest, 3, device=device)
    lengths = torch.full((n,), longest, device=device)
    who = torch.arange(SLOTS, device=device).clamp(max=n - 1)  # whose each slot is; one to spare repeats the last
    live = torch.arange(SLOTS, device=device) < n
    waiting = SLOTS  # the next drawing to get a slot
    t = torch.zeros(SLOTS, dtype=torch.int64, device=device)  # points that it has
    state = tuple(part[who] for part in first_state)
    token = start_token.repeat(SLOTS, 1)
    while live.any():
        inputs = token @ weights
        state = model.decoder.step(inputs if of_z is None else inputs + of_z[who], state)
        mixture = split_output(torch.addmm(model.b_y, state[0], model.W_y))
        at = (t - given).clamp(0, longest - given - 1)
        offset, pen = draw(mixture, temperature, uniform[who, at], normal[who, at])
        if given:  # what is there is read, not drawn
            point = points[t.clamp(max=given - 1)]
            is_there = t < given
            offset = torch.where(is_there[:, None], point[:, :2], offset)
            pen = torch.where(is_there, point[:, 2:].argmax(dim=1), pen)
        rows[who[live], t[live], :2] = offset[live]
        rows[who[live], t[live], 2] = (pen[live] == PEN_LIFTS).float()
        token = torch.cat([offset, torch.nn.functional.one_hot(pen, 3).float()], dim=1)
        ended = live & (pen == PEN_END)
        lengths[who[ended]] = t[ended]
        t += 1
        free = torch.nonzero(ended | (live & (t == longest))).flatten()
        if len(free):
            live[free] = False
            t[free] = 0
            entering = free[: max(0, n - waiting)]
            who[entering] = torch.arange(waiting, waiting + len(entering), device=device)
            waiting += len(entering)
            live[entering] = True
            token[free] = start_token
            for part, first in zip(state, first_state, strict=True):
                part[free] = first[who[free]]
    return rows, lengths


def _starts(model: SketchRNN, z: NDArray[np.float32] | None, n: int) -> tuple[State, Tensor | None]:
    """The state (n, ...) each drawing starts from, and what z (n, N_z) adds to the inputs of all its steps.

    In products of `SLOTS` rows, so that they do not depend on n.
    """
    if z is None:
        return model.initial_state(None, n), None
    padded = np.zeros((math.ceil(n / SLOTS) * SLOTS, z.shape[1]), np.float32)
    padded[:n] = z
    blocks = torch.from_numpy(padded).to(model.device).split(SLOTS)
    states = [model.initial_state(block, SLOTS) for block in blocks]
    joined = tuple(torch.cat(parts)[:n] for parts in zip(*states, strict=True))
    of_z = torch.cat([part for block in blocks if (part := model.of_z(block)) is not None])
    return joined, of_z[:n]
