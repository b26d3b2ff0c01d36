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

from sketchrnn.kernels import compiled, gpu, native
from sketchrnn.model.cells import State
from sketchrnn.model.mixture import draw, split_output
from sketchrnn.model.network import SketchRNN
from sketchrnn.model.sequence import NUM_INPUTS, native_weights

SLOTS = 32  # rows of a product: enough to be fast, few enough that one drawing does not wait long
GPU_SLOTS = 256  # the same for a GPU
GPU_STEPS = 16  # between two looks at whether all drawings of a block have ended
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
    elif model.device.type == "cuda":
        rows, lengths = _blocks(model, state, of_z, token, given, of_choice, of_place, temperature)
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


def _blocks(
    model: SketchRNN,
    first_state: State,
    of_z: Tensor | None,
    start_token: Tensor,
    points: Tensor,
    uniform: Tensor,
    normal: Tensor,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """What `_loop` gives, as suits a GPU: blocks of `GPU_SLOTS` drawings, each to the end of its longest.

    A step with many rows takes a GPU as long as one with few; to ask after each which have ended would take longer.
    """
    n, longest, given = len(uniform), len(points) + uniform.shape[1], len(points)
    device, padded = model.device, math.ceil(longest / GPU_STEPS) * GPU_STEPS
    rows, lengths = torch.zeros(n, longest, 3, device=device), torch.zeros(n, dtype=torch.int64, device=device)
    weights = model.decoder.input_weights()[:NUM_INPUTS]
    pens = torch.arange(3, device=device)

    # what a block has, always in the same place: a CUDA graph goes over it again and again
    who = torch.arange(GPU_SLOTS, device=device)
    state = tuple(part.new_empty(GPU_SLOTS, part.shape[1]) for part in first_state)
    token = torch.empty(GPU_SLOTS, NUM_INPUTS, device=device)
    drawn = torch.empty(GPU_SLOTS, padded, 3, device=device)
    ended = torch.empty(GPU_SLOTS, dtype=torch.bool, device=device)
    length = torch.empty(GPU_SLOTS, dtype=torch.int64, device=device)
    t = torch.zeros(1, dtype=torch.int64, device=device)

    def begin(first: int) -> None:
        who.copy_(torch.arange(first, first + GPU_SLOTS, device=device).clamp(max=n - 1))  # spare ones repeat the last
        for part, start in zip(state, first_state, strict=True):
            part.copy_(start[who])
        token.copy_(start_token.expand_as(token))
        ended.zero_()
        length.fill_(longest)
        t.zero_()

    def steps() -> None:
        for _ in range(GPU_STEPS):
            inputs = token @ weights
            after = model.decoder.step(inputs if of_z is None else inputs + of_z[who], state)
            mixture = split_output(torch.addmm(model.b_y, after[0], model.W_y))
            at = (t - given).clamp(0, longest - given - 1)
            chances, place = (numbers.index_select(1, at).squeeze(1)[who] for numbers in (uniform, normal))
            offset, pen = draw(mixture, temperature, chances, place)
            fresh = torch.cat([offset, (pen.unsqueeze(1) == pens).float()], dim=1)
            if given:  # what is there is read, not drawn
                fresh = torch.where(t < given, points.index_select(0, t.clamp(max=given - 1)), fresh)
            drawn.index_copy_(1, t, torch.cat([fresh[:, :2], fresh[:, 3:4]], dim=1).unsqueeze(1))
            ends = fresh[:, 2 + PEN_END] == 1
            length.copy_(torch.where(ends & ~ended, t.clamp(max=longest), length))
            ended.logical_or_(ends)
            token.copy_(fresh)
            for part, new in zip(state, after, strict=True):
                part.copy_(new)
            t.add_(1)

    begin(0)
    go = gpu.recorded(steps).replay if device.type == "cuda" else steps
    for first in range(0, n, GPU_SLOTS):
        begin(first)
        for _ in range(padded // GPU_STEPS):
            go()
            if ended.all():
                break
        last = min(first + GPU_SLOTS, n)
        rows[first:last] = drawn[: last - first, :longest]
        lengths[first:last] = length[: last - first]
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
